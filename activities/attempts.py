"""Attempts at the heavy steps: aggregate, also as part of a claim, upload and writeback.

An attempt writes its progress to the document, and counts itself there if it fails.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.boundary import beating, boundary, domain_error
from activities.patience import Outages, time_limit
from exports.clock import millis, now_ms
from exports.errors import ExportError, StepTimeoutError, TaskLostError
from exports.models import AttemptBeat, Stage, TaskRef
from exports.runtime.memory import MANY_ROWS, give_back_memory
from exports.runtime.outages import Patience
from exports.runtime.precedence import small_step
from exports.storage.bucket import ObjectStore
from exports.tasks.task import TaskError
from exports.tasks.transitions import RunTransitions
from workflows.failures import application_error
from workflows.policies import STEP_TIMED_OUT, retry_delay

_log = logging.getLogger(__name__)


class Attempt:
    """One attempt of an activity; the step reports its progress here.

    Args:
        ref: The task and its run.
        stage: Which step it is.
        retries: Failed attempts of the task before this one.
        rows: Rows that are there already.
        patience: How long it waits for servers, and for which one it waits.

    Attributes:
        rows: Rows so far.
        bytes: Bytes of the finished file so far.
        total: Rows that there will be, if that is known.
    """

    def __init__(
        self, ref: TaskRef, stage: Stage, *, retries: int, rows: int, patience: Patience
    ) -> None:
        self.ref = ref
        self.retries = retries
        self.patience = patience
        self._stage = stage
        self.rows = rows
        self.bytes = 0
        self.total: int | None = None

    @property
    def key(self) -> str:
        """A name, unique within the run, for the object keys of this attempt.

        An attempt that was timed out may go on writing after its replacement has started, so two
        attempts never share a key.
        """
        info = activity.info()
        return f"{info.activity_id}-{info.attempt}"

    @property
    def heartbeat(self) -> AttemptBeat:
        """The details of a heartbeat: how far the attempt has come."""
        return AttemptBeat(
            stage=self._stage,
            rows=self.rows,
            bytes=self.bytes,
            total=self.total,
            retries=self.retries,
            waiting_for=self.patience.waiting_for,
        )


class Attempts:
    """Makes attempts, and writes to the document how they go.

    Args:
        tasks: The store of the documents.
        store: The bucket.
        outages: Gives each attempt its patience.
    """

    def __init__(self, tasks: RunTransitions, store: ObjectStore, outages: Outages) -> None:
        self._tasks = tasks
        self._store = store
        self._outages = outages

    @asynccontextmanager
    async def at(
        self,
        stage: Stage,
        ref: TaskRef,
        *,
        retries_before: int,
        rows: int = 0,
        is_heavy: bool = False,
    ) -> AsyncGenerator[Attempt]:
        """Run the body of an activity as one attempt at a step.

        Args:
            stage: Which step it is.
            ref: The task and its run.
            retries_before: Failed attempts of the task before this step.
            rows: Rows that are there already.
            is_heavy: Whether it may read or write millions of rows. Such steps give way to others.

        Raises:
            ApplicationError: The step failed; its type is the code of the error.
        """
        patience = self._outages.patience()
        attempt = Attempt(
            ref,
            stage,
            retries=retries_before + activity.info().attempt - 1,
            rows=rows,
            patience=patience,
        )
        progress = _Progress(self._tasks, attempt)
        if attempt.retries:
            # At once, so that the workflow knows this count even if the worker is lost soon.
            activity.heartbeat(attempt.heartbeat)
        with patience.in_use(), nullcontext() if is_heavy else small_step():
            async with (
                boundary(lambda: attempt.heartbeat),
                beating(lambda: attempt.heartbeat, progress.write),
            ):
                # Leaving a step to another worker is no failed attempt.
                self._store.check_is(ref.store)
                try:
                    async with _time_limit():
                        # The claim has written that the task runs; only a failed attempt has
                        # changed that. A repeated writeback may find the task done, which is fine;
                        # the other steps must not go on with a task that has ended.
                        if stage is not Stage.WRITEBACK and attempt.retries:
                            await self._tasks.attempt_started(ref, attempt.heartbeat)
                        yield attempt
                except TaskLostError:
                    raise
                except asyncio.CancelledError:
                    progress.check()
                    raise
                except Exception as error:  # noqa: BLE001 -- the boundary is where every error ends
                    raise await self._failed(attempt, error) from None
                finally:
                    progress.end()
                    if attempt.rows - rows >= MANY_ROWS:
                        asyncio.get_running_loop().run_in_executor(None, give_back_memory)

    async def _failed(self, attempt: Attempt, error: Exception) -> ApplicationError:
        cause = domain_error(error)
        retries = attempt.retries + 1
        final = cause.permanent or retries >= attempt.ref.max_retries
        delay = retry_delay(retries)
        try:
            await self._tasks.attempt_failed(
                attempt.ref,
                TaskError(code=cause.code, msg=cause.msg),
                retries=retries,
                next_run_at=None if final else now_ms() + millis(delay),
            )
        except ExportError as uncounted:
            # The next attempt finds out whether the task is lost, or the write was done after all.
            _log.warning("A failed attempt could not be counted: %s", uncounted.code)
        beat = attempt.heartbeat.model_copy(update={"retries": retries})
        return application_error(cause, final=final, delay=delay, beat=beat)


class _Progress:
    """Writes the progress of an attempt, and stops an attempt whose task is no longer its run's.

    Args:
        tasks: The store of the documents.
        attempt: The attempt; the current asyncio task runs its body.
    """

    def __init__(self, tasks: RunTransitions, attempt: Attempt) -> None:
        self._tasks = tasks
        self._attempt = attempt
        self._body = asyncio.current_task()
        self._lost: TaskLostError | None = None
        self._told_wait = False

    async def write(self) -> None:
        """Write the progress; cancel the body if the task is gone, or another run's."""
        beat = self._attempt.heartbeat
        # If the database is away, the next one may be written.
        if self._attempt.patience.knows_away("database"):
            return
        # A writeback has no progress to tell but its waits.
        writes_back = beat.stage is Stage.WRITEBACK
        if writes_back and beat.waiting_for is None and not self._told_wait:
            return
        self._told_wait = beat.waiting_for is not None
        try:
            await self._tasks.progress(self._attempt.ref, beat)
        except TaskLostError as error:
            if writes_back:  # it notices this by itself, and may have been the last write itself
                return
            self._lost = error
            if self._body is not None:
                self._body.cancel()
        except ExportError as error:  # progress is for people; without it, heartbeats go on
            _log.warning("Progress could not be written: %s", error.code)

    def end(self) -> None:
        """Do not cancel the body any more: it has ended."""
        self._body = None

    def check(self) -> None:
        """Raise `TaskLostError` if that is why the body was cancelled."""
        if self._lost is not None:
            raise self._lost from None


@asynccontextmanager
async def _time_limit() -> AsyncGenerator[None]:
    """End an attempt shortly before the server does, so that it is counted and explained."""
    try:
        async with asyncio.timeout(time_limit()):
            yield
    except TimeoutError:
        raise StepTimeoutError(STEP_TIMED_OUT) from None

"""What every activity shares: one attempt at a step, from the first heartbeat to the failure.

The attempt tells the document that it is at work, beats, counts itself if it fails, and turns a
domain error into an `ApplicationError`. Nothing of an error but its code and its sentence enters
Temporal's history, because the text of a library's error may hold a business row or a key.
"""

import asyncio
import logging
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from exports.clock import check_clock, now_ms
from exports.errors import (
    ExportError,
    StepTimeoutError,
    TaskLostError,
    UnexpectedError,
)
from exports.models import AttemptBeat, Stage, TaskRef
from exports.server_errors.temporal import temporal_error
from exports.tasks.task import TaskError
from exports.tasks.transitions import RunTransitions
from workflows.policies import WORKER_SHUTDOWN, retry_delay

_T = TypeVar("_T")
BEAT_EVERY = 2.0
"""Seconds between two heartbeats."""

IN_TIME = 0.95
"""Share of a step's time after which the worker ends an attempt, before the server does."""

_log = logging.getLogger(__name__)


def check_worker_clock() -> None:
    """Compare this machine's clock with Temporal's, which says when this attempt began.

    Raises:
        ClockError: They differ too much to sign a link, or to say what is due and what expired.
    """
    check_clock(activity.info().started_time, whose="Temporal's")


class Attempt:
    """One attempt of an activity; the step reports its progress here.

    Args:
        ref: The task and its run.
        stage: What the step is.
        retries: Failed attempts of the task before this one.
        rows: Rows that are there already.
    """

    def __init__(self, ref: TaskRef, stage: Stage, *, retries: int, rows: int = 0) -> None:
        self.ref = ref
        self.retries = retries
        self._stage = stage
        self.rows = rows
        self.bytes = 0

    @property
    def key(self) -> str:
        """Names this attempt among all of its run, for object keys.

        A zombie attempt goes on writing after its replacement has started, so two attempts never
        share a key.
        """
        info = activity.info()
        return f"{info.activity_id}-{info.attempt}"

    @property
    def beat(self) -> AttemptBeat:
        """How far the attempt has come."""
        return AttemptBeat(
            stage=self._stage, rows=self.rows, bytes=self.bytes, retries=self.retries
        )


class Attempts:
    """Makes attempts that keep the document true.

    Args:
        tasks: The store of the documents.
    """

    def __init__(self, tasks: RunTransitions) -> None:
        self._tasks = tasks

    @asynccontextmanager
    async def at(
        self, stage: Stage, ref: TaskRef, *, retries_before: int, rows: int = 0
    ) -> AsyncGenerator[Attempt]:
        """Run the body of an activity as one attempt at a step.

        Raises:
            ApplicationError: The step failed; its type is the code of the error.
        """
        attempt = Attempt(
            ref, stage, retries=retries_before + activity.info().attempt - 1, rows=rows
        )
        progress = _Progress(self._tasks, attempt)
        if attempt.retries:
            # Should the worker die at once, the workflow still learns of the attempts before.
            activity.heartbeat(attempt.beat)
        async with boundary(lambda: attempt.beat), beating(lambda: attempt.beat, progress.tell):
            try:
                async with _in_time():
                    # The claim has said that the task runs. Only what has failed before says
                    # otherwise. A repeated writeback may find its work done, which is fine; the
                    # others must not go on with a task that has ended.
                    if stage is not Stage.WRITEBACK and attempt.retries:
                        await self._tasks.attempt_started(ref, attempt.beat)
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
                next_run_at=None if final else now_ms() + int(delay.total_seconds() * 1000),
            )
        except ExportError as uncounted:
            # The next attempt finds out whether the task is lost, or was moved in spite of all.
            _log.warning("A failed attempt could not be counted: %s", uncounted.code)
        return application_error(cause, final=final, delay=delay)


class _Progress:
    """Tells the document how far an attempt has come, and ends one that nobody waits for.

    Args:
        tasks: The store of the documents.
        attempt: The attempt whose body this task runs.
    """

    def __init__(self, tasks: RunTransitions, attempt: Attempt) -> None:
        self._tasks = tasks
        self._attempt = attempt
        self._body = asyncio.current_task()
        self._lost: TaskLostError | None = None

    async def tell(self) -> None:
        """Write it. A task that is gone, or another run's, cancels the body."""
        # A writeback makes the task one that no run may move, and finds out by itself if it is so.
        if self._attempt.beat.stage is Stage.WRITEBACK:
            return
        try:
            await self._tasks.progress(self._attempt.ref, self._attempt.beat)
        except TaskLostError as error:
            self._lost = error
            if self._body is not None:
                self._body.cancel()
        except ExportError as error:  # progress is for people; without it, the beats go on
            _log.warning("Progress could not be written: %s", error.code)

    def end(self) -> None:
        """Let the body be: it has ended, whatever is found out about its task."""
        self._body = None

    def check(self) -> None:
        """Raise `TaskLostError` if that is why the body was cancelled."""
        if self._lost is not None:
            raise self._lost from None


async def _nothing() -> None:
    return


@asynccontextmanager
async def beating(
    beat: Callable[[], AttemptBeat | None] = lambda: None,
    also: Callable[[], Awaitable[None]] = _nothing,
) -> AsyncGenerator[None]:
    """Keep the server from taking this worker for dead while the body runs.

    Args:
        beat: What the heartbeats say.
        also: Done as often, unless it takes longer.
    """
    ended = asyncio.Event()

    async def keep_beating() -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY)
            activity.heartbeat(beat())

    async def keep_telling() -> None:
        # Half a beat apart from the beats: both find out that an attempt has no run any more, and
        # a worker that is stopping does not come to its end if they do so at the same moment. The
        # SDK (temporalio 1.35.0) then waits for an attempt that has ended.
        await asyncio.sleep(BEAT_EVERY / 2)
        # A cancel that arrives while a library waits for its answer may be lost in there.
        while not ended.is_set():
            await asyncio.sleep(BEAT_EVERY)
            await also()

    # Apart from each other: a database that takes its time must not make this worker look dead.
    async with _beside(keep_beating()), _beside(keep_telling()):
        try:
            yield
        finally:
            ended.set()


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Let something run as long as the body does."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


@asynccontextmanager
async def _in_time() -> AsyncGenerator[None]:
    """End an attempt shortly before the server would, so that it is counted and explained."""
    limit = activity.info().start_to_close_timeout
    try:
        async with asyncio.timeout(limit.total_seconds() * IN_TIME if limit else None):
            yield
    except TimeoutError:
        raise StepTimeoutError("A step of the export took longer than it may.") from None


@asynccontextmanager
async def boundary(
    beat: Callable[[], AttemptBeat | None] = lambda: None,
) -> AsyncGenerator[None]:
    """Turn whatever leaves an activity into what Temporal and people are to see of it.

    Args:
        beat: What the workflow is told of an attempt that ends with its worker.
    """
    try:
        yield
    except ApplicationError:
        raise
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        if details is not None and details.worker_shutdown and not details.cancel_requested:
            # A deploy is no failed attempt: the workflow runs the step again, uncounted.
            raise ApplicationError(
                "The worker was stopped.",
                beat(),
                type=WORKER_SHUTDOWN,
                category=ApplicationErrorCategory.BENIGN,
            ) from None
        raise
    except Exception as error:  # noqa: BLE001 -- the boundary is where every error ends
        raise application_error(domain_error(error)) from None


def domain_error(error: Exception) -> ExportError:
    """Return an error as a domain error: an unexpected one names its kind and place only."""
    if isinstance(error, ExportError):
        return error
    if isinstance(error, RPCError):
        return temporal_error(error.status)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
    _log.error("Unexpected error: %s", place)
    return UnexpectedError(f"Something went wrong inside the service ({place}).")


def application_error(
    error: ExportError, *, final: bool | None = None, delay: timedelta | None = None
) -> ApplicationError:
    """Return what Temporal is told of a domain error.

    Args:
        error: The error.
        final: Whether no further attempt is to be made; by default, whether none can help.
        delay: When to try again; by default, as the retry policy says.
    """
    final = error.permanent if final is None else final
    return ApplicationError(
        error.msg,
        type=error.code,
        non_retryable=final,
        next_retry_delay=None if final else delay,
    )


async def in_thread(work: Callable[[threading.Event], _T]) -> _T:
    """Run blocking work beside the event loop, so that heartbeats go on.

    Args:
        work: Called in a thread with an event that it checks: once set, it cleans up and returns.

    Raises:
        asyncio.CancelledError: The activity was cancelled; the work has ended by then, so that
            it leaves nothing behind.
    """
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        # With the exception, so that asyncio does not log the end of stopped work as an error.
        await asyncio.gather(running, return_exceptions=True)
        raise

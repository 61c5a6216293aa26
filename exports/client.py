"""`ExportClient`: asks for exports, follows them, and makes links to their files."""

import asyncio
import builtins
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from copy import copy
from datetime import timedelta
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from pydantic import ValidationError
from temporalio.client import WorkflowExecutionDescription, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.clock import millis, now_ms
from exports.connections import Connections
from exports.errors import (
    ExportError,
    FileExpiredError,
    RequestError,
    TaskInvalidError,
    TaskStateError,
    UnreachableError,
    WaitTimeoutError,
    error_of,
    explain,
)
from exports.formats import format_named
from exports.models import (
    DEFAULT_FORMAT,
    Author,
    CancelRequest,
    ExportRequest,
    SweepResult,
    TaskStatus,
)
from exports.reports.file import load_reports
from exports.reports.report import ReportCatalog
from exports.server_errors.temporal import temporal_error
from exports.settings import Settings
from exports.tasks.audit import AuditEntry
from exports.tasks.collection import TaskCollection
from exports.tasks.store import TaskStore
from exports.tasks.task import ExportTask
from exports.temporal.payload_size import check_params_fit
from exports.temporal.pollers import nobody_polls
from exports.temporal.schedule import SWEEP_TIMEOUT
from exports.temporal.start import describe_export, start_export

_FIRST_POLL: Final = 0.05  # seconds
_SLOWEST_POLL: Final = 1.0  # seconds
_SLOWER: Final = 1.5  # how much longer each pause is than the last one
_CANCEL_WAIT: Final = timedelta(seconds=10)
_MAX_LISTED: Final = 1000  # tasks

_log = logging.getLogger(__name__)


class ExportClient:
    """Everything that a person or a service can do with exports.

    `created_by` is the person who asks. For that person, a task of somebody else does not exist
    (`TaskNotFoundError`). None is an operator, who sees all tasks; never pass None for a user.

    Use it as an async context manager:

        async with await ExportClient.connect() as client:
            task = await client.create("statsMonthly", {"year": 2026, "month": 10}, created_by="u1")
            task = await client.wait(task.id, created_by="u1")

    Raises:
        DatabaseUnavailableError: By every method but `sweep`: the database that holds the tasks
            did not answer within 10 seconds (`timeoutMS` in its URI changes that). A write may
            have been applied.
        DatabaseAccessError: By the same: it refused the credentials or the permission.
        DatabaseRefusedError: By the same: it refused a command.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        settings: Settings,
        reports: ReportCatalog,
        closing: AsyncExitStack | None = None,
        origin: str = names.FROM_CLIENT,
    ) -> None:
        self._temporal = connections.temporal
        self._store = connections.store
        self._database = connections.mongo[settings.mongo_database]
        self._origin = origin
        self._tasks = TaskStore(TaskCollection(self._database, origin=origin))
        self._settings = settings
        self._reports = reports
        self._closing = closing or AsyncExitStack()
        self._polled = set[str]()

    @classmethod
    async def connect(
        cls, settings: Settings | None = None, *, origin: str = names.FROM_CLIENT
    ) -> Self:
        """Connect to Temporal, MongoDB and the object store.

        Args:
            settings: By default, those of the environment.
            origin: Where requests come from, for the audit record; a short name of a program.

        Raises:
            SettingsError: A setting is missing or wrong.
            ReportsFileError: The reports file has a mistake.
            UnreachableError: A server did not answer within 7 seconds.
            DatabaseAccessError: MongoDB refused the credentials.
            BucketMissingError: The bucket does not exist.
            StoreAccessError: The object store refused the keys or the permission.
            StoreRefusedError: The object store refused a request, or is not at this address.
            ClockError: The clock of this machine is wrong.
        """
        settings = settings or Settings.load()
        reports = load_reports(settings.reports_file)
        async with AsyncExitStack() as closing:
            connections = await Connections.open(settings, closing)
            return cls(
                connections=connections,
                settings=settings,
                reports=reports,
                closing=closing.pop_all(),
                origin=origin,
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._closing.__aexit__(kind, error, trace)

    def with_origin(self, origin: str) -> Self:
        """Return a client with the same connections and another origin for the audit record."""
        other = copy(self)
        # Both are private members of this class.
        other._origin = origin  # noqa: SLF001 -- see above
        other._tasks = TaskStore(TaskCollection(self._database, origin=origin))  # noqa: SLF001 -- see above
        return other

    async def create(
        self,
        type: str,  # noqa: A002 -- the field's name everywhere
        params: Mapping[str, object],
        *,
        created_by: str,
        format: str = DEFAULT_FORMAT,  # noqa: A002 -- same
        idempotency_key: str | None = None,
    ) -> ExportTask:
        """Ask for an export: store the task, then start its workflow.

        If this process dies in between, or Temporal can't be reached, the sweep starts it. If no
        worker has been seen on its task queue, this is logged as a warning.

        Args:
            type: Name of a configured report.
            params: The parameters of the report.
            created_by: Who asks, in 1 to 200 characters.
            format: Name of a file format.
            idempotency_key: 1 to 200 characters. If it is not known whether a call succeeded, it
                can be repeated with the same key: it returns the task that the first call created.
                A key belongs to one person, and is valid as long as the document exists.

        Raises:
            RequestError: `created_by` or `idempotency_key` is empty, too long or not valid text.
            IdempotencyKeyError: The key was used for another request.
            TypeUnknownError: There is no such report.
            ParamsError: The parameters do not fit the report.
            TooLargeError: The parameters are larger than 64 KiB.
            FormatUnknownError: There is no such format.
            TaskInvalidError: The database can't store the parameters.
        """
        report = self._reports.named(type)
        checked = report.check_params(params)
        check_params_fit(checked)
        try:
            request = ExportRequest(
                type=type,
                params=checked,
                created_by=created_by,
                format=format_named(format).name,
            )
        except ValidationError as error:
            raise RequestError(f"The request is not valid: {explain(error)}.") from None
        task = await self._tasks.create(request, task_id=self._task_id(request, idempotency_key))
        # A repeated call finds a task that is running or has ended, unless the first call failed
        # before it could start the workflow.
        if task.status is TaskStatus.PENDING and task.run_id is None:
            await asyncio.gather(self._start(task), self._look_for_workers(bulk=report.bulk))
        return task

    def _task_id(self, request: ExportRequest, idempotency_key: str | None) -> str | None:
        if idempotency_key is None:
            return None
        names.check_text(idempotency_key, "The idempotency key")
        longest = names.MAX_IDEMPOTENCY_KEY_LENGTH
        if not 0 < len(idempotency_key) <= longest:
            raise RequestError(f"An idempotency key must have 1 to {longest} characters.")
        return names.task_id_for(self._settings.task_queue, request.created_by, idempotency_key)

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        return await self._tasks.get(task_id, created_by=created_by)

    async def audit(self, task_id: str, *, created_by: str | None) -> builtins.list[AuditEntry]:
        """Return what happened to a task, oldest entry first: see `exports.tasks.audit`.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        return await self._tasks.audit(task_id, created_by=created_by)

    async def list(
        self,
        *,
        created_by: str | None,
        status: TaskStatus | None = None,
        limit: int = 50,
    ) -> list[ExportTask]:
        """Return tasks, newest first.

        Args:
            created_by: Whose tasks; None for all.
            status: Only tasks with this status; None for all.
            limit: How many, from 1 to 1,000.

        Raises:
            RequestError: `created_by` is not valid text.
        """
        names.check_text(created_by or "", "createdBy")
        return await self._tasks.newest(
            created_by=created_by, status=status, limit=max(1, min(limit, _MAX_LISTED))
        )

    async def watch(self, task_id: str, *, created_by: str | None) -> AsyncIterator[ExportTask]:
        """Yield the task as it is now, then each time it has changed, until it has ended.

        It polls: it reads the document after 0.05 seconds, then less and less often, down to once
        a second. After each change it starts with 0.05 seconds again. If the document changes
        several times between two reads, it is yielded once.

        Raises:
            TaskNotFoundError: There is no such task, it belongs to somebody else, or it was deleted
                meanwhile.
        """
        seen: ExportTask | None = None
        pause = _FIRST_POLL
        while True:
            task = await self._tasks.get(task_id, created_by=created_by)
            looks = task.model_copy(update={"updated_at": None})
            if looks != seen:
                yield task
                seen, pause = looks, _FIRST_POLL
            if task.status.ended:
                return
            await asyncio.sleep(pause)
            pause = min(pause * _SLOWER, _SLOWEST_POLL)

    async def wait(
        self,
        task_id: str,
        *,
        created_by: str | None,
        timeout: timedelta | None = None,  # noqa: ASYNC109 -- part of the interface, with an error of its own
    ) -> ExportTask:
        """Wait until a task has ended, and return it. Its status says how it ended.

        Args:
            task_id: The task.
            created_by: Who asks.
            timeout: How long to wait; None for as long as it takes.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            WaitTimeoutError: It did not end in time. The export goes on.
        """
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                async for task in self.watch(task_id, created_by=created_by):
                    if task.status.ended:
                        return task
        except TimeoutError:
            pass
        raise WaitTimeoutError("The export has not ended yet. It goes on; ask for it again later.")

    async def cancel(self, task_id: str, *, created_by: str | None, reason: str = "") -> ExportTask:
        """Stop an export and remove what it has written; do nothing if it is cancelled already.

        Waits up to 10 seconds for the run to clean up. If the task is still `running` then, the
        clean-up goes on. If no worker polls the task queue of the run, this is logged as a warning:
        a run that has not begun is ended at once, another one as soon as a worker gets to it.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            RequestError: The reason is not valid text.
            TaskStateError: It has ended in another way. If it has a file, the file stays.
            TaskInvalidError: Its workflow is no export.
            UnreachableError: Temporal did not answer.
            TemporalRefusedError: Temporal refused the request.
        """
        names.check_text(reason, "The reason")
        task = await self._tasks.get(task_id, created_by=created_by)
        if not task.status.ended:
            task = await self._stop(task, reason=reason, asked_by=created_by)
        if task.status.ended and task.status is not TaskStatus.CANCELLED:
            raise TaskStateError(
                f"The export is {task.status}; only one that has not ended can be cancelled."
            )
        return task

    async def renew(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Make a new link to the file of an export that is done.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            TaskStateError: It is not done, so it has no file.
            TaskInvalidError: Its document does not name a file of its own.
            FileExpiredError: Its file has been removed.
            StoreDiffersError: Its file is not in the object store of this client, whose settings
                are not those of the worker that wrote it.
            ClockError: The clock of this machine is wrong, so the link would expire at another
                time than it says.
            StoreUnavailableError: The object store did not answer.
            StoreAccessError: The object store refused the keys or the permission.
            StoreRefusedError: The object store refused the request.
            BucketMissingError: The bucket does not exist.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        if task.status is TaskStatus.EXPIRED:
            raise _expired()
        if task.status is not TaskStatus.DONE:
            raise TaskStateError(f"The export is {task.status}; only one that is done has a file.")
        key, name = task.key_of_file(), task.file_name
        if name is None:
            raise TaskInvalidError(
                "The fileName of the task must be the name of a file, without a path."
            )
        await self._tasks.check_clock()
        now = now_ms()
        ends = now + millis(self._settings.url_ttl)
        if task.purge_at is not None:
            ends = min(ends, task.purge_at)
        ttl = timedelta(milliseconds=ends - now)
        if ttl < timedelta(seconds=1):
            raise _expired()
        if await asyncio.to_thread(self._store.size, key) is None:
            self._store.check_is(task.store)
            raise _expired()
        link = await asyncio.to_thread(self._store.link, key, file_name=name, ttl=ttl)
        renewed = await self._tasks.renew(
            task, url=link.url, expires_at=min(link.expires_at, ends), asked_by=created_by
        )
        if renewed is None:
            raise _expired()
        return renewed

    async def retry(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Run a failed export again, with all its attempts.

        If the run that failed is still cleaning up, or Temporal can't be reached, the next sweep
        starts it.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            TaskStateError: It has not failed.
            TaskInvalidError: Its workflow is no export.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        again = (
            await self._tasks.reset(task, asked_by=created_by)
            if task.status is TaskStatus.FAILED
            else None
        )
        if again is None:
            raise TaskStateError(f"The export is {task.status}; only a failed one can be retried.")
        # While the run that failed cleans up, no other can start. If Temporal can't be reached, it
        # is not asked again, because each call would take half a minute.
        pause = _FIRST_POLL
        while not await self._start(again) and pause < _SLOWEST_POLL:
            await asyncio.sleep(pause)
            pause *= _SLOWER
        await self._look_for_workers()
        return again

    async def sweep(self) -> SweepResult:
        """Sweep now, without waiting for the Schedule.

        Raises:
            UnreachableError: Temporal did not answer, or no worker has finished a sweep within the
                time limit of a sweep.
            TemporalRefusedError: Temporal refused the request.
            ExportError: The sweep failed; its code is that of the reason.
        """
        queue = self._settings.task_queue
        try:
            result: SweepResult = await self._temporal.execute_workflow(
                names.SWEEP_WORKFLOW,
                result_type=SweepResult,
                id=f"{names.sweep_workflow_id(queue)}-by-hand-{uuid4()}",
                task_queue=queue,
                execution_timeout=SWEEP_TIMEOUT,
            )
        except RPCError as error:
            raise self._translate(error) from None
        except WorkflowFailureError as failure:
            raise _sweep_error(failure, queue) from None
        return result

    def _translate(self, error: RPCError) -> ExportError:
        address = self._temporal.service_client.config.target_host
        return temporal_error(error.status, f"Temporal at {address}")

    async def _start(self, task: ExportTask) -> bool:
        """Start a task's workflow, or leave that to the sweep; False if one is still open."""
        try:
            return await start_export(
                self._temporal,
                task.request(),
                task_queue=self._settings.task_queue,
                workflow_id=task.workflow_id,
            )
        except RPCError as error:
            # Nothing is lost: the task is stored and due.
            _log.warning(
                "Temporal did not start task %s (%s); the sweep will", task.id, error.status.name
            )
            return True

    async def _look_for_workers(self, *, bulk: bool = False) -> None:
        queue = self._settings.task_queue
        await self._warn_unless_polled(queue)
        if bulk:
            await self._warn_unless_polled(names.bulk_task_queue(queue), activities=True)

    async def _warn_unless_polled(self, queue: str, *, activities: bool = False) -> None:
        """Warn of a task queue on which this client has never seen a worker."""
        if queue in self._polled:
            return
        if not await nobody_polls(self._temporal, queue, activities=activities):
            self._polled.add(queue)
            return
        _log.warning(
            "No worker has been seen on task queue %s; the export waits for one. "
            "Check EXPORTS_TASK_QUEUE and EXPORTS_WORKER_TAKES",
            queue,
        )

    async def _stop(self, task: ExportTask, *, reason: str, asked_by: str | None) -> ExportTask:
        reason = CancelRequest(reason=reason).reason
        run = await self._signal_cancel(task, reason, asked_by)
        if run is not None and await self._is_heard(run, task, reason, asked_by):
            with suppress(WaitTimeoutError):
                return await self.wait(task.id, created_by=None, timeout=_CANCEL_WAIT)
            task = await self._tasks.get(task.id, created_by=None)
            if task.run_id is None:
                # The first signal may have reached a run that was about to close, while the task
                # was already waiting for its next run.
                await self._signal_cancel(task, reason, asked_by)
        return await self._tasks.get(task.id, created_by=None)

    async def _signal_cancel(
        self, task: ExportTask, reason: str, asked_by: str | None
    ) -> WorkflowExecutionDescription | None:
        """Signal the open run of a task and return it; without one, end the task."""
        request = CancelRequest(
            reason=reason, asked_by=Author.person(asked_by, origin=self._origin)
        )
        workflow_id = task.workflow_id or names.workflow_id(task.id)
        try:
            run = await describe_export(self._temporal, workflow_id)
            if run is not None:
                handle = self._temporal.get_workflow_handle(workflow_id)
                await handle.signal(names.CANCEL_SIGNAL, request)
                return run
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise self._translate(error) from None
        # It has not been started yet, or it was lost.
        await self._tasks.close_cancelled(task.id, reason=reason, asked_by=asked_by)
        return None

    async def _is_heard(
        self,
        run: WorkflowExecutionDescription,
        task: ExportTask,
        reason: str,
        asked_by: str | None,
    ) -> bool:
        """Return whether a worker may hear the signal; if not, end a task that has not begun."""
        if not await nobody_polls(self._temporal, run.task_queue):
            return True
        if task.run_id is not None:
            _log.warning(
                "No worker polls task queue %s. Task %s is stopped, and its files are removed, as "
                "soon as one does",
                run.task_queue,
                task.id,
            )
            return False
        # First the task: a worker that comes in between finds it ended. So does one that comes
        # later, if the run can't be terminated.
        if not await self._tasks.close_cancelled(task.id, reason=reason, asked_by=asked_by):
            return True
        with suppress(RPCError):
            await self._temporal.get_workflow_handle(run.id, run_id=run.run_id).terminate(
                f"Cancelled. No worker polls task queue {run.task_queue}."
            )
        _log.warning(
            "No worker polls task queue %s. Task %s had not begun and has been cancelled",
            run.task_queue,
            task.id,
        )
        return False


def _sweep_error(failure: WorkflowFailureError, queue: str) -> ExportError:
    cause = failure.cause.cause if isinstance(failure.cause, ActivityError) else failure.cause
    if isinstance(cause, ApplicationError) and cause.type:
        return error_of(cause.type, f"The sweep failed: {cause.message}")
    return UnreachableError(
        f"No worker on task queue {queue} has finished a sweep within "
        f"{SWEEP_TIMEOUT.total_seconds():.0f} s. Check that a worker is running on this queue."
    )


def _expired() -> FileExpiredError:
    return FileExpiredError("The file has been removed; create the export again.")

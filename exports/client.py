"""`ExportClient`: ask for exports, follow them, and get at their files."""

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

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.clock import now_ms
from exports.connections import Connections
from exports.errors import (
    ExportError,
    FileExpiredError,
    RequestError,
    TaskStateError,
    UnreachableError,
    WaitTimeoutError,
)
from exports.formats import format_named
from exports.models import (
    DEFAULT_FORMAT,
    Author,
    CancelRequest,
    ExportRequest,
    SweepInput,
    SweepResult,
    TaskStatus,
)
from exports.reports.file import load_reports
from exports.reports.report import ReportCatalog
from exports.server_errors.temporal import temporal_error
from exports.settings import Settings
from exports.tasks.audit import AuditEntry
from exports.tasks.store import TaskStore
from exports.tasks.task import ExportTask
from exports.temporal.payload_size import check_params_fit
from exports.temporal.schedule import SWEEP_AT_MOST
from exports.temporal.start import start_export

_FIRST_LOOK: Final = 0.05
_LONGEST_LOOK: Final = 1.0
_SETTLING: Final = timedelta(seconds=10)
_MOST_LISTED: Final = 1000

_log = logging.getLogger(__name__)


class ExportClient:
    """Everything that a person or a service can do with exports.

    Every method takes `created_by`: who asks. A task of somebody else does not exist for them
    (`TaskNotFoundError`). None stands for an operator, who sees all tasks; never pass None on
    behalf of a user.

    Use it as an async context manager:

        async with await ExportClient.connect() as client:
            task = await client.create("statsMonthly", {"year": 2026, "month": 10}, created_by="u1")
            task = await client.wait(task.id, created_by="u1")

    All methods raise `DatabaseUnavailableError` when the database is away.
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
        self._tasks = TaskStore(self._database, origin=origin)
        self._settings = settings
        self._reports = reports
        self._closing = closing or AsyncExitStack()

    @classmethod
    async def connect(
        cls, settings: Settings | None = None, *, origin: str = names.FROM_CLIENT
    ) -> Self:
        """Connect to Temporal, MongoDB and the object store.

        Args:
            settings: By default, the environment's.
            origin: Where requests come from, for the audit record; a short name of a program.

        Raises:
            SettingsError: A setting is missing or wrong.
            ReportsFileError: The reports file has a mistake.
            UnreachableError: A server did not answer within ten seconds.
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

    def through(self, origin: str) -> Self:
        """Return this client with another origin for the audit record; it shares everything."""
        other = copy(self)
        other._tasks = TaskStore(self._database, origin=origin)  # noqa: SLF001 -- of this very class
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

        If this process dies in between, or Temporal is away, the sweep starts it.

        Args:
            type: Name of a configured report.
            params: What the report wants to know.
            created_by: Who asks.
            format: Name of a file format.
            idempotency_key: Whoever does not know whether a call got through repeats it under
                the same key, of 1 to 200 characters, and gets the task that the first call made,
                however far it is. A key is one person's own, and good as long as the document is.

        Raises:
            IdempotencyKeyError: The key was used for another request.
            TypeUnknownError: No such report.
            ParamsError: The parameters don't fit the report.
            TooLargeError: The parameters are larger than 64 KiB.
            FormatUnknownError: No such format.
            RequestError: `created_by` or `idempotency_key` is empty, too long or no text.
        """
        names.check_text(created_by, "createdBy")
        names.check_text(idempotency_key or "", "The idempotency key")
        report = self._reports.named(type)
        if not 0 < len(created_by) <= names.MAX_CREATED_BY_LENGTH:
            raise RequestError(
                f"createdBy says who asks, in 1 to {names.MAX_CREATED_BY_LENGTH} characters."
            )
        longest = names.MAX_IDEMPOTENCY_KEY_LENGTH
        if idempotency_key is not None and not 0 < len(idempotency_key) <= longest:
            raise RequestError(f"An idempotency key has 1 to {longest} characters.")
        checked = report.check_params(params)
        check_params_fit(checked)
        request = ExportRequest(
            type=type,
            params=checked,
            created_by=created_by,
            format=format_named(format).name,
        )
        task_id = None
        if idempotency_key is not None:
            queue = self._settings.task_queue
            task_id = names.task_id_for(queue, created_by, idempotency_key)
        task = await self._tasks.create(request, task_id=task_id)
        # A call that is repeated finds the task at work or at its end, unless the first one died.
        if task.status is TaskStatus.PENDING and task.run_id is None:
            await self._start(task)
        return task

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        return await self._tasks.get(task_id, created_by=created_by)

    async def audit(self, task_id: str, *, created_by: str | None) -> builtins.list[AuditEntry]:
        """Return what has happened to a task, oldest first: see `exports.tasks.audit`.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        return await self._tasks.audit(task_id, created_by=created_by)

    async def list(
        self,
        *,
        created_by: str | None,
        status: TaskStatus | None = None,
        limit: int = 50,
    ) -> list[ExportTask]:
        """Return tasks, newest first, 1,000 at most."""
        names.check_text(created_by or "", "createdBy")
        return await self._tasks.newest(
            created_by=created_by, status=status, limit=max(1, min(limit, _MOST_LISTED))
        )

    async def watch(self, task_id: str, *, created_by: str | None) -> AsyncIterator[ExportTask]:
        """Yield the task as it is, then each time it has changed, until it has ended.

        Raises:
            TaskNotFoundError: There is none, it is somebody else's, or it was deleted meanwhile.
        """
        seen: ExportTask | None = None
        pause = _FIRST_LOOK
        while True:
            task = await self._tasks.get(task_id, created_by=created_by)
            looks = task.model_copy(update={"updated_at": None})
            if looks != seen:
                yield task
                seen, pause = looks, _FIRST_LOOK
            if task.status.ended:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK)

    async def wait(
        self,
        task_id: str,
        *,
        created_by: str | None,
        timeout: timedelta | None = None,  # noqa: ASYNC109 -- the caller's patience, with its own error
    ) -> ExportTask:
        """Return the task once it has ended, well or badly: look at its status.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            WaitTimeoutError: It had not ended in time; it goes on.
        """
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                async for task in self.watch(task_id, created_by=created_by):
                    if task.status.ended:
                        return task
        except TimeoutError:
            pass
        raise WaitTimeoutError("The export has not ended yet; it goes on by itself.")

    async def cancel(self, task_id: str, *, created_by: str | None, reason: str = "") -> ExportTask:
        """Stop an export and remove what it has written; nothing if it is cancelled already.

        Waits a few seconds for the run to clean up; a status of `running` afterwards means that
        it is still at it.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            RequestError: The reason is no text.
            TaskStateError: It has ended otherwise; its file, if it has one, stays.
        """
        names.check_text(reason, "The reason")
        task = await self._tasks.get(task_id, created_by=created_by)
        if not task.status.ended:
            author = Author.person(created_by, origin=self._tasks.origin)
            task = await self._stopped(task, CancelRequest(reason=reason, asked_by=author))
        if task.status.ended and task.status is not TaskStatus.CANCELLED:
            raise TaskStateError(f"The export is {task.status} already; only one at work can stop.")
        return task

    async def renew(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Give a finished export a fresh link.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            FileExpiredError: Its file has been removed.
            ClockError: This machine's clock is wrong, and so would be the end of the link.
            TaskStateError: It has no file, because it has not ended well.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        key, name = task.object_key, task.file_name
        if task.status is TaskStatus.EXPIRED:
            raise _expired()
        if task.status is not TaskStatus.DONE or key is None or name is None:
            raise TaskStateError(f"The export is {task.status}; only one that is done has a file.")
        await self._tasks.check_clock()
        now = now_ms()
        ends = now + int(self._settings.url_ttl.total_seconds() * 1000)
        if task.purge_at is not None:
            ends = min(ends, task.purge_at)
        ttl = timedelta(milliseconds=ends - now)
        if ttl < timedelta(seconds=1) or not await asyncio.to_thread(self._store.exists, key):
            raise _expired()
        link = await asyncio.to_thread(self._store.link, key, file_name=name, ttl=ttl)
        renewed = await self._tasks.renewed(
            task, url=link.url, expires_at=min(link.expires_at, ends), asked_by=created_by
        )
        if renewed is None:
            raise _expired()
        return renewed

    async def retry(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Run a failed export again, its failed attempts forgotten.

        If the run that failed is still cleaning up after some seconds, the next sweep starts it.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            TaskStateError: It has not failed.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        again = (
            await self._tasks.reset(task, asked_by=created_by)
            if task.status is TaskStatus.FAILED
            else None
        )
        if again is None:
            raise TaskStateError(f"The export is {task.status}; only a failed one is run again.")
        # The run that failed may still be cleaning up. What is not started here, the sweep starts,
        # at once so if Temporal is away: asking it again would take half a minute each time.
        pause = _FIRST_LOOK
        while not await self._start(again) and pause < _LONGEST_LOOK:
            await asyncio.sleep(pause)
            pause *= 1.5
        return again

    async def sweep(self) -> SweepResult:
        """Sweep now, without waiting for the Schedule.

        Raises:
            UnreachableError: Temporal does not answer, or no worker has swept within the time
                that a sweep may take.
            TemporalRefusedError: Temporal refuses.
        """
        queue = self._settings.task_queue
        try:
            result: SweepResult = await self._temporal.execute_workflow(
                names.SWEEP_WORKFLOW,
                SweepInput(task_queue=queue),
                result_type=SweepResult,
                id=f"{names.sweep_workflow_id(queue)}-by-hand-{uuid4()}",
                task_queue=queue,
                execution_timeout=SWEEP_AT_MOST,
            )
        except RPCError as error:
            raise self._told(error) from None
        except WorkflowFailureError:
            raise UnreachableError(
                f"No worker on task queue {queue} has swept within {SWEEP_AT_MOST}, "
                "or the sweep failed; the Temporal Web UI says why."
            ) from None
        return result

    def _told(self, error: RPCError) -> ExportError:
        address = self._temporal.service_client.config.target_host
        return temporal_error(error.status, f"Temporal at {address}")

    async def _start(self, task: ExportTask) -> bool:
        """Start a task's workflow, or leave that to the sweep; False if one is open still."""
        request = ExportRequest(
            type=task.type,
            params=task.params,
            created_by=task.created_by,
            format=task.format,
            task_id=task.id,
        )
        try:
            return await start_export(
                self._temporal,
                request,
                task_queue=self._settings.task_queue,
                workflow_id=task.workflow_id,
            )
        except RPCError as error:
            # Nothing is lost: the task is stored and due, and the sweep starts it.
            _log.warning(
                "Task %s is left to the sweep: Temporal is away (%s)", task.id, error.status.name
            )
            return True

    async def _stopped(self, task: ExportTask, request: CancelRequest) -> ExportTask:
        if await self._signalled(task, request):
            with suppress(WaitTimeoutError):
                return await self.wait(task.id, created_by=None, timeout=_SETTLING)
            task = await self._tasks.get(task.id, created_by=None)
            if task.run_id is None:
                # The signal may have met the run before a retry, which was closing already.
                await self._signalled(task, request)
        return await self._tasks.get(task.id, created_by=None)

    async def _signalled(self, task: ExportTask, request: CancelRequest) -> bool:
        workflow_id = task.workflow_id or names.workflow_id(task.id)
        handle = self._temporal.get_workflow_handle(workflow_id)
        try:
            await handle.signal(names.CANCEL_SIGNAL, request)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise self._told(error) from None
            document = await self._tasks.find(task.id)
            if document is not None:
                # No run is open: it has not been started yet, or it was lost.
                await self._tasks.close_unowned(
                    document,
                    TaskStatus.CANCELLED,
                    {"cancelReason": request.reason},
                    author=request.asked_by or Author.person(None, origin=self._tasks.origin),
                )
            return False
        return True


def _expired() -> FileExpiredError:
    return FileExpiredError("The file has been removed; ask for the export again.")

"""What a worker does for a run that the Schedule of a recurring export has started."""

from exports import names
from exports.clock import now_ms
from exports.errors import (
    ExportError,
    FormatUnknownError,
    ParamsError,
    RequestError,
    TaskNotFoundError,
    TypeUnknownError,
)
from exports.formats import format_named
from exports.messages.message import Event, Message, Subject
from exports.messages.notices import TELL_OWNER, notice
from exports.models import Author, AuthorRole, ExportRequest, Recurrence
from exports.recurring.record import Record, RecurringAction
from exports.recurring.schedules import RecurringSchedules, ScheduleGoneError
from exports.recurring.store import RecurringStore
from exports.reports.limits import limits_of
from exports.reports.report import ReportCatalog
from exports.runtime.outages import waits
from exports.settings import Settings
from exports.tasks.collection import RECURRING, TaskCollection
from exports.tasks.scheduled import ScheduledStore


class RecurringRuns:
    """Stores the tasks of recurring exports, and pauses those that can't be made any more.

    Args:
        tasks: The tasks.
        store: The recurring exports.
        schedules: Their Schedules.
        reports: The configured reports.
        settings: Of the worker: the quotas.
    """

    def __init__(
        self,
        *,
        tasks: TaskCollection,
        store: RecurringStore,
        schedules: RecurringSchedules,
        reports: ReportCatalog,
        settings: Settings,
    ) -> None:
        self._tasks = tasks
        self._scheduled = ScheduledStore(tasks)
        self._store = store
        self._schedules = schedules
        self._reports = reports
        self._settings = settings

    @waits
    async def prepare(
        self, request: ExportRequest, of: Recurrence, *, task_id: str, planned_for: int
    ) -> None:
        """Store the task of a run, unless there is one.

        Args:
            request: The input of the run.
            of: The recurring export that it names.
            task_id: The task.
            planned_for: The time that the run is planned for (epoch milliseconds).

        Raises:
            RequestError: The task belongs to another export.
            TaskNotFoundError: The recurring export was deleted, or is somebody else's.
            TypeUnknownError: The report is gone. This pauses the recurring export and tells its
                owner, like the next two.
            ParamsError: The parameters do not fit the report any more.
            FormatUnknownError: The format is gone.
            QuotaError: Its owner has as many exports as they may have. The task says so.
        """
        there = await self._tasks.find(task_id)
        if there is not None:
            if (there.get(RECURRING), there.get("createdBy")) != (of.id, request.created_by):
                raise RequestError("This workflow id belongs to another export.")
            return
        record = await self._store.find(of.id)
        if record is None or record.created_by != request.created_by:
            if record is None:
                await self._pause(of.id, "The recurring export was deleted.")
            raise TaskNotFoundError("There is no such recurring export.")
        try:
            report = self._reports.named(request.type)
            format_named(request.format)
            params, _ = report.params_at(request.params, of.period, planned_for)
        except (TypeUnknownError, ParamsError, FormatUnknownError) as error:
            await self._give_up(record, error, planned_for)
            raise
        await self._scheduled.create(
            request.model_copy(update={"params": params}),
            task_id,
            limits=limits_of(
                [report],
                quota_open=self._settings.quota_open,
                quota_per_day=self._settings.quota_per_day,
            ),
        )

    async def _give_up(self, record: Record, error: ExportError, planned_for: int) -> None:
        """Store what its owner is to be told, then pause it.

        Whoever repeats this after a crash does the same again, and the owner is told once.
        """
        try:
            if (await self._schedules.describe(record.id)).schedule.state.paused:
                return
        except ScheduleGoneError:
            return
        reason = f"{error.code}: {error.msg}"
        message = Message(
            id=names.message_id(record.id, Event.RECURRING_PAUSED, str(planned_for)),
            event=Event.RECURRING_PAUSED,
            at=now_ms(),
            created_by=record.created_by,
            subject=Subject(id=record.id, name=record.name, reason=reason),
        )
        await self._store.record(
            record.id,
            Author(role=AuthorRole.WORKER, origin=self._tasks.origin),
            RecurringAction.PAUSED,
            code=error.code,
            tell=notice(message, [*(record.notify or ()), *TELL_OWNER]),
        )
        await self._pause(record.id, reason)

    async def _pause(self, recurring_id: str, note: str) -> None:
        try:
            await self._schedules.pause(recurring_id, note)
        except ScheduleGoneError:
            return

"""The Temporal Schedules of recurring exports. They are the truth for when these run."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.schedule.v1 import SchedulePatch, TriggerImmediatelyRequest
from temporalio.api.workflowservice.v1 import (
    ListScheduleMatchingTimesRequest,
    PatchScheduleRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.clock import epoch_ms, from_epoch_ms
from exports.errors import RequestError, TaskStateError
from exports.recurring.record import Record, RecurringExport, RecurringState
from exports.server_errors.temporal import temporal_error
from exports.temporal.search_attributes import with_known_attributes
from exports.temporal.start import attributes_of, priority_of, summary_of

CATCH_UP: Final = timedelta(days=1)
"""How late an export may start after Temporal was away; older ones are skipped."""
_INVALID_SPEC: Final = "Invalid schedule spec"  # how Temporal's message begins
_SHOWN: Final = 3
_SECOND: Final = timedelta(seconds=1)


class ScheduleGoneError(TaskStateError):
    """There is no such Schedule: somebody has deleted it in Temporal."""

    def __init__(self) -> None:
        super().__init__(
            "Its Schedule was deleted in Temporal. Resume it, which creates the Schedule again, or "
            "delete it."
        )


class RecurringSchedules:
    """Creates and controls the Schedules of recurring exports. Every method may be repeated.

    Args:
        temporal: The client.
        task_queue: The queue of the workers.

    Raises:
        ScheduleGoneError: By every method but `create`, `resume` and `delete`: there is no such
            Schedule.
        UnreachableError: By every method: Temporal did not answer.
        TemporalRefusedError: By every method: Temporal refused the request.
    """

    def __init__(self, temporal: Client, *, task_queue: str) -> None:
        self._temporal = temporal
        self._task_queue = task_queue

    async def create(self, record: Record) -> None:
        """Create a Schedule, unless it is there.

        Raises:
            RequestError: Temporal can't read when it is due.
        """
        with suppress(ScheduleAlreadyRunningError):
            await self._create(record, f"{record.name}, of {record.created_by}")

    async def resume(self, record: Record, note: str) -> None:
        """End the pause of a Schedule, and bring its action up to date; create it if it is gone.

        Args:
            record: The recurring export.
            note: Why.

        Raises:
            RequestError: Temporal can't read when it is due.
        """

        async def update(attributes: TypedSearchAttributes) -> None:
            def updated(current: ScheduleUpdateInput) -> ScheduleUpdate:
                there = current.description.schedule
                state = replace(there.state, paused=False, note=note)
                action = self._action(record, attributes)
                return ScheduleUpdate(replace(there, action=action, state=state))

            await self._handle(record.id).update(updated)

        try:
            await self._create(record, note)
        except ScheduleAlreadyRunningError:
            with _translated():
                await with_known_attributes(update, attributes_of(record.request()))

    async def show(self, record: Record) -> RecurringExport:
        """Return a recurring export as its Schedule says; one without a Schedule is `missing`."""
        both = RecurringExport.model_fields.keys() & Record.model_fields.keys()
        asked = {name: getattr(record, name) for name in both}
        try:
            found = await self.describe(record.id)
        except ScheduleGoneError:
            return RecurringExport(**asked, state=RecurringState.MISSING)
        state, info = found.schedule.state, found.info
        return RecurringExport(
            **asked,
            state=RecurringState.PAUSED if state.paused else RecurringState.ACTIVE,
            note=state.note or "",
            next_runs=[] if state.paused else list(map(epoch_ms, info.next_action_times[:_SHOWN])),
            last_runs=[_whole_second(run.scheduled_at) for run in info.recent_actions[-_SHOWN:]],
        )

    async def describe(self, recurring_id: str) -> ScheduleDescription:
        """Return what Temporal says of a Schedule."""
        with _translated():
            return await self._handle(recurring_id).describe()

    async def pause(self, recurring_id: str, note: str) -> None:
        """Pause a Schedule; exports that are running go on."""
        with _translated():
            await self._handle(recurring_id).pause(note=note)

    async def trigger(self, recurring_id: str, planned_for: int) -> None:
        """Start an export now, also if the Schedule is paused.

        Args:
            recurring_id: Which one.
            planned_for: The time that the export is planned for (epoch milliseconds).
        """
        planned = Timestamp()
        planned.FromMilliseconds(planned_for)
        with _translated():
            # The SDK's own `trigger` has no planned time.
            await self._temporal.workflow_service.patch_schedule(
                PatchScheduleRequest(
                    namespace=self._temporal.namespace,
                    schedule_id=self._id(recurring_id),
                    patch=SchedulePatch(
                        trigger_immediately=TriggerImmediatelyRequest(scheduled_time=planned)
                    ),
                    identity=self._temporal.identity,
                    request_id=str(uuid4()),
                ),
                retry=True,
            )

    async def times(self, recurring_id: str, since: int, until: int) -> list[datetime]:
        """Return the times at which it was, or will be, due; Temporal lists 1,000 at most.

        Args:
            recurring_id: Which one.
            since: From this time on (epoch milliseconds).
            until: Before this time (epoch milliseconds).
        """
        start, end = Timestamp(), Timestamp()
        # To Temporal, the first one is excluded, and the last one is not. Times are whole seconds.
        start.FromDatetime(from_epoch_ms(since - 1))
        end.FromDatetime(from_epoch_ms(until - 1))
        with _translated():
            found = await self._temporal.workflow_service.list_schedule_matching_times(
                ListScheduleMatchingTimesRequest(
                    namespace=self._temporal.namespace,
                    schedule_id=self._id(recurring_id),
                    start_time=start,
                    end_time=end,
                )
            )
        return [time.ToDatetime(tzinfo=UTC) for time in found.start_time]

    async def backfill(self, recurring_id: str, first: datetime, last: datetime) -> None:
        """Start the exports of all times from the first to the last, one after the other."""
        # A second before, because servers differ in whether the first one is excluded.
        span = ScheduleBackfill(
            start_at=first - _SECOND, end_at=last, overlap=ScheduleOverlapPolicy.BUFFER_ALL
        )
        with _translated():
            await self._handle(recurring_id).backfill(span)

    async def delete(self, recurring_id: str) -> None:
        """Delete a Schedule; do nothing if there is none. Exports that are running go on."""
        try:
            with _translated():
                await self._handle(recurring_id).delete()
        except ScheduleGoneError:
            return

    def _id(self, recurring_id: str) -> str:
        return names.recurring_schedule_id(self._task_queue, recurring_id)

    def _handle(self, recurring_id: str) -> ScheduleHandle:
        return self._temporal.get_schedule_handle(self._id(recurring_id))

    async def _create(self, record: Record, note: str) -> None:
        policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=CATCH_UP)

        async def create(attributes: TypedSearchAttributes) -> None:
            own = attributes_of(record.request(), None) if len(attributes) else attributes
            await self._temporal.create_schedule(
                self._id(record.id),
                Schedule(
                    action=self._action(record, attributes),
                    spec=record.when.spec(),
                    policy=policy,
                    state=ScheduleState(note=note),
                ),
                memo=_memo(record),
                search_attributes=own,
            )

        with _translated():
            await with_known_attributes(create, attributes_of(record.request()))

    def _action(
        self, record: Record, attributes: TypedSearchAttributes
    ) -> ScheduleActionStartWorkflow:
        request = record.request()
        return ScheduleActionStartWorkflow(
            names.EXPORT_WORKFLOW,
            request,
            id=names.workflow_id(record.id),
            task_queue=self._task_queue,
            static_summary=summary_of(request),
            typed_search_attributes=attributes,
            priority=priority_of(request),
        )


def _whole_second(planned_for: datetime) -> int:
    # As the id of the export has it. That of a trigger is a part of a second later.
    return epoch_ms(planned_for.replace(microsecond=0))


def _memo(record: Record) -> dict[str, str]:
    return {
        "name": record.name,
        "owner": record.created_by,
        "what": " ".join(filter(None, (record.type, record.period, record.format))),
        "when": str(record.when),
    }


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise ScheduleGoneError from None
        if error.status == RPCStatusCode.INVALID_ARGUMENT and error.message.startswith(
            _INVALID_SPEC
        ):
            raise RequestError(
                "Temporal can't read when it is due; check the cron expression and the time zone."
            ) from None
        raise temporal_error(error.status) from None

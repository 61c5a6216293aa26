"""The Schedule of the sweep: every five minutes, and never two sweeps at once."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleAction,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.clock import epoch_ms
from exports.errors import ScheduleMissingError
from exports.models import ScheduleView
from exports.server_errors.temporal import temporal_error

SWEEP_EVERY: Final = timedelta(minutes=5)
SWEEP_CATCH_UP: Final = timedelta(minutes=10)
"""How late a sweep may start after Temporal was away; older ones are skipped."""
SWEEP_TIMEOUT: Final = timedelta(minutes=4, seconds=30)
"""The time limit of one sweep, so that one that hangs ends before the next one is due."""


class SweepSchedule:
    """Creates, shows and controls the Schedule of one task queue. Every method may be repeated.

    Args:
        temporal: The client.
        task_queue: The queue whose workers sweep.

    Raises:
        ScheduleMissingError: By every method but `apply`: the Schedule has not been created.
        UnreachableError: By every method: Temporal did not answer.
        TemporalRefusedError: By every method: Temporal refused the request.
    """

    def __init__(self, temporal: Client, *, task_queue: str) -> None:
        self._temporal = temporal
        self._task_queue = task_queue

    async def apply(self) -> ScheduleView:
        """Create the Schedule, or update it. A paused Schedule stays paused."""
        with _translated():
            try:
                await self._temporal.create_schedule(self._id, self._schedule())
            except ScheduleAlreadyRunningError:
                await self._handle.update(self._updated)
        return await self.show()

    async def show(self) -> ScheduleView:
        """Return the state of the Schedule."""
        with _translated():
            found = await self._handle.describe()
        spec, state, info = found.schedule.spec, found.schedule.state, found.info
        return ScheduleView(
            schedule_id=self._id,
            paused=state.paused,
            note=state.note or "",
            every_seconds=int(spec.intervals[0].every.total_seconds()) if spec.intervals else 0,
            next_runs=[epoch_ms(time) for time in info.next_action_times[:3]],
            last_runs=[epoch_ms(result.started_at) for result in info.recent_actions[-3:]],
            up_to_date=self._is_current(found.schedule),
        )

    async def pause(self, note: str) -> ScheduleView:
        """Pause the Schedule; a sweep that is running goes on."""
        with _translated():
            await self._handle.pause(note=note)
        return await self.show()

    async def resume(self, note: str) -> ScheduleView:
        """End the pause of the Schedule."""
        with _translated():
            await self._handle.unpause(note=note)
        return await self.show()

    async def trigger(self) -> ScheduleView:
        """Start a sweep now, unless one is running."""
        with _translated():
            await self._handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
        return await self.show()

    @property
    def _id(self) -> str:
        return names.schedule_id(self._task_queue)

    @property
    def _handle(self) -> ScheduleHandle:
        return self._temporal.get_schedule_handle(self._id)

    def _schedule(self) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                names.SWEEP_WORKFLOW,
                id=names.sweep_workflow_id(self._task_queue),
                task_queue=self._task_queue,
                execution_timeout=SWEEP_TIMEOUT,
                static_summary="Start due tasks, heal lost ones, purge expired files",
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP, catchup_window=SWEEP_CATCH_UP
            ),
        )

    def _is_current(self, found: Schedule) -> bool:
        meant = self._schedule()
        if (found.spec, found.policy) != (meant.spec, meant.policy):
            return False
        # The summary is left out, because it may be encrypted.
        return _does(found.action) == _does(meant.action)

    def _updated(self, current: ScheduleUpdateInput) -> ScheduleUpdate:
        state = current.description.schedule.state
        return ScheduleUpdate(schedule=replace(self._schedule(), state=state))


def _does(action: ScheduleAction) -> tuple[object, ...]:
    if not isinstance(action, ScheduleActionStartWorkflow):
        return ()
    return (
        action.workflow,
        action.id,
        action.task_queue,
        action.execution_timeout,
        list(action.args),
    )


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise ScheduleMissingError(
                "There is no Schedule yet; create it with: exports schedule apply"
            ) from None
        raise temporal_error(error.status) from None

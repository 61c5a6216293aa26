"""The Schedule that replaces the old timer: every five minutes, never two sweeps at once."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
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
from exports.errors import ScheduleMissingError
from exports.models import ScheduleView, SweepInput
from exports.server_errors.temporal import temporal_error

SWEEP_EVERY: Final = timedelta(minutes=5)
SWEEP_CATCH_UP: Final = timedelta(minutes=10)
SWEEP_AT_MOST: Final = timedelta(minutes=4, seconds=30)


class SweepSchedule:
    """Creates, shows and steers the Schedule of one task queue. Safe to do twice, all of it.

    Args:
        temporal: The client.
        task_queue: The workers that are to sweep.

    Raises:
        ScheduleMissingError: By every method but `apply`: it has not been created.
        UnreachableError: Temporal does not answer.
        TemporalRefusedError: It refuses.
    """

    def __init__(self, temporal: Client, *, task_queue: str) -> None:
        self._temporal = temporal
        self._task_queue = task_queue

    async def apply(self) -> ScheduleView:
        """Create the Schedule, or bring it up to date; whether it is paused stays as it is."""
        with _translated():
            try:
                await self._temporal.create_schedule(self._id, self._schedule())
            except ScheduleAlreadyRunningError:
                await self._handle.update(self._brought_up_to_date)
        return await self.show()

    async def show(self) -> ScheduleView:
        """Say how the Schedule stands."""
        with _translated():
            found = await self._handle.describe()
        spec, state, info = found.schedule.spec, found.schedule.state, found.info
        return ScheduleView(
            schedule_id=self._id,
            paused=state.paused,
            note=state.note or "",
            every_seconds=int(spec.intervals[0].every.total_seconds()) if spec.intervals else 0,
            next_runs=[_millis(time) for time in info.next_action_times[:3]],
            last_runs=[_millis(result.started_at) for result in info.recent_actions[-3:]],
        )

    async def pause(self, note: str) -> ScheduleView:
        """Let the Schedule rest; what is running goes on."""
        with _translated():
            await self._handle.pause(note=note)
        return await self.show()

    async def resume(self, note: str) -> ScheduleView:
        """Let the Schedule sweep again."""
        with _translated():
            await self._handle.unpause(note=note)
        return await self.show()

    async def trigger(self) -> ScheduleView:
        """Sweep at once, unless a sweep is running."""
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
                SweepInput(task_queue=self._task_queue),
                id=names.sweep_workflow_id(self._task_queue),
                task_queue=self._task_queue,
                # A sweep that hangs makes room for the next one.
                execution_timeout=SWEEP_AT_MOST,
                static_summary="Start what is due, heal what was left, purge what expired",
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP, catchup_window=SWEEP_CATCH_UP
            ),
        )

    def _brought_up_to_date(self, current: ScheduleUpdateInput) -> ScheduleUpdate:
        state = current.description.schedule.state
        return ScheduleUpdate(schedule=replace(self._schedule(), state=state))


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


def _millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)

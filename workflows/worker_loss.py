"""How a step survives what is not its fault: a worker that went away, or one that can't do it.

None of this counts as a failed attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as StepTimeoutError

with workflow.unsafe.imports_passed_through():
    from exports.models import AttemptBeat
    from workflows import policies

_T = TypeVar("_T")


@dataclass(frozen=True)
class Before:
    """What has become of a step before it is tried again.

    Attributes:
        retries: Failed attempts of the task.
        suspect: Whether so many workers went away that the step may be the reason.
    """

    retries: int
    suspect: bool


async def surviving_workers(
    call: Callable[[Before], Awaitable[_T]],
    *,
    retries: int,
    lost: Callable[[], None],
    stopped: Callable[[], bool] = lambda: False,
) -> _T:
    """Run a step again, uncounted, when its worker went away, or lacks the key or the report.

    Args:
        call: Runs the step; its argument says what was before.
        retries: Failed attempts of the task so far.
        lost: Told of each worker that went away, which may have left something behind.
        stopped: Whether the step is not to be run again.

    Raises:
        asyncio.CancelledError: It was not to be run again.
        ApplicationError: Worker after worker went away during the step, or lacked the key.
        ActivityError: The step failed for any other reason, or no worker that was asked has the
            report as planned.
    """
    in_a_row = 0
    for_keys, for_report = _PatienceForKeys(), _PatienceForReport()
    again = False
    while True:
        if again and stopped():
            raise asyncio.CancelledError
        again = True
        try:
            suspect = in_a_row >= policies.SUSPECT_AFTER
            return await call(Before(retries=retries, suspect=suspect))
        except ActivityError as error:
            cause = error.cause
            if _is_unreadable(cause):
                await for_keys.wait()
                continue
            if report_changed(error):
                await for_report.wait(error)
                continue
            if isinstance(cause, StepTimeoutError) and cause.type == TimeoutType.HEARTBEAT:
                in_a_row += 1
                beats = cause.last_heartbeat_details
            elif isinstance(cause, ApplicationError) and cause.type == policies.WORKER_SHUTDOWN:
                beats = cause.details
            else:
                raise
            lost()
            retries = max(retries, *map(_retries_of, beats), 0)
        if in_a_row >= policies.MOST_WORKERS_LOST:
            raise ApplicationError(
                f"{in_a_row} workers in a row went away during this step.",
                type="E_WORKER_LOST",
                non_retryable=True,
            )


class _PatienceForKeys:
    """Waits for workers that can read what a step is given, for as long as a roll-out may take."""

    def __init__(self) -> None:
        self._began = workflow.now()
        self._next = policies.FIRST_WAIT_FOR_KEY

    async def wait(self) -> None:
        if workflow.now() - self._began > policies.WAIT_FOR_KEY_WITHIN:
            raise ApplicationError(
                "The workers lack the key that this export is encrypted with.",
                type="E_ENCRYPTION_KEY",
                non_retryable=True,
            )
        await workflow.sleep(self._next, summary="for a worker that has the encryption key")
        self._next = min(self._next * 2, policies.LONGEST_WAIT_FOR_KEY)


def _is_unreadable(cause: BaseException | None) -> bool:
    # The SDK wraps what the codec raised: "Failed decoding arguments".
    reason = cause.__cause__ if isinstance(cause, ApplicationError) else None
    return isinstance(reason, ApplicationError) and reason.type == policies.UNREADABLE


class _PatienceForReport:
    """Leaves a unit to a few workers, before the export is planned by what they have instead."""

    def __init__(self) -> None:
        self._refused = 0

    async def wait(self, error: ActivityError) -> None:
        self._refused += 1
        if self._refused >= policies.MOST_WORKERS_THAT_DIFFER:
            raise error
        wait = policies.retry_delay(self._refused)
        await workflow.sleep(wait, summary="for a worker that has the report as planned")


def report_changed(error: ActivityError) -> bool:
    """Return whether a step was left undone, because its worker has another report than planned."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == policies.REPORT_CHANGED


def _retries_of(beat: object) -> int:
    return AttemptBeat.model_validate(beat).retries if beat else 0

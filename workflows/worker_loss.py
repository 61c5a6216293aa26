"""Runs a step again when a worker was lost, or could not do it, without counting a failed attempt.

A worker can't do a step if it lacks the encryption key, or has another report or object store than
planned.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from exports.errors import EncryptionKeyError, WorkerLostError
    from exports.runtime.metrics import count_lost_worker, count_uncounted_wait
    from workflows import policies
    from workflows.failures import application_error, failed_attempts

_T = TypeVar("_T")


@dataclass(frozen=True)
class StepHistory:
    """What has happened before a step is run.

    Attributes:
        retries: Failed attempts of the task.
        suspect: Whether so many workers were lost during the step that it may be the cause.
    """

    retries: int
    suspect: bool


async def run_step(
    call: Callable[[StepHistory], Awaitable[_T]],
    *,
    retries: int,
    on_worker_lost: Callable[[], None],
    cancel_requested: Callable[[], bool],
) -> _T:
    """Run a step, and run it again if its worker was lost, or could not do it.

    Args:
        call: Runs the step once.
        retries: Failed attempts of the task so far.
        on_worker_lost: Called for each lost worker, which may have left something behind.
        cancel_requested: Whether the step is not to be run again.

    Raises:
        asyncio.CancelledError: The step was not to be run again.
        ApplicationError: Too many workers in a row were lost during the step, or none had the key
            in time.
        ActivityError: The step failed for another reason, or no worker that was asked had the
            report and the object store as planned.
    """
    lost_in_a_row = 0
    key_backoff, plan_backoff = _KeyBackoff(), _PlanBackoff()
    again = False
    while True:
        if again and cancel_requested():
            raise asyncio.CancelledError
        again = True
        try:
            suspect = lost_in_a_row >= policies.SUSPECT_AFTER
            return await call(StepHistory(retries=retries, suspect=suspect))
        except ActivityError as error:
            cause = error.cause
            if _lacks_key(cause):
                await key_backoff.wait()
                continue
            if is_left_to_others(error):
                await plan_backoff.wait(error)
                continue
            if isinstance(cause, ActivityTimeoutError) and cause.type == TimeoutType.HEARTBEAT:
                lost_in_a_row += 1
            elif not (
                isinstance(cause, ApplicationError) and cause.type == policies.WORKER_SHUTDOWN
            ):
                raise
            on_worker_lost()
            count_lost_worker("timeout" if cause.type == TimeoutType.HEARTBEAT else "shutdown")
            retries = max(retries, failed_attempts(cause))
        if lost_in_a_row >= policies.MOST_WORKERS_LOST:
            raise application_error(
                WorkerLostError(f"{lost_in_a_row} workers in a row were lost during this step.")
            )


class _KeyBackoff:
    """Waits for a worker that has the encryption key, as long as a roll-out of keys may take."""

    def __init__(self) -> None:
        self._began = workflow.now()
        self._next = policies.FIRST_WAIT_FOR_KEY

    async def wait(self) -> None:
        if workflow.now() - self._began > policies.WAIT_FOR_KEY_WITHIN:
            raise application_error(
                EncryptionKeyError("No worker has the key that this export is encrypted with."),
                final=True,
            )
        count_uncounted_wait("key")
        await workflow.sleep(self._next, summary="for a worker that has the encryption key")
        self._next = min(self._next * 2, policies.LONGEST_WAIT_FOR_KEY)


def _lacks_key(cause: BaseException | None) -> bool:
    # The SDK wraps what the codec raised: "Failed decoding arguments".
    reason = cause.__cause__ if isinstance(cause, ApplicationError) else None
    return isinstance(reason, ApplicationError) and reason.type == policies.UNREADABLE


class _PlanBackoff:
    """Waits for a worker that fits the plan; gives up after a few that do not."""

    def __init__(self) -> None:
        self._refused = 0

    async def wait(self, error: ActivityError) -> None:
        self._refused += 1
        if self._refused >= policies.MOST_WORKERS_THAT_DIFFER:
            raise error
        wait = policies.retry_delay(self._refused)
        count_uncounted_wait("plan")
        await workflow.sleep(wait, summary="for a worker that fits the plan")


def is_left_to_others(error: ActivityError) -> bool:
    """Return whether a worker refused a step because it does not fit the plan."""
    return isinstance(error.cause, ApplicationError) and error.cause.type in policies.LEFT_TO_OTHERS

"""The activities as the workflow calls them: one typed function each, under its policy.

They are called by name, so that no workflow imports a database or an object store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as StepTimeoutError
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import (
        AggregateInput,
        AttemptBeat,
        CancelledInput,
        Claim,
        ClaimInput,
        DiscardResult,
        DoneInput,
        ExportResult,
        FailedInput,
        FinishedFile,
        StagedUnit,
        SweepCount,
        SweepInput,
        TaskRef,
        UploadInput,
        WireModel,
    )
    from workflows import policies
    from workflows.policies import StepPolicy

_Out = TypeVar("_Out", bound=WireModel)
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


async def claim(ask: ClaimInput, before: Before) -> Claim:
    """Make this run the owner of its task and learn what is to be done."""
    return await _run(
        names.CLAIM,
        ask,
        Claim,
        step=policies.CLAIM_STEP,
        retry=policies.attempts(ask.task.max_retries),
        summary="claim the task",
        suspect=before.suspect,
    )


async def aggregate(ask: AggregateInput, before: Before) -> StagedUnit:
    """Stage the rows of one unit."""
    ask = ask.model_copy(update={"retries_before": before.retries})
    return await _run(
        names.AGGREGATE,
        ask,
        StagedUnit,
        step=policies.AGGREGATE_STEP,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary=f"rows of {ask.unit.key}",
        bulk=ask.plan.bulk,
        suspect=before.suspect,
    )


async def upload(ask: UploadInput, before: Before) -> FinishedFile:
    """Encode the staged parts into the finished file."""
    ask = ask.model_copy(update={"retries_before": before.retries})
    return await _run(
        names.UPLOAD,
        ask,
        FinishedFile,
        step=policies.UPLOAD_STEP,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary=f"{sum(part.rows for part in ask.parts):,} rows as {ask.plan.format}",
        bulk=ask.plan.bulk,
        suspect=before.suspect,
    )


async def writeback_done(ask: DoneInput, before: Before) -> ExportResult:
    """Move the task to `done`, with a link."""
    ask = ask.model_copy(update={"retries_before": before.retries})
    return await _run(
        names.WRITEBACK_DONE,
        ask,
        ExportResult,
        step=policies.WRITEBACK_STEP,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary="done",
        suspect=before.suspect,
    )


async def writeback_failed(ask: FailedInput) -> ExportResult:
    """Move the task to `failed`, however long that takes."""
    return await _last_word(names.WRITEBACK_FAILED, ask, f"failed: {ask.code}")


async def writeback_cancelled(ask: CancelledInput) -> ExportResult:
    """Move the task to `cancelled`, however long that takes."""
    return await _last_word(names.WRITEBACK_CANCELLED, ask, "cancelled")


async def discard(task: TaskRef) -> DiscardResult:
    """Remove what the run left in the bucket."""
    return await _run(
        names.DISCARD,
        task,
        DiscardResult,
        step=policies.CLEANUP_STEP,
        retry=policies.CLEANUP,
        summary="remove what the run left",
    )


async def close_as_canceled(task: TaskRef) -> None:
    """Ask the server to cancel this run: a run can close as Canceled in no other way."""
    await workflow.execute_activity(
        names.CLOSE_AS_CANCELED,
        task,
        start_to_close_timeout=policies.WRITEBACK_STEP.start_to_close,
        heartbeat_timeout=policies.WRITEBACK_STEP.heartbeat,
        schedule_to_close_timeout=policies.LAST_WORD_WITHIN,
        retry_policy=policies.LAST_WORD,
        summary="close the run as Canceled",
    )


async def sweep(part: str, ask: SweepInput) -> SweepCount:
    """Run one part of a sweep."""
    return await _run(
        part,
        ask,
        SweepCount,
        step=policies.SWEEP_STEP,
        retry=policies.SWEEP,
        summary=part.removeprefix("sweep-"),
    )


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


async def _last_word(name: str, ask: FailedInput | CancelledInput, summary: str) -> ExportResult:
    result: ExportResult = await workflow.execute_activity(
        name,
        ask,
        result_type=ExportResult,
        start_to_close_timeout=policies.WRITEBACK_STEP.start_to_close,
        heartbeat_timeout=policies.WRITEBACK_STEP.heartbeat,
        schedule_to_close_timeout=policies.LAST_WORD_WITHIN,
        retry_policy=policies.LAST_WORD,
        summary=summary,
    )
    return result


async def _run(
    name: str,
    ask: WireModel,
    answer: type[_Out],
    *,
    step: StepPolicy,
    retry: RetryPolicy,
    summary: str,
    bulk: bool = False,
    suspect: bool = False,
) -> _Out:
    queue = workflow.info().task_queue
    if suspect:
        queue = names.suspect_task_queue(queue)
    elif bulk:
        queue = names.bulk_task_queue(queue)
    result: _Out = await workflow.execute_activity(
        name,
        ask,
        result_type=answer,
        task_queue=queue,
        start_to_close_timeout=step.start_to_close,
        heartbeat_timeout=step.heartbeat,
        retry_policy=retry,
        # A step that is cancelled has cleaned up after itself before the run goes on.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )
    return result

"""The activities as the workflows call them: a typed function for each, under its policy.

They are called by name, so that no workflow imports a database or an object store.
"""

from datetime import timedelta
from types import NoneType
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import (
        AggregateInput,
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
    from workflows.worker_loss import StepHistory

_Out = TypeVar("_Out", bound=WireModel | None)


async def claim(ask: ClaimInput, history: StepHistory) -> Claim:
    """Make this run the owner of its task and learn what is to be done."""
    return await _run(
        names.CLAIM,
        ask,
        Claim,
        step=policies.CLAIM_STEP,
        retry=policies.attempts(ask.task.max_retries),
        summary="claim the task",
        suspect=history.suspect,
    )


async def aggregate(ask: AggregateInput, history: StepHistory) -> StagedUnit:
    """Stage the rows of one unit."""
    ask = ask.model_copy(update={"retries_before": history.retries})
    return await _run(
        names.AGGREGATE,
        ask,
        StagedUnit,
        step=policies.AGGREGATE_STEP,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary=f"rows of {ask.unit.key}",
        bulk=ask.plan.bulk,
        suspect=history.suspect,
    )


async def upload(ask: UploadInput, history: StepHistory) -> FinishedFile:
    """Encode the staged parts into the finished file."""
    ask = ask.model_copy(update={"retries_before": history.retries})
    return await _run(
        names.UPLOAD,
        ask,
        FinishedFile,
        step=policies.UPLOAD_STEP,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary=f"{sum(part.rows for part in ask.parts):,} rows as {ask.plan.format}",
        bulk=ask.plan.bulk,
        suspect=history.suspect,
    )


async def writeback_done(ask: DoneInput, history: StepHistory) -> ExportResult:
    """Move the task to `done`, with a link."""
    ask = ask.model_copy(update={"retries_before": history.retries})
    return await _run(
        names.WRITEBACK_DONE,
        ask,
        ExportResult,
        step=policies.WRITEBACK_STEP,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary="done",
        suspect=history.suspect,
    )


async def writeback_failed(ask: FailedInput) -> ExportResult:
    """Move the task to `failed`, and try for hours."""
    return await _run(
        names.WRITEBACK_FAILED,
        ask,
        ExportResult,
        step=policies.WRITEBACK_STEP,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
        summary=f"failed: {ask.code}",
    )


async def writeback_cancelled(ask: CancelledInput) -> ExportResult:
    """Move the task to `cancelled`, and try for hours."""
    return await _run(
        names.WRITEBACK_CANCELLED,
        ask,
        ExportResult,
        step=policies.WRITEBACK_STEP,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
        summary="cancelled",
    )


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
    """Ask the server to cancel this run: there is no other way to close a run as Canceled."""
    await _run(
        names.CLOSE_AS_CANCELED,
        task,
        NoneType,
        step=policies.WRITEBACK_STEP,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
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


async def _run(
    name: str,
    ask: WireModel,
    answer: type[_Out],
    *,
    step: StepPolicy,
    retry: RetryPolicy,
    summary: str,
    within: timedelta | None = None,
    bulk: bool = False,
    suspect: bool = False,
) -> _Out:
    """Run an activity.

    Args:
        name: Of the activity.
        ask: Its input.
        answer: The type of its result.
        step: Time limits of one attempt.
        retry: When another attempt is made.
        summary: What the Web UI shows for it.
        within: Time limit of all attempts together; None: there is none.
        bulk: Whether it runs on the queue of heavy steps.
        suspect: Whether it runs on the queue of suspect steps, one at a time on each worker.
    """
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
        schedule_to_close_timeout=within,
        heartbeat_timeout=step.heartbeat,
        retry_policy=retry,
        # A step that is cancelled has cleaned up after itself before the run goes on.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )
    return result

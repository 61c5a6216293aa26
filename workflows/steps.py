"""The activities as the workflow calls them: one typed function each, under its policy.

They are called by name, so that no workflow imports a database or an object store.
"""

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
    from workflows.worker_loss import Before

_Out = TypeVar("_Out", bound=WireModel)


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

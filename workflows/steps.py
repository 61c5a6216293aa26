"""The activities as the workflows call them: a typed function for each, under its policy.

They are called by name, so that no workflow imports a database or an object store.
"""

from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, RetryPolicy
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.messages.delivery import AttemptResult, DeliveryAttempt, DeliveryRecord
    from exports.models import (
        AggregateInput,
        CancelledInput,
        Claim,
        ClaimInput,
        DoneInput,
        ExportResult,
        FailedInput,
        FinishedFile,
        StagedUnit,
        SweepCount,
        TaskRef,
        UploadInput,
        WireModel,
    )
    from workflows import policies
    from workflows.policies import StepPolicy
    from workflows.worker_loss import StepHistory

_Out = TypeVar("_Out", bound=WireModel)


async def claim(ask: ClaimInput, history: StepHistory) -> Claim:
    """Make this run the owner of its task, learn what is to be done, and stage the rows if few."""
    ask = ask.model_copy(update={"retries_before": history.retries})
    done = await _run(
        names.CLAIM,
        ask,
        step=policies.CLAIM_STEP,
        task=ask.task,
        retry=policies.attempts(ask.task.max_retries),
        summary="claim the task; stage the rows of a small export",
        suspect=history.suspect,
    )
    return _read(done, Claim)


async def aggregate(ask: AggregateInput, history: StepHistory) -> StagedUnit:
    """Stage the rows of one unit."""
    ask = ask.model_copy(update={"retries_before": history.retries})
    done = await _run(
        names.AGGREGATE,
        ask,
        step=policies.AGGREGATE_STEP,
        task=ask.task,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary=f"rows of {ask.unit.key}",
        bulk=ask.plan.bulk,
        suspect=history.suspect,
    )
    return _read(done, StagedUnit)


async def upload(ask: UploadInput, history: StepHistory) -> FinishedFile:
    """Encode the staged parts into the finished file."""
    rows = sum(part.rows for part in ask.parts)
    ask = ask.model_copy(update={"retries_before": history.retries})
    done = await _run(
        names.UPLOAD,
        ask,
        step=policies.upload_step(rows),
        task=ask.task,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary=f"{rows:,} rows as {ask.plan.format}",
        bulk=ask.plan.bulk,
        suspect=history.suspect,
    )
    return _read(done, FinishedFile)


async def writeback_done(ask: DoneInput, history: StepHistory) -> ExportResult:
    """Move the task to `done`, with a link."""
    ask = ask.model_copy(update={"retries_before": history.retries})
    done = await _run(
        names.WRITEBACK_DONE,
        ask,
        step=policies.WRITEBACK_STEP,
        task=ask.task,
        retry=policies.attempts(ask.task.max_retries - ask.retries_before),
        summary="done",
        suspect=history.suspect,
    )
    return _read(done, ExportResult)


async def writeback_failed(ask: FailedInput) -> None:
    """Move the task to `failed`, and try for hours."""
    await _run(
        names.WRITEBACK_FAILED,
        ask,
        step=policies.WRITEBACK_STEP,
        task=ask.task,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
        summary=f"failed: {ask.code}",
    )


async def writeback_cancelled(ask: CancelledInput) -> None:
    """Move the task to `cancelled`, and try for hours."""
    await _run(
        names.WRITEBACK_CANCELLED,
        ask,
        step=policies.WRITEBACK_STEP,
        task=ask.task,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
        summary="cancelled",
    )


async def discard(task: TaskRef) -> None:
    """Remove what the run left in the bucket."""
    await _run(
        names.DISCARD,
        task,
        step=policies.CLEANUP_STEP,
        task=task,
        retry=policies.CLEANUP,
        summary="remove what the run left",
    )


async def close_as_canceled(task: TaskRef) -> None:
    """Ask the server to cancel this run: there is no other way to close a run as Canceled."""
    await _run(
        names.CLOSE_AS_CANCELED,
        task,
        step=policies.WRITEBACK_STEP,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
        summary="close the run as Canceled",
    )


async def deliver(ask: DeliveryAttempt, *, number: int) -> AttemptResult:
    """Make one attempt to deliver a message."""
    done = await _run(
        names.DELIVER,
        ask,
        step=policies.DELIVER_STEP,
        retry=policies.DELIVER,
        within=policies.DELIVER_WITHIN,
        summary=f"attempt {number}",
    )
    return _read(done, AttemptResult)


async def record_delivery(ask: DeliveryRecord) -> None:
    """Store what became of a delivery, and try for hours."""
    await _run(
        names.RECORD_DELIVERY,
        ask,
        step=policies.WRITEBACK_STEP,
        retry=policies.LAST_WORD,
        within=policies.LAST_WORD_WITHIN,
        summary=ask.status,
    )


async def sweep(part: str) -> SweepCount:
    """Run one part of a sweep."""
    done = await _run(
        part,
        step=policies.SWEEP_STEP,
        retry=policies.SWEEP,
        summary=part.removeprefix("sweep-"),
    )
    return _read(done, SweepCount)


async def _run(
    name: str,
    *ask: WireModel,
    step: StepPolicy,
    retry: RetryPolicy,
    summary: str,
    within: timedelta | None = None,
    task: TaskRef | None = None,
    bulk: bool = False,
    suspect: bool = False,
) -> RawValue | None:
    """Run an activity, and return its result as it came; None if it has none.

    Args:
        name: Of the activity.
        ask: Its input.
        step: Time limits of one attempt.
        retry: When another attempt is made.
        summary: What the Web UI shows for it.
        within: Time limit of all attempts together; None: there is none.
        task: The run that it is a step of; None if it waits for no server.
        bulk: Whether it runs on the queue of heavy steps.
        suspect: Whether it runs on the queue of suspect steps, one at a time on each worker.
    """
    limits = step if task is None else step.of_run(task)
    queue = workflow.info().task_queue
    if suspect:
        queue = names.suspect_task_queue(queue)
    elif bulk:
        queue = names.bulk_task_queue(queue)
    result: RawValue | None = await workflow.execute_activity(
        name,
        args=ask,
        result_type=RawValue,
        task_queue=queue,
        start_to_close_timeout=limits.start_to_close,
        schedule_to_close_timeout=within,
        heartbeat_timeout=limits.heartbeat,
        retry_policy=retry,
        # A step that is cancelled has cleaned up after itself before the run goes on.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )
    return result


def _read(result: RawValue | None, model: type[_Out]) -> _Out:
    """Decode the result of an activity.

    If the SDK did it, a result that can't be read would close the run before it could clean up.

    Raises:
        ApplicationError: It is not of this model. Anybody can complete an activity by hand.
    """
    payload = Payload() if result is None else result.payload
    return workflow.payload_converter().from_payload(payload, model)

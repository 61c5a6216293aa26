"""Sweeps at once, without waiting for the Schedule."""

from uuid import uuid4

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError

from exports import names
from exports.client.part import ClientPart
from exports.errors import ExportError, UnreachableError, error_of
from exports.models import SweepResult
from exports.temporal.schedule import SWEEP_TIMEOUT


class Sweeping(ClientPart):
    """Runs a sweep by hand."""

    async def sweep(self) -> SweepResult:
        """Sweep now, without waiting for the Schedule.

        Raises:
            UnreachableError: Temporal did not answer, or no worker has finished a sweep within the
                time limit of a sweep.
            TemporalRefusedError: Temporal refused the request.
            ExportError: The sweep failed; its code is that of the reason.
        """
        queue = self._settings.task_queue
        try:
            result: SweepResult = await self._temporal.execute_workflow(
                names.SWEEP_WORKFLOW,
                result_type=SweepResult,
                id=f"{names.sweep_workflow_id(queue)}-by-hand-{uuid4()}",
                task_queue=queue,
                execution_timeout=SWEEP_TIMEOUT,
            )
        except RPCError as error:
            raise self._translate(error) from None
        except WorkflowFailureError as failure:
            raise _sweep_error(failure, queue) from None
        return result


def _sweep_error(failure: WorkflowFailureError, queue: str) -> ExportError:
    cause = failure.cause.cause if isinstance(failure.cause, ActivityError) else failure.cause
    if isinstance(cause, ApplicationError) and cause.type:
        return error_of(cause.type, f"The sweep failed: {cause.message}")
    return UnreachableError(
        f"No worker on task queue {queue} has finished a sweep within "
        f"{SWEEP_TIMEOUT.total_seconds():.0f} s. Check that a worker is running on this queue."
    )

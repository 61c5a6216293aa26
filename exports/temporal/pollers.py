"""Who polls a task queue: what is on a queue that nobody polls waits for ever."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

POLLED_WITHIN: Final = timedelta(minutes=2)
"""A worker that is there has polled within this time: a poll waits up to a minute for work, so that
Temporal sees a poll of each worker once a minute."""
_ANSWER_WITHIN: Final = timedelta(seconds=5)


async def pollers(
    temporal: Client, task_queue: str, *, activities: bool = False
) -> Sequence[PollerInfo]:
    """Return the workers that have polled a task queue within the last five minutes.

    Args:
        temporal: The client.
        task_queue: The queue.
        activities: Whether they poll for activities; by default, for workflows.

    Raises:
        RPCError: Temporal did not answer within 5 seconds, or refused to.
    """
    kind = (
        TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
        if activities
        else TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    )
    found = await temporal.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=temporal.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=kind,
        ),
        timeout=_ANSWER_WITHIN,
    )
    return found.pollers


async def nobody_polls(temporal: Client, task_queue: str, *, activities: bool = False) -> bool:
    """Return whether `pollers` has found none; False if Temporal does not say.

    The arguments are those of `pollers`.
    """
    try:
        return not await pollers(temporal, task_queue, activities=activities)
    except RPCError:
        return False

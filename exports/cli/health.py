"""`exports worker --check`: does a worker of this machine take work, as far as Temporal knows?"""

import socket
import time
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from exports.connections import connect_temporal
from exports.models import WireModel
from exports.settings import Settings

# A poll waits up to a minute for work, so that a worker is seen at least that often.
_RECENT: Final = timedelta(minutes=2)


class WorkerView(WireModel):
    """Whether a worker of this machine takes work.

    Attributes:
        ok: Whether one does.
        task_queue: Where it would.
        host: This machine, as a worker's identity names it.
        last_seen: When one was seen last, in epoch milliseconds; None if Temporal knows of none.
    """

    ok: bool
    task_queue: str
    host: str
    last_seen: int | None


async def worker_of_this_machine() -> WorkerView:
    """Ask Temporal who polls the task queue.

    Raises:
        SettingsError: A setting is missing or wrong.
        UnreachableError: Temporal did not answer.
    """
    settings = Settings.load()
    queue, host = settings.task_queue, socket.gethostname()
    temporal = await connect_temporal(settings.encryption_keys)
    found = await temporal.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=temporal.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    # The SDK's identity of a worker is its process id, an @ and the name of the machine.
    seen = [
        poller.last_access_time.ToMilliseconds()
        for poller in found.pollers
        if poller.identity.partition("@")[2] == host
    ]
    last = max(seen, default=None)
    recent = last is not None and time.time() - last / 1000 < _RECENT.total_seconds()
    return WorkerView(ok=recent, task_queue=queue, host=host, last_seen=last)

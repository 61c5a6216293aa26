"""Warns of task queues that nobody polls: an export there waits for ever."""

import logging

from temporalio.client import Client
from temporalio.service import RPCError

from exports.temporal.pollers import pollers

_log = logging.getLogger(__name__)


class PolledQueues:
    """The task queues on which a client has seen a worker."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal
        self._polled = set[str]()

    async def warn_unless_seen(self, queue: str, *, activities: bool = False) -> None:
        """Warn of a task queue on which no worker has been seen yet."""
        if queue in self._polled:
            return
        try:
            polled = await pollers(self._temporal, queue, activities=activities)
        except RPCError:  # it does not say: nothing to warn of, and nothing to remember
            return
        if polled:
            self._polled.add(queue)
            return
        _log.warning(
            "No worker has been seen on task queue %s; the export waits for one. "
            "Check EXPORTS_TASK_QUEUE and EXPORTS_WORKER_TAKES",
            queue,
        )

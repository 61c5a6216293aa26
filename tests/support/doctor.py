"""What the tests of the doctor have in common."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from exports import names
from exports.doctor.check import Check, Server, examine
from exports.temporal.pollers import pollers


async def wrong(server: Server, *, fix: bool = False) -> dict[str, str]:
    """Return the outcome of each check that is not ok, by its name."""
    return wrong_of(await examine(server, fix=fix))


def wrong_of(checks: Iterable[Check]) -> dict[str, str]:
    """The same, of these checks; of what could not be reached, only the reason."""
    return {
        check.name: check.outcome
        for check in checks
        if check.outcome != "ok" and check.what != "not reached"
    }


@asynccontextmanager
async def polled(
    temporal: Client, task_queue: str, *, but: Iterable[str] = ()
) -> AsyncGenerator[None]:
    """Poll the task queues as workers do, until the block is left. No worker runs."""
    queues = {
        task_queue: False,
        names.bulk_task_queue(task_queue): True,
        names.suspect_task_queue(task_queue): True,
        names.messages_task_queue(task_queue): False,
    }
    for queue in but:
        del queues[queue]
    polls = [asyncio.create_task(_poll(temporal, *item)) for item in queues.items()]
    try:
        for queue, activities in queues.items():
            while not await pollers(temporal, queue, activities=activities):
                await asyncio.sleep(0.05)
        yield
    finally:
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def _poll(temporal: Client, queue: str, activities: bool) -> None:  # noqa: FBT001 -- of a pair
    service, polls = temporal.workflow_service, TaskQueue(name=queue)
    with suppress(RPCError):
        if activities:
            await service.poll_activity_task_queue(
                PollActivityTaskQueueRequest(
                    namespace=temporal.namespace, task_queue=polls, identity="me"
                ),
                timeout=timedelta(minutes=1),
            )
        else:
            await service.poll_workflow_task_queue(
                PollWorkflowTaskQueueRequest(
                    namespace=temporal.namespace, task_queue=polls, identity="me"
                ),
                timeout=timedelta(minutes=1),
            )

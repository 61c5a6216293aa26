"""Starts the workflows of tasks that were stored without the client: one way for all who do so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from exports import names
from exports.clock import now_ms
from exports.documents import Stored
from exports.errors import EncryptionKeyError, TaskInvalidError, UnexpectedError
from exports.models import SweepCount
from exports.tasks.checks import check_takable
from exports.tasks.sweep import SweepStore
from exports.tasks.task import ExportTask, TaskError
from exports.temporal.start import describe_export, start_export

_SIDE_BY_SIDE: Final = 16  # documents
_MOST_STARTS: Final = 2
"""How often a task is started that no run takes."""


class TaskStarter:
    """Starts tasks, and ends those that no run could take.

    Args:
        tasks: Finds and ends them.
        temporal: Starts and looks up workflows.
    """

    def __init__(self, tasks: SweepStore, temporal: Client) -> None:
        self._tasks = tasks
        self._temporal = temporal

    async def handle(self, document: Stored, do: Callable[[Stored], Awaitable[bool]]) -> SweepCount:
        """Do something with a task, or mark it `failed` if it is the reason why that can't be done.

        Args:
            document: The task.
            do: Returns whether it has changed something.

        Raises:
            RPCError: Temporal gave no answer, or refused something.
        """
        try:
            check_takable(document, now_ms())
            await self._tasks.check_meant(document)
            return SweepCount(changed=int(await do(document)))
        except TaskInvalidError as error:
            return await self.refuse(document, error)

    async def refuse(self, document: Stored, why: TaskInvalidError) -> SweepCount:
        """Mark a task `failed`, unless a run takes it meanwhile."""
        await self._tasks.close_failed(document, TaskError(code=why.code, msg=why.msg))
        return SweepCount(refused=1)

    async def start(
        self,
        document: Stored,
        *,
        task_queue: str,
        reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    ) -> bool:
        """Start the workflow of a task, unless it is open; return whether this call started it.

        Args:
            document: The task, which `check_takable` has checked.
            task_queue: The queue of the workers.
            reuse: Whether it is started again if an earlier run has ended.

        Raises:
            TaskInvalidError: It was started again and again, and its runs fail without taking it.
            RPCError: Temporal did not start it.
        """
        task = ExportTask.from_document(document)
        if task.sweep_starts >= _MOST_STARTS:
            await self._check_last_run(task)
        started = await start_export(
            self._temporal,
            task.request(),
            task_queue=task_queue,
            workflow_id=task.workflow_id,
            reuse=reuse,
        )
        if started:
            await self._tasks.count_start(document, task.sweep_starts + 1)
        return started

    async def _check_last_run(self, task: ExportTask) -> None:
        """Refuse a task that was started again and again, and whose last run did not take it.

        A run that somebody terminated says nothing about its task.

        Raises:
            TaskInvalidError: Its last run closed as Failed, and is not the run in the document.
        """
        workflow = task.workflow_id or names.workflow_id(task.id)
        found = await describe_export(self._temporal, workflow)
        if found is None or found.run_id == task.run_id:
            return
        if found.status == WorkflowExecutionStatus.FAILED:
            why = await self.why_failed(workflow, found.run_id)
            raise TaskInvalidError(
                f"No run takes the task. The last one ended with {why.code}: {why.msg}"
            )

    async def why_failed(self, workflow: str, run_id: str | None) -> TaskError:
        """Return why a run has failed, as its document would say it."""
        try:
            await self._temporal.get_workflow_handle(workflow, run_id=run_id).result()
        except WorkflowFailureError as failure:
            if isinstance(failure.cause, ApplicationError) and failure.cause.type:
                return TaskError(code=failure.cause.type, msg=failure.cause.message)
        except EncryptionKeyError as error:
            return TaskError(
                code=error.code,
                msg="The export failed. The reason is encrypted with a key that is missing here.",
            )
        return TaskError(
            code=UnexpectedError.code, msg="The export failed; the reason is not known."
        )


async def each(
    pages: AsyncIterator[list[Stored]], handle: Callable[[Stored], Awaitable[SweepCount]]
) -> SweepCount:
    """Handle all documents, many at a time and fair to all people; the first error ends it.

    Args:
        pages: The documents.
        handle: Says what has become of one.
    """
    total = SweepCount()
    async for page in pages:
        counts = await _side_by_side(_in_turns(page), handle)
        total = SweepCount(
            changed=total.changed + sum(count.changed for count in counts),
            refused=total.refused + sum(count.refused for count in counts),
        )
    return total


def _in_turns(documents: Iterable[Stored]) -> list[Stored]:
    """Order a page fairly: the first task of each person, then the second of each, and so on."""
    turns: dict[object, int] = {}
    ranked: list[tuple[int, Stored]] = []
    for document in documents:
        who = str(document.get("createdBy"))
        turns[who] = turns.get(who, 0) + 1
        ranked.append((turns[who], document))
    return [document for _, document in sorted(ranked, key=lambda pair: pair[0])]


async def _side_by_side(
    documents: list[Stored], handle: Callable[[Stored], Awaitable[SweepCount]]
) -> list[SweepCount]:
    free = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(document: Stored) -> SweepCount:
        async with free:
            return await handle(document)

    handling = [asyncio.create_task(one(document)) for document in documents]
    try:
        return await asyncio.gather(*handling)
    finally:
        for task in handling:  # the first failure ends all
            task.cancel()

"""The sweep: starts tasks that are due, and heals tasks whose workflow is gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.boundary import beating, boundary, check_worker_clock
from exports import names
from exports.clock import now_ms
from exports.errors import (
    EncryptionKeyError,
    TaskInvalidError,
    TemporalRefusedError,
    UnexpectedError,
)
from exports.models import SweepCount
from exports.tasks.checks import check_takable
from exports.tasks.collection import Stored
from exports.tasks.sweep import SweepStore
from exports.tasks.task import ExportTask, TaskError
from exports.temporal.pollers import nobody_polls
from exports.temporal.start import accepts_exports, describe_export, start_export
from workflows.failures import application_error

_SIDE_BY_SIDE: Final = 16  # documents
_MOST_STARTS: Final = 2
"""How often sweeps start a task that no run takes."""
_BEGUN_WITHIN: Final = timedelta(minutes=5)
"""How long a run may wait for a worker to begin it on a queue that nobody polls."""


class SweepActivities:
    """Looks after tasks that nothing else looks after; starts them on the queue that it runs on.

    Args:
        tasks: Finds and ends them.
        temporal: Starts and looks up workflows.
    """

    def __init__(self, *, tasks: SweepStore, temporal: Client) -> None:
        self._tasks = tasks
        self._temporal = temporal

    @activity.defn(name=names.SWEEP_DUE)
    async def due(self) -> SweepCount:
        """Start every task that is due and that no run has taken yet."""
        async with boundary(), beating():
            check_worker_clock()
            return await self._each(self._tasks.due(now_ms()), self._begin)

    @activity.defn(name=names.SWEEP_LEFT_BEHIND)
    async def left_behind(self) -> SweepCount:
        """Heal every task that is running, or waits for a retry, while its workflow is not open."""
        async with boundary(), beating():
            check_worker_clock()
            return await self._each(self._tasks.taken(), self._heal)

    async def _each(
        self, pages: AsyncIterator[list[Stored]], handle: Callable[[Stored], Awaitable[bool]]
    ) -> SweepCount:
        total = SweepCount()
        async for page in pages:
            counts = await _side_by_side(_in_turns(page), partial(self._handle, handle=handle))
            total = SweepCount(
                changed=total.changed + sum(count.changed for count in counts),
                refused=total.refused + sum(count.refused for count in counts),
            )
        return total

    async def _handle(
        self, document: Stored, *, handle: Callable[[Stored], Awaitable[bool]]
    ) -> SweepCount:
        """Handle a document, or mark it `failed` if it is the reason why that is not possible."""
        try:
            check_takable(document, now_ms())
            await self._tasks.check_meant(document)
            return SweepCount(changed=int(await handle(document)))
        except TaskInvalidError as error:
            why = error
        except RPCError as error:
            # Any other answer is about Temporal and not about this document: the sweep fails.
            if error.status != RPCStatusCode.INVALID_ARGUMENT:
                raise
            await self._check_accepts_exports()
            why = TaskInvalidError("Temporal refuses to start a workflow for this task.")
        await self._tasks.close_failed(document, TaskError(code=why.code, msg=why.msg))
        return SweepCount(refused=1)

    async def _check_accepts_exports(self) -> None:
        """Fail the sweep if Temporal refuses every export, so that no document is blamed for it.

        Raises:
            ApplicationError: It does. It is retried, because a search attribute that was just
                added is known to all servers of a cluster only after a while.
        """
        own = activity.info()
        if own.workflow_id is None or not await accepts_exports(
            self._temporal, task_queue=own.task_queue, used_id=own.workflow_id
        ):
            raise application_error(
                TemporalRefusedError(
                    "Temporal refuses to start any export (INVALID_ARGUMENT). The usual reason is "
                    "a missing search attribute: the namespace needs "
                    f"{', '.join(names.SEARCH_ATTRIBUTES)}, each a Keyword."
                ),
                final=False,
            )

    async def _start(self, document: Stored) -> bool:
        task = ExportTask.from_document(document)
        if task.sweep_starts >= _MOST_STARTS:
            await self._check_last_run(task)
        started = await start_export(
            self._temporal,
            task.request(),
            task_queue=activity.info().task_queue,
            workflow_id=task.workflow_id,
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
            why = await self._why_failed(workflow, found.run_id)
            raise TaskInvalidError(
                f"No run takes the task. The last one ended with {why.code}: {why.msg}"
            )

    async def _begin(self, document: Stored) -> bool:
        if await self._start(document):
            return True
        run = await describe_export(self._temporal, _workflow_of(document))
        return run is not None and await self._replace_unheard(run, document)

    async def _replace_unheard(self, run: WorkflowExecutionDescription, document: Stored) -> bool:
        """Start a task here whose run has not begun, and waits where no worker polls."""
        if (
            run.status != WorkflowExecutionStatus.RUNNING
            or run.task_queue == activity.info().task_queue
            or datetime.now(UTC) - run.start_time < _BEGUN_WITHIN
            or not await nobody_polls(self._temporal, run.task_queue)
        ):
            return False
        with suppress(RPCError):  # it has ended meanwhile; otherwise the start says what is wrong
            await self._temporal.get_workflow_handle(run.id, run_id=run.run_id).terminate(
                f"No worker polls the task queue {run.task_queue}; the sweep starts another run."
            )
        return await self._start(document)

    async def _heal(self, document: Stored) -> bool:
        workflow = _workflow_of(document)
        found = await describe_export(self._temporal, workflow)
        if found is None:
            return await self._start_again(document)
        if found.status == WorkflowExecutionStatus.RUNNING:
            return document.get("runId") is None and await self._replace_unheard(found, document)
        if found.run_id == document.get("runId"):
            # The run ended before it could write its result, which Temporal still has.
            if found.status == WorkflowExecutionStatus.CANCELED:
                return await self._tasks.close_cancelled(document)
            if found.status == WorkflowExecutionStatus.FAILED:
                why = await self._why_failed(workflow, found.run_id)
                return await self._tasks.close_failed(document, why)
        return await self._start_again(document)

    async def _start_again(self, document: Stored) -> bool:
        # The run may have ended the task between the query and now.
        unchanged = await self._tasks.is_unchanged(document)
        return unchanged and await self._start(document)

    async def _why_failed(self, workflow: str, run_id: str | None) -> TaskError:
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


def _workflow_of(document: Stored) -> str:
    return document.get("workflowId") or names.workflow_id(str(document["_id"]))


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
        for task in handling:  # the first failure ends the sweep
            task.cancel()

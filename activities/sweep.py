"""The sweep: due, left-behind and expired tasks, each in pages, as many as there are."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from bson import Decimal128, ObjectId
from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.boundary import beating, boundary, check_worker_clock
from exports import names
from exports.clock import now_ms
from exports.errors import EncryptionKeyError, RequestError, TaskInvalidError
from exports.models import SweepCount, SweepInput, TaskStatus
from exports.tasks.collection import Stored
from exports.tasks.store import TaskStore
from exports.tasks.task import TaskError, request_to_start
from exports.temporal.start import start_export

_SIDE_BY_SIDE: Final = 16
_PAGE: Final = 500
# A number to the database, and neither before nor after any other.
_NOT_A_NUMBER: Final = [float("nan"), Decimal128("NaN")]

_log = logging.getLogger(__name__)


class SweepActivities:
    """Finds what nobody else looks after.

    Args:
        tasks: The store of the documents.
        temporal: Starts and looks up workflows.
    """

    def __init__(self, *, tasks: TaskStore, temporal: Client) -> None:
        self._tasks = tasks
        self._temporal = temporal

    @activity.defn(name=names.SWEEP_DUE)
    async def due(self, ask: SweepInput) -> SweepCount:
        """Start every task that is due and that no run has taken up yet."""
        async with boundary(), beating():
            check_worker_clock()
            return await self._due(ask)

    async def _due(self, ask: SweepInput) -> SweepCount:
        now = now_ms()
        query: Stored = {
            "status": TaskStatus.PENDING.value,
            "runId": None,
            # Other systems may leave the time out, store it as a date, or as what is no time.
            "$or": [
                {"nextRunAt": {"$lte": now}},
                {"nextRunAt": {"$lte": datetime.fromtimestamp(now / 1000, UTC)}},
                {"nextRunAt": {"$not": {"$type": ["number", "date"]}}},
                {"nextRunAt": {"$in": _NOT_A_NUMBER}},
            ],
        }

        async def start(document: Stored) -> bool:
            return await self._started(document, ask.task_queue)

        return await self._each(query, start)

    @activity.defn(name=names.SWEEP_LEFT_BEHIND)
    async def left_behind(self, ask: SweepInput) -> SweepCount:
        """Heal every task that says it is at work, or waits for a retry, while no run is open."""
        query: Stored = {
            "$or": [
                {"status": TaskStatus.RUNNING.value},
                {"status": TaskStatus.PENDING.value, "runId": {"$ne": None}},
            ]
        }

        async def heal(document: Stored) -> bool:
            return await self._healed(document, ask.task_queue)

        async with boundary(), beating():
            return await self._each(query, heal)

    async def _healed(self, document: Stored, task_queue: str) -> bool:
        workflow = document.get("workflowId") or names.workflow_id(str(document["_id"]))
        handle = self._temporal.get_workflow_handle(workflow)
        try:
            found = await handle.describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return await self._started_again(document, task_queue)
        if found.status == WorkflowExecutionStatus.RUNNING:
            return False
        if found.run_id == document.get("runId"):
            # The run ended without being able to say so: what it came to is still known.
            if found.status == WorkflowExecutionStatus.CANCELED:
                return await self._tasks.close_unowned(
                    document,
                    TaskStatus.CANCELLED,
                    {"cancelReason": ""},
                    author=self._tasks.sweep,
                )
            if found.status == WorkflowExecutionStatus.FAILED:
                why = await self._why(workflow, found.run_id)
                return await self._tasks.close_unowned(
                    document,
                    TaskStatus.FAILED,
                    {"error": why.model_dump()},
                    author=self._tasks.sweep,
                )
        return await self._started_again(document, task_queue)

    async def _started_again(self, document: Stored, task_queue: str) -> bool:
        # It may have ended between the query and now.
        current = await self._tasks.find(str(document["_id"]))
        unchanged = current is not None and (current["status"], current.get("runId")) == (
            document["status"],
            document.get("runId"),
        )
        return unchanged and await self._started(document, task_queue)

    async def _started(self, document: Stored, task_queue: str) -> bool:
        return await start_export(
            self._temporal,
            request_to_start(document),
            task_queue=task_queue,
            workflow_id=document.get("workflowId"),
        )

    async def _why(self, workflow: str, run_id: str | None) -> TaskError:
        try:
            await self._temporal.get_workflow_handle(workflow, run_id=run_id).result()
        except WorkflowFailureError as failure:
            if isinstance(failure.cause, ApplicationError) and failure.cause.type:
                return TaskError(code=failure.cause.type, msg=failure.cause.message)
        except EncryptionKeyError as error:
            return TaskError(
                code=error.code, msg="The export failed; why is encrypted with a key that is gone."
            )
        return TaskError(code="E_INTERNAL", msg="The export failed and could not say why.")

    async def _each(self, query: Stored, handle: Callable[[Stored], Awaitable[bool]]) -> SweepCount:
        total = SweepCount()
        documents = self._tasks.matching(query, sort=[("createdAt", 1), ("_id", 1)])
        async for page in _pages(documents):
            counts = await _side_by_side(
                _fairly(page), lambda document: self._handled(document, handle)
            )
            total = SweepCount(
                changed=total.changed + sum(count.changed for count in counts),
                refused=total.refused + sum(count.refused for count in counts),
            )
        return total

    async def _handled(
        self, document: Stored, handle: Callable[[Stored], Awaitable[bool]]
    ) -> SweepCount:
        """Handle a document, or mark it `failed` if it is what stands in the way."""
        try:
            _check_runnable(document)
            return SweepCount(changed=int(await handle(document)))
        except TaskInvalidError as error:
            why = error
        except RPCError as error:
            # Anything else is Temporal's trouble, not this document's, and ends the sweep.
            if error.status != RPCStatusCode.INVALID_ARGUMENT:
                raise
            why = TaskInvalidError("Temporal can't start a workflow for this task.")
        refusal = {"error": TaskError(code=why.code, msg=why.msg).model_dump()}
        await self._tasks.close_unowned(
            document, TaskStatus.FAILED, refusal, author=self._tasks.sweep
        )
        return SweepCount(refused=1)


async def _pages(documents: AsyncIterator[Stored]) -> AsyncIterator[list[Stored]]:
    page: list[Stored] = []
    async for document in documents:
        page.append(document)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _fairly(documents: Iterable[Stored]) -> list[Stored]:
    """Order a page so that everybody's first task comes before anybody's second."""
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

    return await asyncio.gather(*(one(document) for document in documents))


def _check_runnable(document: Stored) -> None:
    task_id, workflow = document["_id"], document.get("workflowId")
    if not isinstance(task_id, ObjectId | str):
        raise TaskInvalidError("The _id of a task is an ObjectId or a string.")
    try:
        names.check_task_id(str(task_id))
    except RequestError as error:
        raise TaskInvalidError(error.msg) from None
    if workflow is None:
        return
    if not isinstance(workflow, str) or names.task_id_of(workflow) != str(task_id):
        raise TaskInvalidError("The workflowId of the task is that of another task.")

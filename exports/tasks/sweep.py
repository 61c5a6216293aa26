"""What the sweep may do with tasks: find those that nothing else looks after, and end them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson import Decimal128

from exports.clock import LAST_MS, from_epoch_ms, now_ms
from exports.documents import READ_TIMEOUT, Stored, read
from exports.errors import TaskInvalidError
from exports.models import Author, AuthorRole, TaskStatus
from exports.tasks.audit import AuditAction, entry
from exports.tasks.collection import OPEN, TaskCollection, has_status, is_known
from exports.tasks.store import close, close_cancelled, expiry, unmoved
from exports.tasks.task import ExportTask, TaskError, stored_ids

_OLDEST: Final = [("createdAt", 1), ("_id", 1)]
# MongoDB counts these as numbers, and they are neither before nor after any other.
_NOT_A_NUMBER: Final = [float("nan"), Decimal128("NaN")]


@dataclass(frozen=True)
class OpenTasks:
    """The tasks that have not ended.

    Attributes:
        tasks: How many there are, by their status.
        oldest_due: Since when the one has been due that has waited for longest (epoch
            milliseconds); None if none is pending. It may be in the future.
    """

    tasks: dict[str, int]
    oldest_due: int | None


class SweepStore:
    """What the sweep may do: find tasks that nothing else looks after, and end or expire them.

    Args:
        tasks: The collection; its origin is the worker's identity.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks
        self._sweep = Author(role=AuthorRole.SWEEP, origin=tasks.origin)

    def due(self, now: int, ids: Sequence[object] | None = None) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks that are due and that no run has taken yet, oldest first.

        Args:
            now: The present (epoch milliseconds).
            ids: The `_id` of each document that is asked about; None for all.
        """
        query: Stored = {
            **({} if ids is None else {"_id": {"$in": ids}}),
            "status": has_status(TaskStatus.PENDING),
            "runId": None,
            # Other systems may leave the time out, store a date, or anything else in its place.
            "$or": [
                {"nextRunAt": {"$lte": now}},
                {"nextRunAt": {"$lte": from_epoch_ms(now)}},
                {"nextRunAt": {"$not": {"$type": ["number", "date"]}}},
                {"nextRunAt": {"$in": _NOT_A_NUMBER}},
                # These are not times either: `check_takable` refuses them.
                {"nextRunAt": {"$type": "array"}},
                {"nextRunAt": {"$gt": LAST_MS}},
            ],
        }
        return self._tasks.pages(query, sort=_OLDEST)

    def taken(self) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks that a run has taken and not ended, oldest first.

        Their workflow should be open; if it is not, they were left behind.
        """
        query: Stored = {
            "status": has_status(TaskStatus.PENDING, TaskStatus.RUNNING),
            # No `$or` with the status in it, so that its index gives the order.
            "$nor": [{"status": TaskStatus.PENDING.value, "runId": None}],
        }
        return self._tasks.pages(query, sort=_OLDEST)

    async def expired(self, now: int) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks whose file has been kept long enough."""
        for until in (now, from_epoch_ms(now)):  # of other systems it may be a date
            query: Stored = {"status": has_status(TaskStatus.DONE), "purgeAt": {"$lte": until}}
            async for page in self._tasks.pages(query, sort=[("purgeAt", 1)]):
                yield page

    async def open(self) -> OpenTasks:
        """Count the tasks that have not ended."""
        # Other systems may leave `nextRunAt` out, or store 0 there.
        since: Stored = {"$max": ["$nextRunAt", "$createdAt"]}
        async with self._tasks.operation():
            cursor = await self._tasks.documents.aggregate(
                [
                    {"$match": {"status": has_status(TaskStatus.PENDING, TaskStatus.RUNNING)}},
                    {"$group": {"_id": "$status", "tasks": {"$sum": 1}, "due": {"$min": since}}},
                ],
                maxTimeMS=READ_TIMEOUT,
            )
            found = {group["_id"]: group async for group in cursor}
        pending = found.get(TaskStatus.PENDING.value, {})
        # Other systems may have stored anything there.
        oldest = ExportTask.from_document(
            {"_id": "", "status": TaskStatus.PENDING, "createdAt": pending.get("due")}
        )
        return OpenTasks(
            tasks={status: found.get(status, {}).get("tasks", 0) for status in OPEN},
            oldest_due=oldest.created_at,
        )

    async def check_meant(self, document: Mapping[str, Any]) -> None:
        """Check that a document is the one that its id means: see `stored_ids`.

        Raises:
            TaskInvalidError: It is a text, and there is an ObjectId with the same digits.
        """
        meant = stored_ids(str(document["_id"]))[0]
        if meant != document["_id"] and await self._tasks.exists(meant):
            raise TaskInvalidError("The _id of the task is a text that is another task's ObjectId.")

    async def count_start(self, document: Mapping[str, Any], starts: int) -> None:
        """Store how often sweeps have started a workflow for a task, unless a run has taken it.

        Args:
            document: The task as the sweep has read it.
            starts: How often, with this time.
        """
        await self._tasks.update(unmoved(document), {"$set": {"sweepStarts": starts}})

    async def is_unchanged(self, document: Mapping[str, Any]) -> bool:
        """Return whether a task still has the status and the run that it was read with."""
        current = await self._tasks.find(str(document["_id"]))
        return current is not None and (current["status"], current.get("runId")) == (
            document["status"],
            document.get("runId"),
        )

    async def close_failed(self, document: Mapping[str, Any], error: TaskError) -> bool:
        """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
        return await close(
            self._tasks,
            document,
            {"status": TaskStatus.FAILED.value, "error": error.model_dump()},
            entry(self._sweep, AuditAction.FAILED, now_ms(), code=error.code),
        )

    async def close_cancelled(self, document: Mapping[str, Any]) -> bool:
        """End a task whose workflow was cancelled, unless a run takes it meanwhile."""
        return await close_cancelled(self._tasks, document, reason="", author=self._sweep)

    async def expire(self, document: Mapping[str, Any], error: TaskError | None = None) -> bool:
        """Move a task whose file is about to be removed to `expired`, if it is still `done`.

        Args:
            document: The task.
            error: Why it has no file that may be removed; None if it has one.
        """
        return await self._tasks.update(
            {"_id": {"$eq": document["_id"]}, "status": TaskStatus.DONE.value},
            *expiry(self._tasks, document.get("finishedAt"), self._sweep, error),
        )

    async def owners(self, task_ids: list[str]) -> dict[str, list[Stored]]:
        """Return, by task id, the fields that decide whether objects in the bucket are needed.

        There may be two documents of one id: an object that either of them needs is needed.
        """
        ids = [stored_id for task_id in task_ids for stored_id in stored_ids(task_id)]
        fields = {"status": True, "runId": True, "objectKey": True}
        found = await read(self._tasks.documents, {"_id": {"$in": ids}}, fields)
        owners: dict[str, list[Stored]] = {}
        for document in filter(is_known, found):
            owners.setdefault(str(document["_id"]), []).append(document)
        return owners

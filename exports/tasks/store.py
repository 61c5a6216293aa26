"""What clients and the sweep may do with tasks; what a run may do is in `transitions`."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from bson import Decimal128, ObjectId
from pymongo.errors import DuplicateKeyError

from exports.clock import from_epoch_ms, now_ms
from exports.errors import IdempotencyKeyError, TaskNotFoundError
from exports.models import (
    DEFAULT_MAX_RETRIES,
    Author,
    AuthorRole,
    ExportRequest,
    Stage,
    TaskStatus,
)
from exports.tasks.audit import AUDIT, AuditAction, AuditEntry, entries_of, entry
from exports.tasks.collection import (
    KNOWN,
    OPEN,
    WITHOUT_AUDIT,
    Stored,
    TaskCollection,
    new_document,
)
from exports.tasks.task import ExportTask, TaskError, id_filter

PAGE: Final = 500
"""Documents that the sweep reads at once."""
# MongoDB counts these as numbers, and they are neither before nor after any other.
_NOT_A_NUMBER: Final = [float("nan"), Decimal128("NaN")]


class TaskStore:
    """What a client may do: create, read and list tasks, and ask for another link or attempt.

    Args:
        tasks: The collection; its origin is the program that asks.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks

    async def create(
        self,
        request: ExportRequest,
        *,
        max_retries: int = DEFAULT_MAX_RETRIES,
        task_id: str | None = None,
    ) -> ExportTask:
        """Store a new task, due at once.

        Args:
            request: What is asked for.
            max_retries: Failed attempts at which it fails.
            task_id: The id that belongs to the request's idempotency key: an `_id` is unique in
                every collection, with or without indexes. By default, a new one.

        Raises:
            IdempotencyKeyError: The key was used for another request.
        """
        document = new_document(request, max_retries, origin=self._tasks.origin)
        document["_id"] = ObjectId(task_id)
        async with self._tasks.operation():
            try:
                await self._tasks.documents.insert_one(document)
            except DuplicateKeyError:
                return await self._created_before(document)
        return ExportTask.from_document(document)

    async def _created_before(self, document: Stored) -> ExportTask:
        found = await self.get(str(document["_id"]), created_by=document["createdBy"])
        asked = ExportTask.from_document(document)
        if (found.type, found.params, found.format) != (asked.type, asked.params, asked.format):
            raise IdempotencyKeyError(
                "This idempotency key was used for another export; use a new key for each export."
            )
        return found

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Args:
            task_id: Its id, as text.
            created_by: Who asks; None for an operator, who sees all tasks.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        document = await self._tasks.find(task_id)
        return ExportTask.from_document(_owned(document, created_by))

    async def newest(
        self, *, created_by: str | None, status: TaskStatus | None, limit: int
    ) -> list[ExportTask]:
        """Return up to `limit` tasks, newest first; everybody's if `created_by` is None."""
        query: Stored = {"status": {"$in": KNOWN} if status is None else status.value}
        if created_by is not None:
            # To MongoDB, an array that contains the name matches too; it is not an owner.
            query["createdBy"] = {"$eq": created_by, "$not": {"$type": "array"}}
        async with self._tasks.operation():
            found = await self._tasks.documents.find(
                query, WITHOUT_AUDIT, sort=[("createdAt", -1), ("_id", -1)], limit=limit
            ).to_list()
        return [ExportTask.from_document(document) for document in found]

    async def audit(self, task_id: str, *, created_by: str | None) -> list[AuditEntry]:
        """Return the audit record of a task, oldest entry first.

        The arguments are those of `get`.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        found = await self._tasks.find(task_id, {"createdBy": True, "status": True, AUDIT: True})
        return entries_of(_owned(found, created_by))

    async def check_clock(self) -> None:
        """Compare this machine's clock with the database server's.

        Raises:
            ClockError: They differ too much.
        """
        await self._tasks.check_clock()

    async def renew(
        self, task: ExportTask, *, url: str, expires_at: int, asked_by: str | None
    ) -> ExportTask | None:
        """Store a new link; return None if the task does not have this file any more."""
        now = now_ms()
        changed = await self._tasks.update_and_record(
            {
                **id_filter(task.id),
                "status": TaskStatus.DONE.value,
                "objectKey": task.object_key,
            },
            {"$set": {"downloadUrl": url, "expiresAt": expires_at, "updatedAt": now}},
            entry(self._person(asked_by), AuditAction.RENEWED, now, until=expires_at),
        )
        return await self.get(task.id, created_by=None) if changed else None

    async def reset(self, task: ExportTask, *, asked_by: str | None) -> ExportTask | None:
        """Make a failed task due again with no failed attempts; return None if it is not failed."""
        now = now_ms()
        changed = await self._tasks.update_and_record(
            {**id_filter(task.id), "status": TaskStatus.FAILED.value, "runId": task.run_id},
            {
                "$set": {
                    "status": TaskStatus.PENDING.value,
                    "retries": 0,
                    "nextRunAt": now,
                    "updatedAt": now,
                    "progress": {"stage": Stage.QUEUED.value, "rows": 0, "bytes": 0},
                },
                "$unset": {"error": "", "finishedAt": "", "runId": ""},
            },
            entry(self._person(asked_by), AuditAction.RETRIED, now),
        )
        return await self.get(task.id, created_by=None) if changed else None

    async def close_cancelled(self, task_id: str, *, reason: str, asked_by: str | None) -> bool:
        """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
        document = await self._tasks.find(task_id)
        return document is not None and await _close_cancelled(
            self._tasks, document, reason=reason, author=self._person(asked_by)
        )

    def _person(self, name: str | None) -> Author:
        return Author.person(name, origin=self._tasks.origin)


class SweepStore:
    """What the sweep may do: find tasks that nothing else looks after, and end or expire them.

    Args:
        tasks: The collection; its origin is the worker's identity.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks
        self._sweep = Author(role=AuthorRole.SWEEP, origin=tasks.origin)

    def due(self, now: int) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks that are due and that no run has taken yet, oldest first."""
        query: Stored = {
            "status": TaskStatus.PENDING.value,
            "runId": None,
            # Other systems may leave the time out, store a date, or anything else in its place.
            "$or": [
                {"nextRunAt": {"$lte": now}},
                {"nextRunAt": {"$lte": from_epoch_ms(now)}},
                {"nextRunAt": {"$not": {"$type": ["number", "date"]}}},
                {"nextRunAt": {"$in": _NOT_A_NUMBER}},
            ],
        }
        return self._pages(query, sort=[("createdAt", 1), ("_id", 1)])

    def taken(self) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks that a run has taken and not ended, oldest first.

        Their workflow should be open; if it is not, they were left behind.
        """
        query: Stored = {
            "$or": [
                {"status": TaskStatus.RUNNING.value},
                {"status": TaskStatus.PENDING.value, "runId": {"$ne": None}},
            ]
        }
        return self._pages(query, sort=[("createdAt", 1), ("_id", 1)])

    def expired(self, now: int) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks whose file has been kept long enough."""
        query: Stored = {"status": TaskStatus.DONE.value, "purgeAt": {"$lte": now}}
        return self._pages(query, sort=[("purgeAt", 1)])

    async def _pages(
        self, query: Stored, *, sort: list[tuple[str, int]]
    ) -> AsyncIterator[list[Stored]]:
        found = self._tasks.documents.find(query, WITHOUT_AUDIT, sort=sort, batch_size=PAGE)
        while True:
            async with self._tasks.operation():
                page = await found.to_list(PAGE)
            if not page:
                return
            yield page

    async def is_unchanged(self, document: Mapping[str, Any]) -> bool:
        """Return whether a task still has the status and the run that it was read with."""
        current = await self._tasks.find(str(document["_id"]))
        return current is not None and (current["status"], current.get("runId")) == (
            document["status"],
            document.get("runId"),
        )

    async def close_failed(self, document: Mapping[str, Any], error: TaskError) -> bool:
        """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
        return await _close(
            self._tasks,
            document,
            {"status": TaskStatus.FAILED.value, "error": error.model_dump()},
            entry(self._sweep, AuditAction.FAILED, now_ms(), code=error.code),
        )

    async def close_cancelled(self, document: Mapping[str, Any]) -> bool:
        """End a task whose workflow was cancelled, unless a run takes it meanwhile."""
        return await _close_cancelled(self._tasks, document, reason="", author=self._sweep)

    async def expire(self, document: Mapping[str, Any]) -> bool:
        """Move a task whose file is about to be removed to `expired`, if it is still `done`."""
        now = now_ms()
        return await self._tasks.update_and_record(
            {"_id": document["_id"], "status": TaskStatus.DONE.value},
            {
                "$set": {"status": TaskStatus.EXPIRED.value, "updatedAt": now},
                "$unset": {"downloadUrl": "", "expiresAt": ""},
            },
            entry(self._sweep, AuditAction.EXPIRED, now),
        )

    async def owners(self, task_ids: list[str]) -> dict[str, Stored]:
        """Return, by task id, the fields that decide whether objects in the bucket are needed."""
        ids = [ref for task_id in task_ids for ref in (task_id, _object_id(task_id)) if ref]
        async with self._tasks.operation():
            found = await self._tasks.documents.find(
                {"_id": {"$in": ids}}, {"status": True, "runId": True, "objectKey": True}
            ).to_list()
        return {str(document["_id"]): document for document in found}


async def _close_cancelled(
    tasks: TaskCollection, document: Mapping[str, Any], *, reason: str, author: Author
) -> bool:
    return await _close(
        tasks,
        document,
        {"status": TaskStatus.CANCELLED.value, "cancelReason": reason},
        entry(author, AuditAction.CANCELLED, now_ms()),
    )


async def _close(
    tasks: TaskCollection, document: Mapping[str, Any], fields: Stored, ended: AuditEntry
) -> bool:
    return await tasks.update_and_record(
        {
            "_id": {"$eq": document["_id"]},
            "status": {"$in": OPEN},
            "runId": document.get("runId"),
        },
        {
            "$set": {**fields, "finishedAt": ended.at, "updatedAt": ended.at},
            "$unset": {"nextRunAt": ""},
        },
        ended,
    )


def _owned(document: Stored | None, created_by: str | None) -> Stored:
    """Return a document to its owner or an operator; for anybody else there is none."""
    if document is None or created_by not in (None, document.get("createdBy")):
        raise TaskNotFoundError("There is no such task.")
    return document


def _object_id(task_id: str) -> ObjectId | None:
    return ObjectId(task_id) if ObjectId.is_valid(task_id) else None

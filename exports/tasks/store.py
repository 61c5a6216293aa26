"""What clients may do with tasks; what runs may do is in `transitions`, the sweep in `sweep`."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from exports.clock import now_ms
from exports.errors import IdempotencyKeyError, TaskNotFoundError
from exports.models import (
    DEFAULT_MAX_RETRIES,
    Author,
    ExportRequest,
    Stage,
    TaskStatus,
)
from exports.tasks.audit import AUDIT, AuditAction, AuditEntry, entries_of, entry
from exports.tasks.collection import (
    OPEN,
    WITHOUT_AUDIT,
    Stored,
    TaskCollection,
    has_status,
    new_document,
)
from exports.tasks.task import ExportTask


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
        query: Stored = {"status": has_status(*([status] if status else TaskStatus))}
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
        changed = await self._tasks.update_task(
            task.id,
            {"status": TaskStatus.DONE.value, "objectKey": task.object_key},
            {"$set": {"downloadUrl": url, "expiresAt": expires_at, "updatedAt": now}},
            entry(self._person(asked_by), AuditAction.RENEWED, now, until=expires_at),
        )
        return await self.get(task.id, created_by=None) if changed else None

    async def reset(self, task: ExportTask, *, asked_by: str | None) -> ExportTask | None:
        """Make a failed task due again with no failed attempts; return None if it is not failed."""
        now = now_ms()
        changed = await self._tasks.update_task(
            task.id,
            {"status": TaskStatus.FAILED.value, "runId": task.run_id},
            {
                "$set": {
                    "status": TaskStatus.PENDING.value,
                    "retries": 0,
                    "nextRunAt": now,
                    "updatedAt": now,
                    "progress": {"stage": Stage.QUEUED.value, "rows": 0, "bytes": 0},
                },
                "$unset": {"error": "", "finishedAt": "", "runId": "", "sweepStarts": ""},
            },
            entry(self._person(asked_by), AuditAction.RETRIED, now),
        )
        return await self.get(task.id, created_by=None) if changed else None

    async def close_cancelled(self, task_id: str, *, reason: str, asked_by: str | None) -> bool:
        """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
        document = await self._tasks.find(task_id)
        return document is not None and await close_cancelled(
            self._tasks, document, reason=reason, author=self._person(asked_by)
        )

    def _person(self, name: str | None) -> Author:
        return Author.person(name, origin=self._tasks.origin)


def _owned(document: Stored | None, created_by: str | None) -> Stored:
    """Return a document to its owner or an operator; for anybody else there is none."""
    if document is None or created_by not in (None, document.get("createdBy")):
        raise TaskNotFoundError("There is no such task.")
    return document


async def close_cancelled(
    tasks: TaskCollection, document: Mapping[str, Any], *, reason: str, author: Author
) -> bool:
    """End a task that no workflow runs as `cancelled`, unless a run takes it meanwhile."""
    return await close(
        tasks,
        document,
        {"status": TaskStatus.CANCELLED.value, "cancelReason": reason},
        entry(author, AuditAction.CANCELLED, now_ms()),
    )


async def close(
    tasks: TaskCollection, document: Mapping[str, Any], fields: Stored, ended: AuditEntry
) -> bool:
    """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
    return await tasks.update(
        unmoved(document),
        {
            "$set": {**fields, "finishedAt": ended.at, "updatedAt": ended.at},
            "$unset": {"nextRunAt": ""},
        },
        ended,
    )


def unmoved(document: Mapping[str, Any]) -> Stored:
    """Return the query for a task that has not ended, and that no run has taken since it was read.

    The `runId` of another system may be anything. A value that is not a text is not compared: it
    could be read as an operator. The id of a run that takes the task is a text.
    """
    run = document.get("runId")
    if not isinstance(run, str | None):
        run = {"$type": "array"} if isinstance(run, list) else {"$not": {"$type": "string"}}
    return {"_id": {"$eq": document["_id"]}, "status": {"$in": OPEN}, "runId": run}

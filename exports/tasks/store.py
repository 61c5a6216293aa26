"""The store of tasks: what runs, clients and the sweep do with `ExportTasks`."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from exports.clock import now_ms
from exports.errors import (
    IdempotencyKeyError,
    TaskNotFoundError,
)
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
    new_document,
    translated,
)
from exports.tasks.task import ExportTask, id_filter
from exports.tasks.transitions import RunTransitions


class TaskStore(RunTransitions):
    """Reads and moves tasks: the transitions of a run, and what clients and the sweep do."""

    async def ensure_indexes(self) -> None:
        """Create the indexes that listing, ownership and the sweep need; nothing if they exist."""
        with translated():
            await self.documents.create_indexes(
                [
                    IndexModel([("status", ASCENDING), ("nextRunAt", ASCENDING)]),
                    IndexModel([("status", ASCENDING), ("purgeAt", ASCENDING)]),
                    IndexModel([("createdBy", ASCENDING), ("createdAt", DESCENDING)]),
                ]
            )

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
            max_retries: How many failed attempts it allows.
            task_id: The id that the request's idempotency key stands for: an `_id` is unique in
                every collection, whether anybody made indexes or not. By default, a new one.

        Raises:
            IdempotencyKeyError: The key has been used for another request.
        """
        document = new_document(request, max_retries, origin=self.origin)
        document["_id"] = ObjectId(task_id)
        with translated():
            try:
                await self.documents.insert_one(document)
            except DuplicateKeyError:
                return await self._created_before(document)
        return ExportTask.from_document(document)

    async def _created_before(self, document: Stored) -> ExportTask:
        found = await self.get(str(document["_id"]), created_by=document["createdBy"])
        asked = ExportTask.from_document(document)
        if (found.type, found.params, found.format) != (asked.type, asked.params, asked.format):
            raise IdempotencyKeyError(
                "This idempotency key was used for another export; use a new one for each."
            )
        return found

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Args:
            task_id: Its id, as text.
            created_by: Who asks; None for an operator, who sees all.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        document = await self.find(task_id)
        return ExportTask.from_document(_theirs(document, created_by))

    async def newest(
        self, *, created_by: str | None, status: TaskStatus | None, limit: int
    ) -> list[ExportTask]:
        """Return up to `limit` tasks, newest first; of everybody if `created_by` is None."""
        query: Stored = {"status": {"$in": KNOWN} if status is None else status.value}
        if created_by is not None:
            # An array that holds the name would be equal to it, and is nobody's.
            query["createdBy"] = {"$eq": created_by, "$not": {"$type": "array"}}
        with translated():
            found = self.documents.find(
                query, WITHOUT_AUDIT, sort=[("createdAt", -1), ("_id", -1)], limit=limit
            )
            return [ExportTask.from_document(document) async for document in found]

    async def audit(self, task_id: str, *, created_by: str | None) -> list[AuditEntry]:
        """Return the audit record of a task, oldest first; its arguments are those of `get`.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        found = await self.find(task_id, {"createdBy": True, "status": True, AUDIT: True})
        return entries_of(_theirs(found, created_by))

    async def renewed(
        self, task: ExportTask, *, url: str, expires_at: int, asked_by: str | None
    ) -> ExportTask | None:
        """Store a fresh link; None if the file is not there any more."""
        now = now_ms()
        author = Author.person(asked_by, origin=self.origin)
        renewed = await self.recorded(
            {
                **id_filter(task.id),
                "status": TaskStatus.DONE.value,
                "objectKey": task.object_key,
            },
            {"$set": {"downloadUrl": url, "expiresAt": expires_at, "updatedAt": now}},
            entry(author, AuditAction.RENEWED, now, until=expires_at),
        )
        return await self.get(task.id, created_by=None) if renewed else None

    async def reset(self, task: ExportTask, *, asked_by: str | None) -> ExportTask | None:
        """Make a failed task due again, its attempts forgotten; None if it is not failed."""
        now = now_ms()
        author = Author.person(asked_by, origin=self.origin)
        again = await self.recorded(
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
            entry(author, AuditAction.RETRIED, now),
        )
        return await self.get(task.id, created_by=None) if again else None

    async def close_unowned(
        self,
        document: Mapping[str, Any],
        status: Literal[TaskStatus.FAILED, TaskStatus.CANCELLED],
        fields: Stored,
        *,
        author: Author,
    ) -> bool:
        """End a task whose workflow is gone, unless a run has taken it up in between."""
        now = now_ms()
        did = AuditAction.FAILED if status is TaskStatus.FAILED else AuditAction.CANCELLED
        code = fields["error"]["code"] if "error" in fields else None
        return await self.recorded(
            {
                "_id": {"$eq": document["_id"]},
                "status": {"$in": OPEN},
                "runId": document.get("runId"),
            },
            {
                "$set": {
                    **fields,
                    "status": status.value,
                    "finishedAt": now,
                    "updatedAt": now,
                },
                "$unset": {"nextRunAt": ""},
            },
            entry(author, did, now, code=code),
        )

    async def expired(self, document: Mapping[str, Any]) -> bool:
        """Move a task whose file is about to go to `expired`, unless it is not `done` any more."""
        now = now_ms()
        return await self.recorded(
            {"_id": document["_id"], "status": TaskStatus.DONE.value},
            {
                "$set": {"status": TaskStatus.EXPIRED.value, "updatedAt": now},
                "$unset": {"downloadUrl": "", "expiresAt": ""},
            },
            entry(self.sweep, AuditAction.EXPIRED, now),
        )

    @property
    def sweep(self) -> Author:
        """The sweep, as the author of an entry."""
        return Author(role=AuthorRole.SWEEP, origin=self.origin)

    async def matching(
        self, query: Stored, *, sort: list[tuple[str, int]]
    ) -> AsyncIterator[Stored]:
        """Stream the documents that the sweep asks for, in pages of the driver's."""
        with translated():
            async for document in self.documents.find(
                query, WITHOUT_AUDIT, sort=sort, batch_size=500
            ):
                yield document

    async def owners(self, task_ids: list[str]) -> dict[str, Stored]:
        """Return what decides whether objects in the bucket are still wanted, by task id."""
        ids = [ref for task_id in task_ids for ref in (task_id, _object_id(task_id)) if ref]
        with translated():
            found = self.documents.find(
                {"_id": {"$in": ids}}, {"status": True, "runId": True, "objectKey": True}
            )
            return {str(document["_id"]): document async for document in found}


def _theirs(document: Stored | None, created_by: str | None) -> Stored:
    """Return a document to whom it belongs; for anybody else there is none."""
    if document is None or created_by not in (None, document.get("createdBy")):
        raise TaskNotFoundError("There is no such task.")
    return document


def _object_id(task_id: str) -> ObjectId | None:
    return ObjectId(task_id) if ObjectId.is_valid(task_id) else None

"""The collection `ExportTasks`: every write is a compare-and-set, safe to do twice.

A run may move a task only while it owns it (`runId`) and only while the task has not ended. A
write that matches nothing is a finding: it raises `TaskLostError`.
"""

from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bson import ObjectId
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from exports.clock import now_ms
from exports.errors import (
    DatabaseAccessError,
    DatabaseUnavailableError,
    TaskInvalidError,
    TaskLostError,
    TaskNotFoundError,
)
from exports.models import (
    DEFAULT_MAX_RETRIES,
    AttemptBeat,
    ExportRequest,
    FinishedFile,
    Stage,
    TaskRef,
    TaskStatus,
)
from exports.names import TASKS_COLLECTION
from exports.task import ExportTask, TaskError, id_filter

# What other systems insert holds anything, so these documents have no narrower type.
Stored = dict[str, Any]

ACCESS_REFUSED: Final = frozenset({13, 18})  # Unauthorized, AuthenticationFailed

_OPEN: Final = [TaskStatus.PENDING.value, TaskStatus.RUNNING.value]
_KNOWN: Final = [status.value for status in TaskStatus]


@contextmanager
def translated() -> Generator[None]:
    """Turn what the driver raises into a domain error that names no value of a document."""
    try:
        yield
    except PyMongoError as error:
        code = getattr(error, "code", None)
        if code in ACCESS_REFUSED:
            raise DatabaseAccessError(
                "The database that holds the tasks refused the credentials or the permission."
            ) from None
        raise DatabaseUnavailableError(
            f"The database that holds the tasks did not do its part ({type(error).__name__}"
            f"{'' if code is None else f', code {code}'})."
        ) from None
    except (BSONError, OverflowError):
        raise TaskInvalidError(
            "The task holds something that the database can't: a number or a name of a field."
        ) from None


class TaskStore:
    """Reads and moves tasks.

    Args:
        database: Where `ExportTasks` lives. Writes wait for the majority, and reads see only
            what a majority holds, so that nothing that was seen is ever rolled back.
    """

    def __init__(self, database: AsyncDatabase[Stored]) -> None:
        self._tasks = database.get_collection(
            TASKS_COLLECTION,
            # What another system stored may be a date after the year 9999, or broken text. One
            # such document must not stop the reading of all others.
            codec_options=database.codec_options.with_options(
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                unicode_decode_error_handler="replace",
            ),
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
        )

    async def ensure_indexes(self) -> None:
        """Create the indexes that listing, ownership and the sweep need; nothing if they exist."""
        with translated():
            await self._tasks.create_indexes(
                [
                    IndexModel([("status", ASCENDING), ("nextRunAt", ASCENDING)]),
                    IndexModel([("status", ASCENDING), ("purgeAt", ASCENDING)]),
                    IndexModel([("createdBy", ASCENDING), ("createdAt", DESCENDING)]),
                ]
            )

    async def create(
        self, request: ExportRequest, *, max_retries: int = DEFAULT_MAX_RETRIES
    ) -> ExportTask:
        """Store a new task, due at once."""
        document = _new_document(request, max_retries)
        document["_id"] = ObjectId()
        with translated():
            await self._tasks.insert_one(document)
        return ExportTask.from_document(document)

    async def create_for_run(self, request: ExportRequest, ref: TaskRef) -> None:
        """Store the task of a workflow that was started directly; nothing if it is there."""
        document = _new_document(request, ref.max_retries)
        document["_id"] = ref.task_id
        with translated():
            # A text that reads like the ObjectId of a stored task is the id of that task.
            if await self._tasks.find_one(id_filter(ref.task_id), {"_id": True}) is not None:
                return
            try:
                await self._tasks.insert_one(document)
            except DuplicateKeyError:
                return

    async def find(self, task_id: str) -> Stored | None:
        """Return a task's document, whoever owns it."""
        with translated():
            return await self._tasks.find_one({**id_filter(task_id), "status": {"$in": _KNOWN}})

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Args:
            task_id: Its id, as text.
            created_by: Who asks; None for an operator, who sees all.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        document = await self.find(task_id)
        if document is None or created_by not in (None, document.get("createdBy")):
            raise TaskNotFoundError("There is no such task.")
        return ExportTask.from_document(document)

    async def newest(
        self, *, created_by: str | None, status: TaskStatus | None, limit: int
    ) -> list[ExportTask]:
        """Return up to `limit` tasks, newest first; of everybody if `created_by` is None."""
        query: Stored = {"status": {"$in": _KNOWN} if status is None else status.value}
        if created_by is not None:
            query["createdBy"] = created_by
        with translated():
            found = self._tasks.find(query, sort=[("createdAt", -1), ("_id", -1)], limit=limit)
            return [ExportTask.from_document(document) async for document in found]

    async def claim(self, ref: TaskRef, *, run_started_at: int) -> Stored | None:
        """Make a run the owner of a task; a later run takes over from an earlier one.

        Returns:
            The document, or None if there is no such task that this run may own.
        """
        mine = {"runId": ref.run_id}
        unowned = {"runStartedAt": None}
        older = {"runStartedAt": {"$lt": run_started_at}}
        now = now_ms()
        return await self._update(
            {
                **id_filter(ref.task_id),
                "status": {"$in": _OPEN},
                "workflowId": {"$in": [None, ref.workflow_id]},
                "$or": [mine, unowned, older],
            },
            {
                "$set": {
                    "status": TaskStatus.RUNNING.value,
                    "workflowId": ref.workflow_id,
                    "runId": ref.run_id,
                    "runStartedAt": run_started_at,
                    "progress": {"stage": Stage.QUEUED.value, "rows": 0, "bytes": 0},
                    "updatedAt": now,
                },
                # These two keep what is there: the first start, and the attempts counted before.
                "$min": {"startedAt": now},
                "$max": {"retries": 0},
                "$unset": {"nextRunAt": ""},
            },
        )

    async def attempt_started(self, ref: TaskRef, beat: AttemptBeat) -> None:
        """Say that an activity is at work; raises `TaskLostError` if this run may not any more."""
        await self._move(
            ref,
            {
                "$set": {"status": TaskStatus.RUNNING.value, "progress.stage": beat.stage.value},
                "$max": {"progress.rows": beat.rows, "progress.bytes": beat.bytes},
                "$unset": {"nextRunAt": ""},
            },
        )

    async def progress(self, ref: TaskRef, beat: AttemptBeat) -> None:
        """Say how far an attempt has come."""
        await self._move(
            ref,
            {
                "$set": {"progress.stage": beat.stage.value},
                "$max": {"progress.rows": beat.rows, "progress.bytes": beat.bytes},
            },
        )

    async def attempt_failed(
        self, ref: TaskRef, error: TaskError, *, retries: int, next_run_at: int | None
    ) -> None:
        """Count a failed attempt.

        Args:
            ref: The task and its run.
            error: Why it failed.
            retries: Failed attempts by now; `$max`, so that units that fail side by side in one
                outage count once, and a repeated write counts nothing.
            next_run_at: When the next attempt is due; None if there will be none.
        """
        change: Stored = {
            "$set": {"error": error.model_dump()},
            "$max": {"retries": min(retries, ref.max_retries)},
        }
        if next_run_at is not None:
            change["$set"] |= {"status": TaskStatus.PENDING.value, "nextRunAt": next_run_at}
        await self._move(ref, change)

    async def done(
        self, ref: TaskRef, file: FinishedFile, *, url: str, expires_at: int, purge_at: int
    ) -> ExportTask:
        """Move a task to `done`. The link of the first such write stays."""
        return await self._end(
            ref,
            TaskStatus.DONE,
            {
                "fileName": file.file_name,
                "rows": file.rows,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "objectKey": file.key,
                "downloadUrl": url,
                "expiresAt": expires_at,
                "purgeAt": purge_at,
                "progress": {
                    "stage": Stage.FINISHED.value,
                    "rows": file.rows,
                    "bytes": file.bytes,
                },
            },
            unset=("error", "nextRunAt"),
        )

    async def failed(self, ref: TaskRef, error: TaskError) -> ExportTask:
        """Move a task to `failed`."""
        return await self._end(ref, TaskStatus.FAILED, {"error": error.model_dump()})

    async def cancelled(self, ref: TaskRef, reason: str) -> ExportTask:
        """Move a task to `cancelled`."""
        return await self._end(
            ref, TaskStatus.CANCELLED, {"cancelReason": reason}, unset=("error", "nextRunAt")
        )

    async def renewed(self, task: ExportTask, *, url: str, expires_at: int) -> ExportTask | None:
        """Store a fresh link; None if the file is not there any more."""
        return _task(
            await self._update(
                {
                    **id_filter(task.id),
                    "status": TaskStatus.DONE.value,
                    "objectKey": task.object_key,
                },
                {"$set": {"downloadUrl": url, "expiresAt": expires_at, "updatedAt": now_ms()}},
            )
        )

    async def reset(self, task: ExportTask) -> ExportTask | None:
        """Make a failed task due again, its attempts forgotten; None if it is not failed."""
        now = now_ms()
        return _task(
            await self._update(
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
            )
        )

    async def close_unowned(
        self, document: Mapping[str, Any], status: TaskStatus, fields: Stored
    ) -> ExportTask | None:
        """End a task whose workflow is gone, unless a run has taken it up in between."""
        now = now_ms()
        return _task(
            await self._update(
                {
                    "_id": {"$eq": document["_id"]},
                    "status": {"$in": _OPEN},
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
            )
        )

    async def expired(self, document: Mapping[str, Any]) -> ExportTask | None:
        """Move a task whose file is about to go to `expired`; None if it is not `done` any more."""
        return _task(
            await self._update(
                {"_id": document["_id"], "status": TaskStatus.DONE.value},
                {
                    "$set": {"status": TaskStatus.EXPIRED.value, "updatedAt": now_ms()},
                    "$unset": {"downloadUrl": "", "expiresAt": ""},
                },
            )
        )

    async def matching(
        self, query: Stored, *, sort: list[tuple[str, int]]
    ) -> AsyncIterator[Stored]:
        """Stream the documents that the sweep asks for, in pages of the driver's."""
        with translated():
            async for document in self._tasks.find(query, sort=sort, batch_size=500):
                yield document

    async def owners(self, task_ids: list[str]) -> dict[str, Stored]:
        """Return what decides whether objects in the bucket are still wanted, by task id."""
        ids = [ref for task_id in task_ids for ref in (task_id, _object_id(task_id)) if ref]
        with translated():
            found = self._tasks.find(
                {"_id": {"$in": ids}}, {"status": True, "runId": True, "objectKey": True}
            )
            return {str(document["_id"]): document async for document in found}

    async def _end(
        self,
        ref: TaskRef,
        status: TaskStatus,
        fields: Stored,
        unset: tuple[str, ...] = ("nextRunAt",),
    ) -> ExportTask:
        now = now_ms()
        update = {
            "$set": {**fields, "status": status.value, "finishedAt": now},
            "$unset": dict.fromkeys(unset, ""),
        }
        try:
            return await self._move(ref, update)
        except TaskLostError:
            document = await self.find(ref.task_id)
            if (
                document is not None
                and document.get("runId") == ref.run_id
                and document["status"] == status.value
                and document.get("objectKey") == fields.get("objectKey")
            ):
                return ExportTask.from_document(document)
            raise

    async def _move(self, ref: TaskRef, update: Stored) -> ExportTask:
        update["$set"]["updatedAt"] = now_ms()
        moved = _task(
            await self._update(
                {**id_filter(ref.task_id), "runId": ref.run_id, "status": {"$in": _OPEN}}, update
            )
        )
        if moved is None:
            raise TaskLostError(
                "The task was deleted, has ended, or belongs to another run by now."
            )
        return moved

    async def _update(self, query: Stored, update: Stored) -> Stored | None:
        with translated():
            return await self._tasks.find_one_and_update(
                query, update, return_document=ReturnDocument.AFTER
            )


def _new_document(request: ExportRequest, max_retries: int) -> Stored:
    now = now_ms()
    return {
        "type": request.type,
        "params": request.params,
        "format": request.format,
        "status": TaskStatus.PENDING.value,
        "retries": 0,
        "maxRetries": max_retries,
        "nextRunAt": now,
        "createdBy": request.created_by,
        "createdAt": now,
        "updatedAt": now,
    }


def _task(document: Stored | None) -> ExportTask | None:
    return None if document is None else ExportTask.from_document(document)


def _object_id(task_id: str) -> ObjectId | None:
    return ObjectId(task_id) if ObjectId.is_valid(task_id) else None

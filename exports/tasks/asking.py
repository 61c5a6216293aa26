"""What asking for an export does to the collection: join a task, or take slots and store a new one.

Nothing here relies on a look before a write: the unique indexes of `TaskCollection` decide, so that
of many who ask at once, one makes the task.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, cast

from bson import ObjectId

from exports.clock import now_ms
from exports.documents import ConflictError, Stored, read_one
from exports.errors import IdempotencyKeyError, QuotaError, TaskNotFoundError
from exports.models import (
    DEFAULT_CHANNELS,
    DEFAULT_MAX_RETRIES,
    Author,
    ExportRequest,
    Stage,
    TaskStatus,
)
from exports.tasks.audit import AuditAction, entry
from exports.tasks.collection import (
    ASKED_WITH,
    JOIN_KEY,
    NOTIFY,
    REMOVE_AT,
    WITHOUT_AUDIT,
    TaskCollection,
    is_known,
    new_document,
)
from exports.tasks.quotas import Limit, Quota, Slots
from exports.tasks.task import ExportTask

_MAX_KEYS: Final = 1000
"""A task that was asked for with so many idempotency keys is not joined with one more."""


class Joining(NamedTuple):
    """How a request joins a task that there is.

    Attributes:
        key: What is equal for equal requests: see `names.join_key`.
        within: How long after its end a task may be joined (milliseconds).
    """

    key: str
    within: int


class AskingStore:
    """What a client may do that takes slots: ask for a new export, or for a failed one again.

    Args:
        tasks: The collection; its origin is the program that asks.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks
        self._slots = Slots(tasks)

    async def create(
        self,
        request: ExportRequest,
        *,
        max_retries: int = DEFAULT_MAX_RETRIES,
        task_id: str | None = None,
        joining: Joining | None = None,
        force: bool = False,
        limits: Sequence[Limit] = (),
    ) -> ExportTask:
        """Return a task for a request: one that it joins, or a new one, due at once.

        Args:
            request: What is asked for.
            max_retries: Failed attempts at which a new task fails.
            task_id: The id that belongs to the request's idempotency key: an `_id` is unique in
                every collection, with or without indexes. By default, a new one.
            joining: How it joins; None if it does not.
            force: Make a new task, which later requests join.
            limits: The quotas of the person, for a new task.

        Returns:
            The task; `joined` is True if it is not new.

        Raises:
            IdempotencyKeyError: The key was used for another request.
            QuotaError: A limit is reached.
        """
        wanted = None if force else joining

        async def insert(slots: Stored) -> ExportTask:
            document = new_document(request, max_retries, origin=self._tasks.origin) | slots
            document["_id"] = ObjectId(task_id)
            document |= {} if task_id is None else {ASKED_WITH: [task_id]}
            document |= {} if wanted is None else {JOIN_KEY: wanted.key}
            try:
                async with self._tasks.operation():
                    await self._tasks.documents.insert_one(document)
            except ConflictError:
                if (found := await self._found(request, task_id, wanted)) is not None:
                    return found
                raise
            if force and joining is not None:
                await self._replace(document["_id"], joining.key)
            return ExportTask.from_document(document)

        try:
            return await self._slots.take(request.created_by, limits, insert)
        except QuotaError:
            if (found := await self._found(request, task_id, wanted)) is not None:
                return found
            raise

    async def reset(
        self, task: ExportTask, *, asked_by: str | None, limits: Sequence[Limit] = ()
    ) -> ExportTask | None:
        """Make a failed task due again with no failed attempts; return None if it is not failed.

        Raises:
            QuotaError: A limit is reached.
        """

        async def update(slots: Stored) -> bool:
            now = now_ms()
            return await self._tasks.update_task(
                task.id,
                {"status": TaskStatus.FAILED.value, "runId": task.run_id},
                {
                    "$set": {
                        "status": TaskStatus.PENDING.value,
                        "retries": 0,
                        "nextRunAt": now,
                        "updatedAt": now,
                        "progress": {"stage": Stage.QUEUED.value, "rows": 0, "bytes": 0},
                        **slots,
                    },
                    "$unset": dict.fromkeys(
                        ("error", "finishedAt", REMOVE_AT, "runId", "sweepStarts"), ""
                    ),
                },
                entry(Author.person(asked_by, origin=self._tasks.origin), AuditAction.RETRIED, now),
            )

        changed = await self._slots.take(task.created_by, limits, update, but=task.id)
        document = await self._tasks.find(task.id) if changed else None
        return None if document is None else ExportTask.from_document(document)

    async def used(self, created_by: str, limits: Sequence[Limit]) -> dict[Limit, Quota]:
        """Return how much of each limit a person has used."""
        return await self._slots.used(created_by, limits)

    async def joinable(
        self, request: ExportRequest, *, task_id: str | None, joining: Joining | None
    ) -> ExportTask | None:
        """Return the task that `create` would find for a request; None if it would make one.

        Raises:
            IdempotencyKeyError: The key was used for another request.
        """
        if task_id is not None and (found := await self._of_key(request, task_id)) is not None:
            return found
        if joining is None:
            return None
        document = await self._holder({JOIN_KEY: joining.key})
        if document is None or not _is_joinable(document, request, joining):
            return None
        return ExportTask.from_document(document)

    async def end_joining(self, task_id: str) -> None:
        """Let nobody join a task any more, because it is about to be cancelled."""
        await self._tasks.update_task(task_id, {}, {"$unset": {JOIN_KEY: ""}})

    async def _found(
        self, request: ExportRequest, task_id: str | None, joining: Joining | None
    ) -> ExportTask | None:
        """Return the task of the idempotency key, or one to join; None if there is none by now."""
        found = None if task_id is None else await self._of_key(request, task_id)
        if found is None and joining is not None:
            document = await self._holder({JOIN_KEY: joining.key})
            if document is not None:
                found = await self._join(document, request, task_id, joining)
        return None if found is None else found.model_copy(update={"joined": True})

    async def _of_key(self, request: ExportRequest, task_id: str) -> ExportTask | None:
        stored_id = ObjectId(task_id)
        found = await self._holder({ASKED_WITH: task_id}) or await self._holder({"_id": stored_id})
        if found is None:
            return None
        if not _is_of(found, request.created_by):
            if found["_id"] == stored_id:
                raise TaskNotFoundError("There is no such task.")
            # No client of ours stores the key of one person in the task of another.
            held: Stored = {"_id": {"$eq": found["_id"]}, ASKED_WITH: task_id}
            await self._tasks.update(held, {"$unset": {ASKED_WITH: ""}})
            return None
        task = ExportTask.from_document(found)
        if not _is_same(task, request):
            raise IdempotencyKeyError(
                "This idempotency key was used for another export; use a new key for each export."
            )
        return task

    async def _join(
        self, document: Stored, request: ExportRequest, task_id: str | None, joining: Joining
    ) -> ExportTask | None:
        """Join a task, or free its key if that can't be joined; None if something has changed."""
        unchanged: Stored = {"_id": {"$eq": document["_id"]}, JOIN_KEY: joining.key}
        if is_known(document):
            unchanged["status"] = document["status"]
        if not _is_joinable(document, request, joining):
            await self._tasks.update(unchanged, {"$unset": {JOIN_KEY: ""}})
            return None
        change: Stored = {} if task_id is None else {ASKED_WITH: task_id}
        if request.notify != document.get(NOTIFY):
            asked, known = (
                [DEFAULT_CHANNELS] if channels is None else channels
                for channels in (request.notify, document.get(NOTIFY))
            )
            # In one update with the condition that its status is still the same: who joins before
            # it ends is told. One that is done has told of it already.
            change[NOTIFY] = {"$each": [*known, *asked]}
            document[NOTIFY] = list(dict.fromkeys([*known, *asked]))
        author = Author.person(request.created_by, origin=self._tasks.origin)
        try:
            joined = await self._tasks.update(
                unchanged,
                {"$addToSet": change} if change else {},
                entry(author, AuditAction.JOINED, now_ms()),
            )
        except ConflictError:  # the key was used for another request at the same time
            return None
        return ExportTask.from_document(document) if joined else None

    async def _replace(self, stored_id: ObjectId, key: str) -> None:
        """Let later requests join this task instead of the one that they join now."""
        holder = await self._holder({JOIN_KEY: key})
        if holder is not None:
            held: Stored = {"_id": {"$eq": holder["_id"]}, JOIN_KEY: key}
            await self._tasks.update(held, {"$unset": {JOIN_KEY: ""}})
        with suppress(ConflictError):  # another one that is as new
            await self._tasks.update({"_id": stored_id}, {"$set": {JOIN_KEY: key}})

    async def _holder(self, query: Stored) -> Stored | None:
        return await read_one(self._tasks.documents, query, WITHOUT_AUDIT)


def _is_of(document: Stored, created_by: str) -> bool:
    return is_known(document) and document.get("createdBy") == created_by


def _is_same(task: ExportTask, request: ExportRequest) -> bool:
    return (task.type, task.params, task.format) == (request.type, request.params, request.format)


def _is_joinable(document: Stored, request: ExportRequest, joining: Joining) -> bool:
    keys, notify = document.get(ASKED_WITH, []), document.get(NOTIFY, [])
    if not _is_of(document, request.created_by):
        return False
    if not (isinstance(keys, list) and isinstance(notify, list)):
        return False
    task = ExportTask.from_document(document)
    if len(cast("list[object]", keys)) >= _MAX_KEYS or not _is_same(task, request):
        return False
    if task.status is not TaskStatus.DONE:
        return not task.status.ended
    now = now_ms()
    has_file = task.object_key is not None and (task.purge_at is None or task.purge_at > now)
    return has_file and (task.finished_at or 0) > now - joining.within

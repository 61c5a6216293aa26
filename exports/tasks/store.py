"""What clients may do with tasks that there are.

New ones are in `asking`, what runs may do is in `transitions`, the sweep in `sweep`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from exports.clock import as_seconds, from_epoch_ms, now_ms
from exports.documents import Stored, read
from exports.errors import RequestError, TaskNotFoundError
from exports.models import Author, TaskStatus
from exports.runtime.ended import EndedExport
from exports.runtime.metrics import Kind
from exports.tasks.audit import AUDIT, AuditAction, AuditEntry, entries_of, entry
from exports.tasks.collection import OPEN, WITHOUT_AUDIT, TaskCollection
from exports.tasks.listing import EVERYTHING, Page, Part, Place, Wanted, parts
from exports.tasks.outbox import to_tell
from exports.tasks.task import ExportTask, TaskError, stored_ids

_AFTER_FILE: Final = timedelta(days=1)
"""How long a task is kept at least after its file has been removed."""


class TaskStore:
    """What a client may do with tasks that there are: read, list and cancel them, link their files.

    Args:
        tasks: The collection; its origin is the program that asks.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Args:
            task_id: Its id, as text.
            created_by: Who asks; None for an operator, who sees all tasks.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        document = await self._tasks.find(task_id)
        return ExportTask.from_document(owned(document, created_by))

    async def page(
        self,
        *,
        created_by: str | None,
        wanted: Wanted = EVERYTHING,
        after: str | None = None,
        limit: int,
    ) -> Page:
        """Return up to `limit` tasks, newest first, and where the list goes on.

        Args:
            created_by: Whose tasks; None for everybody's.
            wanted: Which of them.
            after: Only what comes after this in the list: the `next` of a page, or the id of a
                task.
            limit: How many.

        Raises:
            RequestError: `after` is neither, or that task belongs to somebody else.
        """
        last = None if after is None else await self._place(after, created_by)
        found: list[Stored] = []
        for part in parts(wanted, created_by, last):
            found += await self._of(created_by, part, limit + 1 - len(found))
            if len(found) > limit:
                break
        more = str(Place.of(found[limit - 1])) if len(found) > limit else None
        return Page(items=[ExportTask.from_document(item) for item in found[:limit]], next=more)

    async def _place(self, after: str, created_by: str | None) -> Place:
        if (place := Place.read(after)) is not None:
            return place
        try:
            return Place.of(owned(await self._tasks.find(after), created_by))
        except TaskNotFoundError:
            raise RequestError(
                "`after` must be the `next` of a page, or the id of an export of the list."
            ) from None

    async def _of(self, created_by: str | None, part: Part, limit: int) -> list[Stored]:
        """Find tasks of a person that they can ask for by their id."""
        others: list[object] = []
        while True:
            query = {**part.query, "_id": {**part.query["_id"], "$nin": others}}
            found = await read(
                self._tasks.documents, query, WITHOUT_AUDIT, sort=part.sort, limit=limit
            )
            hidden = [item["_id"] for item in found if not await self._is_of(created_by, item)]
            if not hidden:
                return found
            others += hidden

    async def _is_of(self, created_by: str | None, document: Stored) -> bool:
        # To MongoDB, an array that contains the name is equal too; it is not an owner.
        if created_by not in (None, document.get("createdBy")):
            return False
        meant = stored_ids(str(document["_id"]))[0]  # the text of an ObjectId means the ObjectId
        return meant == document["_id"] or not await self._tasks.exists(meant)

    async def audit(self, task_id: str, *, created_by: str | None) -> list[AuditEntry]:
        """Return the audit record of a task, oldest entry first.

        The arguments are those of `get`.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        found = await self._tasks.find(task_id, {"createdBy": True, "status": True, AUDIT: True})
        return entries_of(owned(found, created_by))

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

    async def downloaded(self, task: ExportTask, *, until: int, asked_by: str | None) -> bool:
        """Record a link for one download; return whether the task still has this file.

        Args:
            task: The task.
            until: When the link expires (epoch milliseconds).
            asked_by: Who gets it.
        """
        return await self._tasks.update_task(
            task.id,
            {"status": TaskStatus.DONE.value, "objectKey": task.object_key},
            {},
            entry(self._person(asked_by), AuditAction.DOWNLOADED, now_ms(), until=until),
        )

    async def expire(self, task: ExportTask, *, asked_by: str | None) -> bool:
        """Move a task whose file is about to be removed to `expired`, if it still has this file."""
        return await self._tasks.update_task(
            task.id,
            {"status": TaskStatus.DONE.value, "objectKey": task.object_key},
            *expiry(self._tasks, task.finished_at, self._person(asked_by)),
        )

    async def close_cancelled(self, task_id: str, *, reason: str, asked_by: str | None) -> bool:
        """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
        document = await self._tasks.find(task_id)
        return document is not None and await close_cancelled(
            self._tasks, document, reason=reason, author=self._person(asked_by)
        )

    def _person(self, name: str | None) -> Author:
        return Author.person(name, origin=self._tasks.origin)


def owned(document: Stored | None, created_by: str | None) -> Stored:
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


def expiry(
    tasks: TaskCollection, finished_at: object, author: Author, error: TaskError | None = None
) -> tuple[Stored, AuditEntry]:
    """Return the change that moves a task to `expired`, and its entry in the audit record.

    Args:
        tasks: The collection.
        finished_at: When the task ended (epoch milliseconds); another system may have stored
            anything.
        author: Who removes the file.
        error: Why it has no file that may be removed; None if it has one.
    """
    now = now_ms()
    why = {"error": error.model_dump()} if error else {}
    ended = now
    if isinstance(finished_at, int | float) and 0 <= finished_at <= now:
        ended = int(finished_at)
    soonest = from_epoch_ms(now) + _AFTER_FILE
    removal = {name: max(at, soonest) for name, at in tasks.removal(ended).items()}
    change: Stored = {
        "$set": {"status": TaskStatus.EXPIRED.value, "updatedAt": now, **removal, **why},
        "$unset": {"downloadUrl": "", "expiresAt": ""},
    }
    return change, entry(author, AuditAction.EXPIRED, now, code=error.code if error else None)


async def close(
    tasks: TaskCollection, document: Mapping[str, Any], fields: Stored, ended: AuditEntry
) -> bool:
    """End a task that no workflow runs, unless a run takes it meanwhile; return whether so."""
    closed = await tasks.update(
        unmoved(document),
        {
            "$set": {
                **fields,
                "finishedAt": ended.at,
                "updatedAt": ended.at,
                **tasks.removal(ended.at),
            },
            "$unset": {"nextRunAt": ""},
            "$push": to_tell(
                str(document["_id"]),
                fields["status"],
                ended.at,
                run=document.get("runId"),
                error=fields.get("error"),
            ),
        },
        ended,
    )
    if closed:
        _record(ExportTask.from_document({**document, **fields}), ended)
    return closed


def _record(task: ExportTask, ended: AuditEntry) -> None:
    EndedExport(
        task_id=task.id,
        kind=Kind(),  # what it names may not be a report
        outcome="cancelled" if task.status is TaskStatus.CANCELLED else "failed",
        code=ended.code,
        seconds=as_seconds(max(0, ended.at - (task.created_at or ended.at))),
        attempts=task.retries,
    ).record()


def unmoved(document: Mapping[str, Any]) -> Stored:
    """Return the query for a task that has not ended, and that no run has taken since it was read.

    The `runId` of another system may be anything. A value that is not a text is not compared: it
    could be read as an operator. The id of a run that takes the task is a text.
    """
    run = document.get("runId")
    if not isinstance(run, str | None):
        run = {"$type": "array"} if isinstance(run, list) else {"$not": {"$type": "string"}}
    return {"_id": {"$eq": document["_id"]}, "status": {"$in": OPEN}, "runId": run}

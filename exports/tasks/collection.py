"""The collection `ExportTasks`: how its documents are read and written, each within a deadline."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final

from bson import ObjectId
from bson.codec_options import DatetimeConversion
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError

from exports import names
from exports.clock import check_clock, from_epoch_ms, now_ms
from exports.documents import (
    ANY_TEXT,
    Sort,
    Stored,
    deadline,
    majority_collection,
    pages,
    read,
    read_one,
    server_time,
)
from exports.models import DEFAULT_TASKS_KEPT, Author, ExportRequest, TaskStatus
from exports.names import TASKS_COLLECTION
from exports.tasks.audit import AUDIT, AuditAction, AuditEntry, entry, last_place, stored
from exports.tasks.task import stored_ids

JOIN_KEY: Final = "joinKey"
"""Field with the digest of what a task was asked for, while others may join it."""
ASKED_WITH: Final = "askedWith"
"""Array of the ids of the idempotency keys that a task was asked for with."""
OPEN_SLOTS: Final = "openSlots"
DAY_SLOTS: Final = "daySlots"
"""Arrays of the quota slots that a task holds: see `exports.tasks.quotas`."""
NOTIFY: Final = "notify"
"""Array of the channels by which a task's person is told; without it, by those they have chosen."""
REMIND_AT: Final = "remindAt"
"""Field with the time at which a task's person is to be reminded of its file."""
OUTBOX: Final = "outbox"
"""Array of what is still to be told of a task: see `exports.tasks.outbox`."""
RECURRING: Final = "recurring"
"""The id of the recurring export that a task is of."""
REMOVE_AT: Final = "removeAt"
"""Field with the date from which on the database removes a task. Only one that has ended has it,
and one that is done only after its file has been removed."""
UNIQUE: Final = (JOIN_KEY, ASKED_WITH, OPEN_SLOTS, DAY_SLOTS)
"""Fields whose texts only one task can have."""
IN_OUTBOX: Final[Stored] = {f"{OUTBOX}.id": ANY_TEXT}
"""The condition that there is something to be told of a document."""

WITHOUT_AUDIT: Final = {AUDIT: False}
"""The projection of a task without its audit record, which may be long."""
OPEN: Final = [TaskStatus.PENDING.value, TaskStatus.RUNNING.value]
KNOWN: Final = [status.value for status in TaskStatus]

_BAD_VALUE: Final = 2  # the answer to $push on a field that exists and is not an array


def is_known(document: Mapping[str, object]) -> bool:
    """Return whether a document is a task: one with another status does not exist for us."""
    return document.get("status") in KNOWN


def has_status(*statuses: TaskStatus) -> Stored:
    """Return the condition that `status` is one of these."""
    # To MongoDB, an array that contains the text matches too; it is not a status.
    return {"$in": [status.value for status in statuses], "$not": {"$type": "array"}}


class TaskCollection:
    """Finds and updates single documents. It does not know what a change means.

    `RunTransitions`, `TaskStore` and `SweepStore` know it. Runs, clients and the sweep use those.

    Args:
        database: The database of `ExportTasks`. Writes wait for the majority, and reads see only
            what a majority holds, so that nothing that was seen is ever rolled back.
        origin: Where the changes come from, for the audit record: see `Author`.
        kept: How long a task is kept after its end; zero for ever.
    """

    def __init__(
        self,
        database: AsyncDatabase[Stored],
        *,
        origin: str = names.FROM_CLIENT,
        kept: timedelta = DEFAULT_TASKS_KEPT,
    ) -> None:
        self.origin = origin
        self._kept = kept
        self.documents = majority_collection(
            database,
            TASKS_COLLECTION,
            # Another system may have stored a date after the year 9999, or text that is not
            # UTF-8. One such document must not stop the reading of all others.
            codec_options=database.codec_options.with_options(
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                unicode_decode_error_handler="replace",
            ),
        )

    def operation(self) -> AbstractAsyncContextManager[None]:
        """Give what a block asks of the database a deadline: see `deadline`."""
        return deadline(self.documents)

    def removal(self, ended: int) -> dict[str, datetime]:
        """Return what the update that ends a task sets, so that the database removes it in time.

        Args:
            ended: When it ended (epoch milliseconds).
        """
        return {REMOVE_AT: from_epoch_ms(ended) + self._kept} if self._kept else {}

    async def find(self, task_id: str, fields: Stored | None = None) -> Stored | None:
        """Return the document of a task of any owner; None if there is none.

        Args:
            task_id: Its id, as text; see `stored_ids`.
            fields: Which fields, `status` among them; by default all but the audit record.
        """
        if not names.is_text(task_id):  # no document has such an id
            return None
        ids = stored_ids(task_id)
        found = await read(self.documents, {"_id": {"$in": ids}}, fields or WITHOUT_AUDIT)
        meant = min(found, key=lambda document: ids.index(document["_id"]), default=None)
        return meant if meant is not None and is_known(meant) else None

    def pages(self, query: Stored, *, sort: Sort | None = None) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the documents that match a query, without their audit records."""
        return pages(self.documents, query, WITHOUT_AUDIT, sort=sort)

    async def exists(self, stored_id: ObjectId | str) -> bool:
        """Return whether there is a document with this `_id`, whatever else is in it."""
        return await read_one(self.documents, {"_id": stored_id}, {"_id": True}) is not None

    async def check_clock(self) -> None:
        """Compare this machine's clock with the server's.

        Raises:
            ClockError: They differ too much.
        """
        async with self.operation():
            there = await server_time(self.documents.database)
        check_clock(there, whose="the database's")

    async def update_task(
        self, task_id: str, condition: Stored, update: Stored, *entries: AuditEntry
    ) -> bool:
        """Change a task as `update` does, if it meets a condition; return whether it does.

        Args:
            task_id: Its id, as text; see `stored_ids`.
            condition: The query, without the `_id`.
            update: The change.
            entries: What is added to its audit record.
        """
        *objects, text = stored_ids(task_id)
        for stored_id in objects:
            if await self.update({"_id": stored_id, **condition}, update, *entries):
                return True
            if await self.exists(stored_id):
                return False
        return await self.update({"_id": text, **condition}, update, *entries)

    async def update(self, query: Stored, update: Stored, *entries: AuditEntry) -> bool:
        """Change one document, and add to its audit record in that update.

        A full record stays as it is, and so does one that is not an array, because another system
        put it there: neither is a reason not to change the task. An `outbox` that is not an array
        is replaced, because what is added there must be told.

        A caller that needs the document reads it afterwards, because `findAndModify` costs more
        than an update and a read: a server stores an image of the document for a retry, and the
        embedded server reads all documents.

        Args:
            query: Which one: its `_id` and the condition of the change.
            update: The change; empty if there is only something to record.
            entries: What is added to its audit record.

        Returns:
            Whether a document matched.

        Raises:
            ConflictError: Another document has a text that must be unique.
        """
        async with self.operation():
            try:
                return await self._recorded(query, update, entries)
            except WriteError as error:
                if error.code != _BAD_VALUE:
                    raise
            if OUTBOX in update.get("$push", {}):
                odd: Stored = {"$exists": True, "$not": {"$type": "array"}}
                await self._update({**query, OUTBOX: odd}, {"$unset": {OUTBOX: ""}})
            try:
                return await self._recorded(query, update, entries)
            except WriteError as error:
                if error.code != _BAD_VALUE:
                    raise
            return await self._update(query, update)

    async def _recorded(self, query: Stored, update: Stored, entries: Sequence[AuditEntry]) -> bool:
        if not entries:
            return await self._update(query, update)
        last = last_place(entries)
        room = {} if last is None else {last: {"$exists": False}}
        push = {**update.get("$push", {}), AUDIT: {"$each": stored(entries)}}
        changed = await self._update({**query, **room}, {**update, "$push": push})
        if changed or last is None:
            return changed
        # Only one with a full record: any other that matches by now must get its entry.
        return await self._update({**query, last: {"$exists": True}}, update)

    async def _update(self, query: Stored, update: Stored) -> bool:
        if not update:
            return await read_one(self.documents, query, {"_id": True}) is not None
        return (await self.documents.update_one(query, update)).matched_count > 0


def new_document(request: ExportRequest, max_retries: int, *, origin: str) -> Stored:
    """Return the document of a new task, due at once, without its `_id`."""
    now = now_ms()
    author = Author.person(request.created_by, origin=origin)
    notify = {} if request.notify is None else {NOTIFY: request.notify}
    recurring = {} if request.recurring is None else {RECURRING: request.recurring.id}
    return {
        **notify,
        **recurring,
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
        AUDIT: stored([entry(author, AuditAction.CREATED, now)]),
    }

"""The collection `ExportTasks`: how its documents are read and written, each within a deadline."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ASCENDING, DESCENDING, IndexModel, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from exports import names
from exports.clock import check_clock, now_ms
from exports.errors import DatabaseRefusedError
from exports.models import Author, ExportRequest, TaskStatus
from exports.names import TASKS_COLLECTION
from exports.server_errors.mongo import MONGO_ERRORS, UNCONFIRMED, tasks_error
from exports.tasks.audit import AUDIT, AuditAction, AuditEntry, entry, last_place, stored
from exports.tasks.task import stored_ids

# Other systems insert documents too, which may hold anything: there is no narrower type.
Stored = dict[str, Any]

OPERATION_TIMEOUT: Final = 10.0
"""Seconds for one operation, with its retries; `timeoutMS` in the URI replaces them."""
MAJORITY_TIMEOUT: Final = 8000
"""Milliseconds that the server lets a write wait for the majority: `wtimeout`.

Shorter than `OPERATION_TIMEOUT`, so that the server can still answer, with code 64.
"""
PAGE: Final = 500
"""Documents that the sweep reads at once."""
INDEX_TIMEOUT: Final = 600.0
"""Seconds for the creation of indexes: the server reads the whole collection for them."""

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
UNIQUE: Final = (JOIN_KEY, ASKED_WITH, OPEN_SLOTS, DAY_SLOTS)
"""Fields whose texts only one task can have."""
ANY_TEXT: Final = {"$gt": ""}  # to MongoDB, nothing of another type is more or less than a text

IN_OUTBOX: Final[Stored] = {f"{OUTBOX}.id": ANY_TEXT}
"""The condition that there is something to be told of a document."""

WITHOUT_AUDIT: Final = {AUDIT: False}
"""The projection of a task without its audit record, which may be long."""
OPEN: Final = [TaskStatus.PENDING.value, TaskStatus.RUNNING.value]
KNOWN: Final = [status.value for status in TaskStatus]

OUTBOX_INDEX: Final = IndexModel([(f"{OUTBOX}.id", ASCENDING)], partialFilterExpression=IN_OUTBOX)

_BAD_VALUE: Final = 2  # the answer to $push on a field that exists and is not an array


def is_known(document: Mapping[str, object]) -> bool:
    """Return whether a document is a task: one with another status does not exist for us."""
    return document.get("status") in KNOWN


def has_status(*statuses: TaskStatus) -> Stored:
    """Return the condition that `status` is one of these."""
    # To MongoDB, an array that contains the text matches too; it is no status.
    return {"$in": [status.value for status in statuses], "$not": {"$type": "array"}}


class ConflictError(DatabaseRefusedError):
    """A document can't be stored, because another one has a text that must be unique.

    Attributes:
        field: The field.
        value: The text.
    """

    def __init__(self, error: DuplicateKeyError) -> None:
        super().__init__(tasks_error(error).msg)
        details: Mapping[str, Any] = error.details or {}
        self.field, self.value = next(iter(details.get("keyValue", {"": None}).items()))


@contextmanager
def translated() -> Generator[None]:
    """Translate the driver's errors to domain errors, which repeat no value of a document."""
    try:
        yield
    except DuplicateKeyError as error:
        raise ConflictError(error) from None
    except MONGO_ERRORS as error:
        raise tasks_error(error) from None


async def server_time(database: AsyncDatabase[Stored]) -> datetime:
    """Return the time of a database server's clock, with its time zone."""
    local: datetime = (await database.command("hello"))["localTime"]
    return local if local.tzinfo else local.replace(tzinfo=UTC)


@asynccontextmanager
async def deadline(
    documents: AsyncCollection[Stored], seconds: float | None = None
) -> AsyncGenerator[None]:
    """Give what this block asks of the database a deadline, and translate its errors.

    Not the driver's own deadline (`pymongo.timeout`), which replaces the time for finding a
    server, so that a server that is away would be noticed late.

    Args:
        documents: The collection.
        seconds: How long it may take; by default the URI's `timeoutMS`, or `OPERATION_TIMEOUT`.

    Raises:
        DatabaseUnavailableError: The deadline passed. A write may have been applied.
    """
    seconds = seconds or documents.database.client.options.timeout or OPERATION_TIMEOUT
    try:
        async with asyncio.timeout(seconds):
            with translated():
                yield
    except TimeoutError:
        raise UNCONFIRMED.to_error(what=f"no answer within {seconds:g} s") from None


def majority_collection(
    database: AsyncDatabase[Stored], name: str, *, codec_options: CodecOptions[Stored] | None = None
) -> AsyncCollection[Stored]:
    """Return a collection whose writes wait for the majority, and whose reads see no others.

    Args:
        database: Its database.
        name: Its name.
        codec_options: How its documents are decoded; None: as the database's are.
    """
    return database.get_collection(
        name,
        codec_options=codec_options,
        write_concern=WriteConcern("majority", wtimeout=MAJORITY_TIMEOUT),
        read_concern=ReadConcern("majority"),
        # A write must be visible to the next read, even if the URI has a `readPreference`.
        read_preference=ReadPreference.PRIMARY,
    )


async def pages(
    documents: AsyncCollection[Stored],
    query: Stored,
    fields: Stored | None = None,
    *,
    sort: list[tuple[str, int]] | None = None,
) -> AsyncIterator[list[Stored]]:
    """Yield, in pages, the documents that match a query.

    Args:
        documents: The collection.
        query: Which ones.
        fields: Which of their fields; None for all.
        sort: In which order.
    """
    found = documents.find(query, fields, sort=sort, batch_size=PAGE)
    while True:
        async with deadline(documents):
            page = await found.to_list(PAGE)
        if not page:
            return
        yield page


class TaskCollection:
    """Finds and updates single documents. It does not know what a change means.

    `RunTransitions`, `TaskStore` and `SweepStore` know it. Runs, clients and the sweep use those.

    Args:
        database: The database of `ExportTasks`. Writes wait for the majority, and reads see only
            what a majority holds, so that nothing that was seen is ever rolled back.
        origin: Where the changes come from, for the audit record: see `Author`.
    """

    def __init__(self, database: AsyncDatabase[Stored], *, origin: str = names.FROM_CLIENT) -> None:
        self.origin = origin
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

    def operation(self, seconds: float | None = None) -> AbstractAsyncContextManager[None]:
        """Give what a block asks of the database a deadline: see `deadline`."""
        return deadline(self.documents, seconds)

    async def ensure_indexes(self) -> None:
        """Create the indexes that clients and the sweep need; nothing if they exist."""
        async with self.operation(INDEX_TIMEOUT):
            await self.documents.create_indexes(
                [
                    IndexModel([("status", ASCENDING), ("nextRunAt", ASCENDING)]),
                    IndexModel([("status", ASCENDING), ("purgeAt", ASCENDING)]),
                    IndexModel(
                        [("createdBy", ASCENDING), ("createdAt", DESCENDING), ("_id", DESCENDING)]
                    ),
                    IndexModel([("createdAt", DESCENDING), ("_id", DESCENDING)]),
                    IndexModel([("updatedAt", DESCENDING)]),
                    OUTBOX_INDEX,
                    IndexModel(
                        [(REMIND_AT, ASCENDING)],
                        partialFilterExpression={REMIND_AT: {"$gt": 0}},
                    ),
                    IndexModel(
                        [(RECURRING, ASCENDING), ("createdAt", DESCENDING), ("_id", DESCENDING)],
                        partialFilterExpression={RECURRING: ANY_TEXT},
                    ),
                    IndexModel(
                        [("createdBy", ASCENDING)],
                        partialFilterExpression={OPEN_SLOTS: ANY_TEXT},
                    ),
                    *(
                        IndexModel(
                            [(field, ASCENDING)],
                            unique=True,
                            partialFilterExpression={field: ANY_TEXT},
                        )
                        for field in UNIQUE
                    ),
                ]
            )

    async def find(self, task_id: str, fields: Stored | None = None) -> Stored | None:
        """Return the document of a task of any owner; None if there is none.

        Args:
            task_id: Its id, as text; see `stored_ids`.
            fields: Which fields, `status` among them; by default all but the audit record.
        """
        if not names.is_text(task_id):  # no document has such an id
            return None
        ids = stored_ids(task_id)
        async with self.operation():
            found = await self.documents.find(
                {"_id": {"$in": ids}}, fields or WITHOUT_AUDIT
            ).to_list()
        meant = min(found, key=lambda document: ids.index(document["_id"]), default=None)
        return meant if meant is not None and is_known(meant) else None

    def pages(
        self, query: Stored, *, sort: list[tuple[str, int]] | None = None
    ) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the documents that match a query, without their audit records."""
        return pages(self.documents, query, WITHOUT_AUDIT, sort=sort)

    async def exists(self, stored_id: ObjectId | str) -> bool:
        """Return whether there is a document with this `_id`, whatever else is in it."""
        async with self.operation():
            return await self.documents.find_one({"_id": stored_id}, {"_id": True}) is not None

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
            return await self.documents.find_one(query, {"_id": True}) is not None
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

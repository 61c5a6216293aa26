"""The collection `ExportTasks` as such: how it is read, written, and what its errors are."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from bson.codec_options import DatetimeConversion
from pymongo import ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from exports import names
from exports.clock import check_clock, now_ms
from exports.models import (
    Author,
    ExportRequest,
    TaskStatus,
)
from exports.names import TASKS_COLLECTION
from exports.server_errors.mongo import MONGO_ERRORS, tasks_error
from exports.tasks.audit import AUDIT, FULL, AuditAction, AuditEntry, entry, stored, with_room
from exports.tasks.task import id_filter

# What other systems insert holds anything, so these documents have no narrower type.
Stored = dict[str, Any]

# BadValue, which is what $push says of a field that is there and is no array.
_NO_ARRAY: Final = 2
WITHOUT_AUDIT: Final = {AUDIT: False}
"""Whoever reads a task does not want its record, which may be long."""

OPEN: Final = [TaskStatus.PENDING.value, TaskStatus.RUNNING.value]
KNOWN: Final = [status.value for status in TaskStatus]


@contextmanager
def translated() -> Generator[None]:
    """Turn what the driver raises into a domain error that names no value of a document."""
    try:
        yield
    except MONGO_ERRORS as error:
        raise tasks_error(error) from None


async def server_time(database: AsyncDatabase[Stored]) -> datetime:
    """Return what the clock of a database's server says, with its time zone."""
    local: datetime = (await database.command("hello"))["localTime"]
    return local if local.tzinfo else local.replace(tzinfo=UTC)


class TaskCollection:
    """Finds and updates single documents.

    Args:
        database: Where `ExportTasks` lives. Writes wait for the majority, and reads see only
            what a majority holds, so that nothing that was seen is ever rolled back.
        origin: Where the changes come from, for the audit record: see `Author`.
    """

    def __init__(self, database: AsyncDatabase[Stored], *, origin: str = names.FROM_CLIENT) -> None:
        self.origin = origin
        self.documents = database.get_collection(
            TASKS_COLLECTION,
            # What another system stored may be a date after the year 9999, or broken text. One
            # such document must not stop the reading of all others.
            codec_options=database.codec_options.with_options(
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                unicode_decode_error_handler="replace",
            ),
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
            # Whoever has written reads it back, whatever the URI says of secondaries.
            read_preference=ReadPreference.PRIMARY,
        )

    async def find(self, task_id: str, fields: Stored | None = None) -> Stored | None:
        """Return a task's document, whoever owns it.

        Args:
            task_id: Its id, as text.
            fields: Which fields, `status` among them; by default all but the audit record.
        """
        if not names.is_text(task_id):  # no document has such an id
            return None
        with translated():
            found = await self.documents.find_one(id_filter(task_id), fields or WITHOUT_AUDIT)
        return found if found is not None and found.get("status") in KNOWN else None

    async def check_clock(self) -> None:
        """Compare this machine's clock with the server's.

        Raises:
            ClockError: They differ too much.
        """
        with translated():
            there = await server_time(self.documents.database)
        check_clock(there, whose="the database's")

    async def update_one(self, query: Stored, update: Stored) -> bool:
        """Change one document; say whether one matched.

        Whoever wants the document reads it afterwards, because `findAndModify` costs more than
        both: a server stores an image of the document for its retry, and the embedded one looks
        at all documents.

        Args:
            query: Which, by its `_id` and the condition of the change.
            update: The change.
        """
        with translated():
            return await self._updated(query, update)

    async def recorded(self, query: Stored, update: Stored, *entries: AuditEntry) -> bool:
        """Change one document as `update_one` does, and add to its audit record by that update.

        A record that is full is left as it is, and so is one that another system has put there
        and that is no array: neither is a reason not to change the task.
        """
        room = with_room(entries)
        added = {**update, "$push": {AUDIT: {"$each": stored(entries)}}}
        with translated():
            try:
                changed = await self._updated({**query, **room}, added)
            except WriteError as error:
                if error.code != _NO_ARRAY:
                    raise
                return await self._updated(query, update)
            if changed or not room:
                return changed
            # Only a full one: what meets the query a moment later is to have its entry.
            return await self._updated({**query, **FULL}, update)

    async def _updated(self, query: Stored, update: Stored) -> bool:
        return (await self.documents.update_one(query, update)).matched_count > 0


def new_document(request: ExportRequest, max_retries: int, *, origin: str) -> Stored:
    """Return the document of a new task, due at once, without its `_id`."""
    now = now_ms()
    author = Author.person(request.created_by, origin=origin)
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
        AUDIT: stored([entry(author, AuditAction.CREATED, now)]),
    }

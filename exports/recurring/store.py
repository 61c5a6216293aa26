"""The collection `ExportRecurring`: one document for each recurring export."""

import builtins
import secrets
from typing import Final

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.clock import now_ms
from exports.documents import (
    ANY_TEXT,
    ConflictError,
    Indexes,
    Sort,
    Stored,
    deadline,
    majority_collection,
    read,
    read_one,
)
from exports.errors import IdempotencyKeyError, QuotaError, TaskNotFoundError
from exports.models import Author
from exports.recurring.record import Asked, Record, RecurringAction, RecurringEntry
from exports.tasks.collection import OUTBOX
from exports.tasks.indexes import OUTBOX_INDEX

_SLOT: Final = "slot"
"""Field with the place among those of its owner, which only one document can have."""
_AUDIT: Final = "audit"
_KEY: Final = "key"
"""Field of an entry with what stands for the idempotency key of a trigger."""
_REFUSED: Final = "refused"
"""Field of one that never was, because Temporal refused it."""
_MOST_ENTRIES: Final = 500
"""Of an audit record: the newest."""
_ATTEMPTS: Final = 50
"""How often a call tries again after others got the place that it wanted."""
_SHOWN: Final = {_AUDIT: False, OUTBOX: False}
_THERE: Final[Stored] = {"deletedAt": None}
_MOST_LISTED: Final = 1000
_NEWEST: Final[Sort] = [("createdAt", DESCENDING)]
INDEXES: Final = [
    IndexModel([(_SLOT, ASCENDING)], unique=True, partialFilterExpression={_SLOT: ANY_TEXT}),
    IndexModel([("createdBy", ASCENDING), *_NEWEST]),
    IndexModel(_NEWEST),
    OUTBOX_INDEX,
]


class RecurringStore:
    """Stores recurring exports. It knows nothing of their Schedules.

    Args:
        database: The database of `ExportRecurring`.

    Attributes:
        indexes: Those of the collection.
    """

    def __init__(self, database: AsyncDatabase[Stored]) -> None:
        self._documents = majority_collection(database, names.RECURRING_COLLECTION)
        self.indexes = Indexes(self._documents, INDEXES)

    async def create(
        self,
        asked: Asked,
        author: Author,
        *,
        created_by: str,
        recurring_id: str | None,
        most: int,
    ) -> Record:
        """Store a recurring export, or return the one of the same idempotency key.

        Args:
            asked: What it makes, and when.
            author: Who asks.
            created_by: Its owner.
            recurring_id: The id that belongs to an idempotency key; None for a new one.
            most: How many the owner may have; 0 for no limit.

        Raises:
            IdempotencyKeyError: The key was used for another one, or for one that was deleted.
            QuotaError: The owner has as many as they may have.
        """
        await self.indexes.ensure()
        now = now_ms()
        document: Stored = {
            "_id": recurring_id or str(ObjectId()),
            **asked.model_dump(mode="json"),
            "createdBy": created_by,
            "createdAt": now,
            _AUDIT: [_entry(author, RecurringAction.CREATED, now)],
        }
        for _ in range(_ATTEMPTS):
            there = None if recurring_id is None else await self._read(recurring_id)
            if there is not None and not there.refused:
                return _same(there, asked)
            if most:
                document[_SLOT] = await self._free_slot(created_by, most)
            try:
                async with deadline(self._documents):
                    if there is None:
                        await self._documents.insert_one(document)
                    else:  # others who find it changed by now look again
                        was: Stored = {"_id": there.id, _REFUSED: True}
                        if not (await self._documents.replace_one(was, document)).matched_count:
                            continue
            except ConflictError:  # of many who ask at once, another one was first
                continue
            return Record.from_document(document)
        raise QuotaError("Too many ask at the same moment. Ask again.")

    async def _free_slot(self, created_by: str, most: int) -> str:
        own: Stored = {"createdBy": {"$eq": created_by}, **_THERE}
        held = await read(self._documents, own, {_SLOT: True})
        if len(held) >= most:
            raise QuotaError(
                f"You have {len(held)} recurring exports, and the limit is {most}. Delete one."
            )
        prefix = names.slots_prefix(created_by)
        every = {names.slot(prefix, None, number) for number in range(most)}
        # Not the first one, which all others who ask now would try to take as well.
        return secrets.choice(sorted(every - {item.get(_SLOT) for item in held}))

    async def get(self, recurring_id: str, *, created_by: str | None) -> Record:
        """Return a recurring export.

        Args:
            recurring_id: Its id.
            created_by: Who asks; None for an operator, who sees all.

        Raises:
            TaskNotFoundError: There is none, or it belongs to somebody else.
        """
        record = await self.find(recurring_id)
        if record is None or created_by not in (None, record.created_by):
            raise TaskNotFoundError("There is no such recurring export.")
        return record

    async def find(self, recurring_id: str) -> Record | None:
        """Return a recurring export of any owner; None if there is none."""
        found = await self._read(recurring_id) if names.is_text(recurring_id) else None
        return found if found is not None and found.deleted_at is None else None

    async def _read(self, recurring_id: str) -> Record | None:
        found = await read_one(self._documents, {"_id": recurring_id}, _SHOWN)
        return None if found is None else Record.from_document(found)

    async def list(self, *, created_by: str | None) -> builtins.list[Record]:
        """Return the recurring exports of a person, newest first; None for everybody's."""
        of: Stored = {} if created_by is None else {"createdBy": {"$eq": created_by}}
        found = await read(
            self._documents, {**of, **_THERE}, _SHOWN, sort=_NEWEST, limit=_MOST_LISTED
        )
        return [Record.from_document(document) for document in found]

    async def audit(
        self, recurring_id: str, *, created_by: str | None
    ) -> builtins.list[RecurringEntry]:
        """Return what was done to a recurring export, oldest entry first.

        Raises:
            TaskNotFoundError: There is none, or it belongs to somebody else.
        """
        await self.get(recurring_id, created_by=created_by)
        found = await read_one(self._documents, {"_id": recurring_id}, {_AUDIT: True})
        return [RecurringEntry.model_validate(item) for item in (found or {}).get(_AUDIT, [])]

    async def record(
        self,
        recurring_id: str,
        author: Author,
        did: RecurringAction,
        *,
        code: str | None = None,
        since: int | None = None,
        until: int | None = None,
        tell: Stored | None = None,
    ) -> None:
        """Add to the audit record.

        Args:
            recurring_id: Which one.
            author: Who does it.
            did: What; the next three are attributes of `RecurringEntry`.
            code: See there.
            since: See there.
            until: See there.
            tell: What its owner is to be told: see `exports.messages.notices`.
        """
        entry = _entry(author, did, now_ms(), code=code, since=since, until=until)
        await self._update(recurring_id, {"$push": {**(tell or {}), **_newest(entry)}})

    async def trigger(self, recurring_id: str, author: Author, key: str | None) -> int:
        """Add a trigger to the audit record, unless there is one with the same idempotency key.

        Returns:
            The time that its export is planned for, a whole second (epoch milliseconds): that of
            the first trigger with this key.
        """
        entry = _entry(author, RecurringAction.TRIGGERED, now_ms())
        where: Stored = {}
        if key is not None:
            entry[_KEY] = names.trigger_key(recurring_id, key)
            where = {f"{_AUDIT}.{_KEY}": {"$ne": entry[_KEY]}}
        if not await self._update(recurring_id, {"$push": _newest(entry)}, where):
            found = await read_one(self._documents, {"_id": recurring_id}, {_AUDIT: True})
            same = [item for item in (found or {}).get(_AUDIT, []) if item.get(_KEY) == entry[_KEY]]
            entry = next(iter(same), entry)
        return int(entry["at"]) // 1000 * 1000

    async def refuse(self, record: Record) -> None:
        """Let one that Temporal refuses exist for nobody, and its idempotency key be used again."""
        await self._update(
            record.id,
            {"$set": {"deletedAt": now_ms(), _REFUSED: True}, "$unset": {_SLOT: ""}},
            {"createdAt": record.created_at, "scheduledAt": None},
        )

    async def scheduled(self, recurring_id: str) -> None:
        """Store that its Schedule has been there."""
        await self._update(recurring_id, {"$set": {"scheduledAt": now_ms()}})

    async def delete(self, recurring_id: str, author: Author) -> None:
        """Delete it: it exists for nobody any more. Its audit record stays in the database."""
        now = now_ms()
        await self._update(
            recurring_id,
            {
                "$set": {"deletedAt": now},
                "$unset": {_SLOT: ""},
                "$push": _newest(_entry(author, RecurringAction.DELETED, now)),
            },
        )

    async def _update(self, recurring_id: str, update: Stored, where: Stored | None = None) -> bool:
        query = {"_id": recurring_id, **_THERE, **(where or {})}
        async with deadline(self._documents):
            return (await self._documents.update_one(query, update)).matched_count > 0


def _entry(
    author: Author,
    did: RecurringAction,
    at: int,
    *,
    code: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Stored:
    entry = RecurringEntry(**dict(author), at=at, did=did, code=code, since=since, until=until)
    return entry.model_dump(mode="json", exclude_none=True)


def _newest(entry: Stored) -> Stored:
    return {_AUDIT: {"$each": [entry], "$slice": -_MOST_ENTRIES}}


def _same(there: Record, asked: Asked) -> Record:
    if there.deleted_at is not None:
        raise IdempotencyKeyError(
            "This idempotency key was used for a recurring export that is deleted; use a new key."
        )
    if any(getattr(there, name) != getattr(asked, name) for name in Asked.model_fields):
        raise IdempotencyKeyError(
            "This idempotency key was used for another recurring export; use a new key for each."
        )
    return there

"""The lease of the watcher: of all workers of a task queue, one watches at a time."""

import asyncio
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.documents import ConflictError, Stored, deadline, majority_collection, read_one
from exports.errors import ExportError

if TYPE_CHECKING:
    from exports.tasks.changes import Place

RENEWED_EVERY: Final = 2.0
"""Seconds between two renewals, and between two looks of those who wait."""
FREE_AFTER: Final = 7.0
"""Seconds without a renewal after which others take the lease."""
_GIVEN_BACK_WITHIN: Final = 2.0  # seconds


class Lease:
    """The lease of one worker, in the collection `ExportWatch`.

    No clocks are compared, so that none has to be right: whoever waits sees the document change
    with each renewal, and takes the lease when it has not changed for so long. A holder that was
    only slow finds at its next renewal that it is none any more.

    Args:
        database: The database of `ExportWatch`.
        task_queue: Of the workers.
        identity: The worker, for people who read the document.

    Attributes:
        token: The place in the change stream before which everything has been started; None if
            there is none. Only the holder stores it.
    """

    def __init__(self, database: AsyncDatabase[Stored], task_queue: str, identity: str) -> None:
        self.token: Place | None = None
        self._leases = majority_collection(database, names.WATCH_COLLECTION)
        self._queue = task_queue
        self._me = f"{identity} {secrets.token_hex(8)}"
        self._seen: tuple[object, object] | None = None
        self._seen_since = 0.0

    async def take(self) -> bool:
        """Take the lease if it is free, with the token of the last holder; return whether so."""
        found = await read_one(self._leases, {"_id": self._queue})
        mine: Stored = {"holder": self._me, "beat": ObjectId()}
        if found is None:
            with suppress(ConflictError):
                async with deadline(self._leases):
                    await self._leases.insert_one({"_id": self._queue, **mine})
                return True
            return False
        holder, beat = seen = (found.get("holder"), found.get("beat"))
        if seen != self._seen:
            self._seen, self._seen_since = seen, time.monotonic()
        if holder is not None and time.monotonic() - self._seen_since < FREE_AFTER:
            return False
        token = found.get("token")
        self.token = token if isinstance(token, dict) else None
        as_seen = {"_id": self._queue, "holder": {"$eq": holder}, "beat": {"$eq": beat}}
        async with deadline(self._leases):
            taken = await self._leases.update_one(as_seen, {"$set": mine})
        return taken.matched_count > 0

    async def keep(self) -> None:
        """Renew the lease, and store the token, until somebody else has taken the lease."""
        kept = True
        while kept:
            await asyncio.sleep(RENEWED_EVERY)
            # If the database is away for this worker only, another one takes the lease, and the
            # next renewal says so.
            with suppress(ExportError):
                kept = await self._update({"beat": ObjectId(), "token": self.token})

    async def give_back(self) -> None:
        """Store the token, and let the next one take the lease at once."""
        with suppress(ExportError):
            await self._update({"holder": None, "token": self.token}, _GIVEN_BACK_WITHIN)

    async def _update(self, fields: Stored, seconds: float | None = None) -> bool:
        async with deadline(self._leases, seconds):
            updated = await self._leases.update_one(
                {"_id": self._queue, "holder": self._me}, {"$set": fields}
            )
        return updated.matched_count > 0

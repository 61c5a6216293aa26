"""How far the sweep has come in the bucket: kept in a document, so that the next sweep goes on."""

from contextlib import suppress
from datetime import timedelta
from typing import Self

from pydantic import ValidationError
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.clock import millis, now_ms
from exports.documents import ConflictError, Stored, deadline, majority_collection, read_one
from exports.models import WireModel


class BucketPass(WireModel):
    """A pass through all objects of a bucket, in the order of their keys.

    Attributes:
        started_at: When it began, in epoch milliseconds.
        after: It goes on after this key.
        seen: How many objects it has looked at.
        removed: How many of them it has removed, and open uploads.
        ended_at: When it came to the end, in epoch milliseconds; None if it has not.
        seen_before: How many objects the pass before it has seen; None if there was none.
    """

    started_at: int
    after: str = ""
    seen: int = 0
    removed: int = 0
    ended_at: int | None = None
    seen_before: int | None = None

    def further(self, *, after: str, seen: int, removed: int) -> Self:
        """Return this pass when it has looked at more objects, the last of which is `after`."""
        return self.model_copy(
            update={
                "after": after,
                "seen": self.seen + seen,
                "removed": self.removed + removed,
            }
        )

    def ended(self) -> Self:
        """Return this pass when it has come to the end."""
        return self.model_copy(update={"ended_at": now_ms()})


class BucketPasses:
    """The passes through one bucket, one at a time, in the collection `ExportWatch`.

    Two sweeps may run at the same time. Both go on where the pass is; the one that is slower finds
    that the document has moved, and leaves the pass to the other.

    Args:
        database: The database of `ExportWatch`.
        store: Which bucket: see `ObjectStore.fingerprint`.
    """

    def __init__(self, database: AsyncDatabase[Stored], store: dict[str, str]) -> None:
        self._places = majority_collection(database, names.WATCH_COLLECTION)
        self._id = names.bucket_pass_id(store)

    async def due(self, every: timedelta) -> BucketPass | None:
        """Return the pass that is to go on or to begin; None if the last one began lately.

        Args:
            every: How much time is between the beginnings of two passes.
        """
        found = await read_one(self._places, {"_id": self._id})
        last = _read(found)
        if last is not None and last.ended_at is None:
            return last
        now = now_ms()
        if last is not None and 0 <= now - last.started_at < millis(every):
            return None
        new = BucketPass(started_at=now, seen_before=last.seen if last else None)
        if found is not None:
            return new if await self._replace(found, new) else None
        with suppress(ConflictError):
            async with deadline(self._places):
                await self._places.insert_one({"_id": self._id, **new.model_dump(by_alias=True)})
            return new
        return None

    async def move(self, before: BucketPass, now: BucketPass) -> bool:
        """Store how far a pass has come; return whether no other sweep has done so meanwhile.

        Args:
            before: The pass as it was stored last.
            now: The pass as it is.
        """
        return await self._replace(before.model_dump(by_alias=True), now)

    async def _replace(self, before: Stored, new: BucketPass) -> bool:
        as_read = {field: {"$eq": before.get(field)} for field in ("startedAt", "after", "endedAt")}
        async with deadline(self._places):
            replaced = await self._places.replace_one(
                {"_id": self._id, **as_read}, new.model_dump(by_alias=True)
            )
        return replaced.matched_count > 0


def _read(found: Stored | None) -> BucketPass | None:
    if found is None:
        return None
    try:
        return BucketPass.model_validate(found)
    except ValidationError:
        return None  # a new pass takes its place

"""A bucket whose small objects are in memory, for tests and simulations of very many parts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from exports import names
from exports.settings import Settings
from exports.storage.bucket import ObjectStore, StoredObject


class BucketInMemory(ObjectStore):
    """Keeps what is staged in a dictionary; finished files go to the real store, if there is one.

    Args:
        settings: Of the real store.

    Attributes:
        staged: The content by key.
        most_bytes: The size of the largest object that was staged.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        if settings is not None:
            super().__init__(settings)
        self.staged: dict[str, bytes] = {}
        self.most_bytes = 0

    def put(self, key: str, data: bytes) -> None:
        """See base class."""
        if not key.startswith(names.STAGING):
            super().put(key, data)
            return
        self.staged[key] = data
        self.most_bytes = max(self.most_bytes, len(data))

    def find(self, key: str, *, first_bytes: int | None = None) -> bytes | None:
        """See base class."""
        if not key.startswith(names.STAGING):
            return super().find(key, first_bytes=first_bytes)
        data = self.staged.get(key)
        return data if data is None else data[:first_bytes]

    def objects(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """See base class."""
        if not prefix.startswith(names.STAGING):
            yield from super().objects(prefix, after=after)
        for key in sorted(self.staged):
            if key.startswith(prefix) and key > after:
                yield StoredObject(key, datetime.now(UTC))

    def remove_all(self, keys: Sequence[str]) -> None:
        """See base class."""
        for key in keys:
            self.staged.pop(key, None)
        if real := [key for key in keys if not key.startswith(names.STAGING)]:
            super().remove_all(real)

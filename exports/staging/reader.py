"""Staged parts as one stream of rows, fetched ahead of whoever encodes them."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

import pyarrow as pa

from exports.errors import StagingError
from exports.models import StagedPart
from exports.staging.cache import PartCache
from exports.staging.parts import decode_part, schema_at_head_of
from exports.storage.bucket import ObjectStore
from exports.tables.unify import conform, unify

_AHEAD: Final = 2
"""How many parts are fetched or wait while one is encoded."""
_SMALL: Final = 256 * 1024
"""A part of so many bytes is fetched whole to learn its schema, and kept: it saves a request.

Of a larger part it is the beginning that is fetched. It always holds the whole schema, whose
columns are a few hundred bytes each.
"""
_KEPT: Final = 16 << 20
"""At most so many bytes of small parts are kept."""


class StagedParts:
    """The rows of staged parts, in their order. Iterated once.

    Args:
        store: Where the parts are.
        parts: What the workflow accepted; at least one.
        cache: Parts that need not be fetched.

    Raises:
        StagingError: On iteration: a part is not what was staged.
    """

    def __init__(self, store: ObjectStore, parts: Sequence[StagedPart], cache: PartCache) -> None:
        self._store = store
        self._parts = parts
        self._cache = cache
        self._kept: dict[str, bytes] = {}
        self._pool = ThreadPoolExecutor(_AHEAD, "staged-part")
        self.schema = unify(self._schemas())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows with the one schema that all parts have in common."""
        for data in self._contents():
            _, batches = decode_part(data)
            for batch in batches:
                yield conform(batch, self.schema)

    def _contents(self) -> Iterator[bytes]:
        ahead: deque[Future[bytes]] = deque()
        for index, part in enumerate(self._parts):
            if not ahead and (part.key in self._kept or self._cache.get(part.key)):
                yield self._whole(part)
                continue
            while len(ahead) < _AHEAD and index + len(ahead) < len(self._parts):
                ahead.append(self._pool.submit(self._whole, self._parts[index + len(ahead)]))
            yield ahead.popleft().result()

    def _schemas(self) -> list[pa.Schema]:
        first_of = {part.schema_id: part for part in reversed(self._parts)}
        if len(first_of) == 1:  # a thread costs more than a part that is at hand
            return [self._schema(part) for part in first_of.values()]
        schemas = dict(zip(first_of, self._pool.map(self._schema, first_of.values()), strict=True))
        return [schemas[key] for key in dict.fromkeys(part.schema_id for part in self._parts)]

    def _schema(self, part: StagedPart) -> pa.Schema:
        if part.bytes > _SMALL:
            return schema_at_head_of(self._store.get(part.key, first=_SMALL))
        data = self._whole(part)
        if sum(map(len, self._kept.values())) + len(data) <= _KEPT:
            self._kept[part.key] = data
        schema, _ = decode_part(data)
        return schema

    def _whole(self, part: StagedPart) -> bytes:
        data = (
            self._kept.pop(part.key, None) or self._cache.get(part.key) or self._store.get(part.key)
        )
        if hashlib.sha256(data).hexdigest() != part.sha256:
            raise StagingError("A staged part is not what was staged.")
        return data

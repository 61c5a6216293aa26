"""Staged parts as one stream of rows, fetched ahead of the encoder."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

import pyarrow as pa

from exports.errors import StagingError
from exports.models import PartList, StagedPart
from exports.runtime.outages import as_here, wait_no_more
from exports.staging.cache import KEPT_BYTES, SMALL_PART_BYTES, PartCache
from exports.staging.parts import PART_DAMAGED, decode_part, schema_at_head_of
from exports.storage.bucket import ObjectStore
from exports.tables.columns import sheet_of
from exports.tables.unify import conform, count_texts, unify
from exports.tables.warnings import WarningCounts

_PARTS_AHEAD: Final = 2
"""How many parts are being fetched, or wait, while one is encoded."""


class StagedParts:
    """The rows of staged parts, in their order. Can be iterated once.

    Attributes:
        schema: The schema that all parts have in common.

    Args:
        store: Where the parts are.
        parts: The parts that the workflow accepted; at least one. A list of parts stands for these.
            It is read twice, so that memory holds one list and not all parts.
        cache: Parts that need not be fetched.
        warn: Counts the numbers and dates of statistics that become text, because other parts have
            other values. (Reports of rows have counted the values that made a column text.)

    Raises:
        StagingError: A part is missing or is not what was staged; also during the iteration.
    """

    def __init__(
        self,
        store: ObjectStore,
        parts: Sequence[StagedPart],
        cache: PartCache,
        warn: WarningCounts,
    ) -> None:
        self._store = store
        self._parts = parts
        self._cache = cache
        self._warn = warn
        self._kept: dict[str, bytes] = {}
        self._pool = ThreadPoolExecutor(_PARTS_AHEAD, "staged-part", as_here())
        self.schema = unify(self._schemas())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            wait_no_more()
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, all with the same schema."""
        stats = sheet_of(self.schema).layout == "stats"
        for data in self._contents():
            _, batches = decode_part(data)
            for batch in batches:
                if stats:
                    count_texts(batch, self.schema, self._warn)
                yield conform(batch, self.schema)

    def _contents(self) -> Iterator[bytes]:
        ahead: deque[Future[bytes]] = deque()
        for part in self._each():
            if not ahead and (part.key in self._kept or self._cache.get(part.key)):
                yield self._whole(part)
                continue
            if len(ahead) == _PARTS_AHEAD:
                yield ahead.popleft().result()
            ahead.append(self._pool.submit(self._whole, part))
        while ahead:
            yield ahead.popleft().result()

    def _each(self) -> Iterator[StagedPart]:
        """Yield the parts that have rows, in their order."""
        for part in self._parts:
            if part.lists:
                yield from PartList.model_validate_json(self._whole(part)).parts
            else:
                yield part

    def _schemas(self) -> list[pa.Schema]:
        first_of: dict[str, StagedPart] = {}
        for part in self._each():
            first_of.setdefault(part.schema_id, part)
        if len(first_of) == 1:  # a thread costs more than a part in memory
            return [self._schema(part) for part in first_of.values()]
        return list(self._pool.map(self._schema, first_of.values()))

    def _schema(self, part: StagedPart) -> pa.Schema:
        if part.bytes > SMALL_PART_BYTES:
            # Enough for the whole schema, which has a few hundred bytes for each column.
            return schema_at_head_of(self._store.get(part.key, first_bytes=SMALL_PART_BYTES))
        data = self._whole(part)
        if sum(map(len, self._kept.values())) + len(data) <= KEPT_BYTES:
            self._kept[part.key] = data
        schema, _ = decode_part(data)
        return schema

    def _whole(self, part: StagedPart) -> bytes:
        data = (
            self._kept.pop(part.key, None) or self._cache.get(part.key) or self._store.get(part.key)
        )
        if hashlib.sha256(data).hexdigest() != part.sha256:
            raise StagingError(PART_DAMAGED)
        return data

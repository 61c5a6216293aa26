"""Sorts rows of the same instant by their `_id`, because the database sorts by time alone.

To sort by time and `_id`, the database would need an index of both, or would have to read all rows
before it returns the first. Such a collection usually has an index of the time field alone.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bson import Code, ObjectId

from exports.source.arrays import OBJECT_ID_BYTES, buffer_of
from exports.source.batch import Bytes, Int64s
from exports.source.text import json_of
from exports.tables.arrow import AnyArray, kernel, record_batch, schema_of
from exports.tables.unify import conform, unify

# The first byte of a key, so that ids of different types are kept apart.
_INTEGER: Final = b"\x01"
_TEXT: Final = b"\x02"
_BINARY: Final = b"\x05"
_OBJECT_ID: Final = b"\x07"
_OTHER: Final = b"\xff"
_INT64_OFFSET: Final = 2**63

_SORT_KEYS: Final = schema_of([pa.field("time", pa.int64()), pa.field("key", pa.binary())], None)
_ASCENDING: Final = pc.SortOptions([("time", "ascending"), ("key", "ascending")])


class Chunk(NamedTuple):
    """Rows with their sort keys.

    Attributes:
        rows: The rows.
        times: Their instants in epoch milliseconds, ascending.
        keys: Sort keys for rows of the same instant: bytes, none of them null.
    """

    rows: pa.RecordBatch
    times: Int64s
    keys: AnyArray

    def slice(self, start: int, end: int) -> "Chunk":
        """Return the rows from one index to before another."""
        return Chunk(
            self.rows.slice(start, end - start),
            self.times[start:end],
            self.keys.slice(start, end - start),
        )


class RowSorter:
    """Takes chunks in order of time and returns them in order of time and `_id`.

    It keeps the rows of the last instant until rows of a later one show that they are complete.
    """

    def __init__(self) -> None:
        self._held: list[Chunk] = []

    @property
    def held_since(self) -> int:
        """The instant of the rows that are kept."""
        return int(self._held[0].times[0])

    @property
    def holds(self) -> bool:
        """Whether rows are kept."""
        return bool(self._held)

    def drop(self) -> int:
        """Forget the rows that are kept; return how many there were."""
        held, self._held = self._held, []
        return sum(len(chunk.times) for chunk in held)

    def push(self, chunk: Chunk) -> pa.RecordBatch | None:
        """Take a chunk, not empty; return the rows that are complete."""
        last = int(chunk.times[-1])
        if self._held and self.held_since == last:
            self._held.append(chunk)
            return None
        whole = _joined([*self._held, chunk])
        cut = int(np.searchsorted(whole.times, last))
        self._held = [whole.slice(cut, len(whole.times))]
        return _sorted(whole.slice(0, cut)) if cut else None

    def finish(self) -> pa.RecordBatch | None:
        """Return the rows that were kept."""
        held, self._held = self._held, []
        return _sorted(_joined(held)) if held else None


def keys_of_object_ids(ids: Bytes) -> AnyArray:
    """Return the sort keys of ObjectIds, each of which is a row of bytes."""
    keys = np.empty((len(ids), 1 + OBJECT_ID_BYTES), np.uint8)
    keys[:, 0] = _OBJECT_ID[0]
    keys[:, 1:] = ids
    offsets = np.arange(0, keys.size + 1, keys.shape[1], dtype=np.int32)
    buffers = [None, buffer_of(offsets), buffer_of(keys)]
    return pa.Array.from_buffers(pa.binary(), len(ids), buffers)


def keys_of(ids: Sequence[object]) -> AnyArray:
    """Return the sort keys of ids of any type."""
    return pa.array([_key(value) for value in ids], pa.binary())


def _key(value: object) -> bytes:
    match value:
        case None:
            key = b""
        case bool() | Code():  # subclasses of int and of str
            key = _OTHER + json_of(value).encode()
        case ObjectId():
            key = _OBJECT_ID + value.binary
        case str():
            key = _TEXT + value.encode()
        case int():
            key = _INTEGER + (value + _INT64_OFFSET).to_bytes(8, "big")
        case bytes():
            key = _BINARY + bytes(value)
        case _:
            key = _OTHER + json_of(value).encode()
    return key


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    # A column may become text in the middle of the rows, if its report says so.
    schema = unify([chunk.rows.schema for chunk in chunks])
    rows = pa.Table.from_batches([conform(chunk.rows, schema) for chunk in chunks])
    return Chunk(
        rows.combine_chunks().to_batches()[0],
        np.concatenate([chunk.times for chunk in chunks]),
        pa.concat_arrays([chunk.keys for chunk in chunks]),
    )


def _sorted(chunk: Chunk) -> pa.RecordBatch:
    if not (chunk.times[1:] == chunk.times[:-1]).any():
        return chunk.rows
    by = record_batch([pa.array(chunk.times), chunk.keys], _SORT_KEYS)
    return chunk.rows.take(kernel("sort_indices", by, options=_ASCENDING))

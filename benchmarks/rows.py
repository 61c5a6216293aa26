"""Any number of replayed rows, made from some recorded ones.

Each row is a recorded document with another date and another id. Only their bytes are replaced, so
that making a million rows takes little time compared with what is measured.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import bson
import numpy as np
import numpy.typing as npt
from bson import ObjectId

from exports.clock import from_epoch_ms
from exports.source.database import CODEC, ROWS_PER_BATCH, RowQuery

FIRST_DAY: Final = "2025-11-01"
END_DAY: Final = "2026-11-01"
ZONE: Final = ZoneInfo("Asia/Shanghai")
_TIME_FIELD: Final = "createdAt"
_ID_MARK: Final = int.from_bytes(b"orde")
_ID_MARK_END: Final = ord("r")
_OBJECT_ID: Final = b"\x07"
_DATE: Final = b"\x09"

_Positions = npt.NDArray[np.int64]


class Rows:
    """Rows that are spread evenly over the year from `FIRST_DAY` to `END_DAY`, in order of time.

    Args:
        recorded: Documents of one projection, one after the other. A batch has as many rows as
            there are documents, up to `ROWS_PER_BATCH`. All dates and ids on the first level of a
            document are replaced.
        count: How many rows there are.
    """

    def __init__(self, recorded: bytes, count: int) -> None:
        self.count = count
        documents = split(recorded)[:ROWS_PER_BATCH]
        self._per_batch = len(documents)
        # Twice, because a batch may begin at any document: a row is the same in every query.
        documents *= 2
        self._template = b"".join(documents)
        lengths = [len(document) for document in documents]
        self._starts: _Positions = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        first = decoded(documents[0])
        self._ids = self._positions(documents, first, ObjectId, _OBJECT_ID)
        self._dates = self._positions(documents, first, datetime, _DATE)
        self._start = _midnight(FIRST_DAY)
        self._step = (_midnight(END_DAY) - self._start) // max(1, count)

    def of(self, query: RowQuery) -> Iterator[bytes]:
        """Yield the batches of the answer to a query."""
        first, end = self._range(query)
        for start in range(first, end, self._per_batch):
            yield self._batch(start, min(start + self._per_batch, end))

    def first(self, query: RowQuery) -> dict[str, Any] | None:
        """Return the time of the first row of a query that asks for nothing else."""
        first, end = self._range(query)
        [(_, direction)] = query.sort
        index = first if direction == 1 else end - 1
        return {"time": from_epoch_ms(self._start + index * self._step)} if first < end else None

    def all(self) -> Iterator[bytes]:
        """Yield all batches."""
        for start in range(0, self.count, self._per_batch):
            yield self._batch(start, min(start + self._per_batch, self.count))

    def _range(self, query: RowQuery) -> tuple[int, int]:
        period: dict[str, datetime] = query.filter[_TIME_FIELD]
        first, end = (self._at_or_after(period[bound]) for bound in ("$gte", "$lt"))
        return first, end if query.limit is None else min(end, first + query.limit)

    def _at_or_after(self, moment: datetime) -> int:
        since = round(moment.timestamp() * 1000) - self._start
        return min(max(0, -(-since // self._step)), self.count)

    def _batch(self, first: int, end: int) -> bytes:
        chosen = slice(first % self._per_batch, first % self._per_batch + end - first)
        begin = self._starts[chosen.start]
        batch = bytearray(self._template[begin : self._starts[chosen.stop]])
        rows = np.arange(first, end, dtype=np.int64)
        times = self._start + rows * self._step
        for positions in self._ids:
            places = positions[chosen] - begin
            _values(batch, ">u8")[places] = (times // 1000 << 32) + _ID_MARK
            _values(batch, ">u4")[places + 8] = (_ID_MARK_END << 24) + (rows & 0xFFFFFF)
        for positions in self._dates:
            _values(batch, "<i8")[positions[chosen] - begin] = times
        return bytes(batch)

    def _positions(
        self, documents: list[bytes], first: dict[str, Any], kind: type, code: bytes
    ) -> list[_Positions]:
        """Return where the values of a type begin: for each field, a place per document."""
        found: list[_Positions] = []
        for name in (name for name, value in first.items() if isinstance(value, kind)):
            head = code + name.encode() + b"\0"
            places = [
                start + document.index(head) + len(head)
                for start, document in zip(self._starts, documents, strict=False)
            ]
            found.append(np.array(places, np.int64))
        return found


def split(documents: bytes) -> list[bytes]:
    """Return the documents in BSON that has several, one after the other."""
    found: list[bytes] = []
    start = 0
    while start < len(documents):
        end = start + int.from_bytes(documents[start : start + 4], "little")
        found.append(documents[start:end])
        start = end
    return found


def decoded(document: bytes) -> dict[str, Any]:
    """Return a document as the driver decodes it."""
    return bson.decode(document, CODEC)  # pyright: ignore[reportUnknownMemberType] -- an array among what it takes


def _values(data: bytearray, kind: str) -> "np.ndarray[Any, Any]":
    """Return the value of a type that begins at each byte of some data."""
    value = np.dtype(kind)
    return np.ndarray((len(data) - value.itemsize + 1,), value, data, strides=(1,))


def _midnight(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=ZONE).timestamp() * 1000)

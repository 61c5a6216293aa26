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
_ID_MARK: Final = np.frombuffer(b"order", np.uint8)
_ID_BYTES: Final = 12
_DATE_BYTES: Final = 8
_OBJECT_ID: Final = b"\x07"
_DATE: Final = b"\x09"

_Bytes = npt.NDArray[np.uint8]
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
        self._template: _Bytes = np.frombuffer(b"".join(documents), np.uint8)
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
        number, offset = end - first, first % self._per_batch
        begin = self._starts[offset]
        batch = self._template[begin : self._starts[offset + number]].copy()
        rows = np.arange(first, end, dtype=np.int64)
        times = self._start + rows * self._step
        ids = np.empty((number, _ID_BYTES), np.uint8)
        ids[:, :4] = (times // 1000).astype(">u4").view(np.uint8).reshape(number, 4)
        ids[:, 4:9] = _ID_MARK
        ids[:, 9:] = rows.astype(">u4").view(np.uint8).reshape(number, 4)[:, 1:]
        dates = times.astype("<i8").view(np.uint8).reshape(number, _DATE_BYTES)
        for positions in self._ids:
            batch[positions[offset : offset + number] - begin] = ids
        for positions in self._dates:
            batch[positions[offset : offset + number] - begin] = dates
        return batch.tobytes()

    def _positions(
        self, documents: list[bytes], first: dict[str, Any], kind: type, code: bytes
    ) -> list[_Positions]:
        """Return where the values of a type are: for each field, a row of bytes per document."""
        length = {_OBJECT_ID: _ID_BYTES, _DATE: _DATE_BYTES}[code]
        found: list[_Positions] = []
        for name in (name for name, value in first.items() if isinstance(value, kind)):
            head = code + name.encode() + b"\0"
            places = [
                start + document.index(head) + len(head)
                for start, document in zip(self._starts, documents, strict=False)
            ]
            found.append(np.array(places, np.int64)[:, None] + np.arange(length))
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


def _midnight(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=ZONE).timestamp() * 1000)

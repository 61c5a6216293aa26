"""Reads one unit of a row-level report."""

import asyncio
import math
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
from bson import ObjectId

from exports.clock import epoch_ms, from_epoch_ms
from exports.errors import SourceUnavailableError
from exports.models import Unit
from exports.reports.filter import match
from exports.reports.rows.definition import FieldColumn, RowsDefinition
from exports.runtime.outages import Tries
from exports.runtime.precedence import GivingWay
from exports.source.database import RowQuery, Source
from exports.source.decoder import BatchDecoder, Field, arrow_type
from exports.source.order import Chunk, RowSorter
from exports.source.prefetch import one_ahead
from exports.tables.arrow import AnyArray, record_batch
from exports.tables.columns import Column, Sheet, field, schema
from exports.tables.warnings import (
    MISMATCH_NULL,
    MISMATCH_TEXT,
    NOT_FROZEN,
    TaskWarning,
    WarningCounts,
)

if TYPE_CHECKING:
    from exports.source.batch import Int64s
    from exports.source.types import NotFrozen

_T = TypeVar("_T")

_DECODER: Final = ThreadPoolExecutor(1, "decoder")
"""One thread for all units: several would take the interpreter lock from each other."""
ROWS_TO_LEARN_FROM: Final = 25_000
"""The first unit reads this many rows, and so learns how many rows there are in a time.

A small export needs no other unit. To count the rows of a large one takes as long as to read them.
"""
ROWS_PER_UNIT: Final = 250_000
"""Most rows of each unit that comes from the rest of the first one.

What such a unit leaves is divided into units of four times as many, and so on: the history of an
export holds no more than some thousand units.
"""
MAX_UNITS: Final = 64
"""The rest of a unit is divided into at most this many units."""
_GROWTH: Final = 4
_MOST_GROWN: Final = 16
"""How many times `ROWS_PER_UNIT` the rows of a unit may be, so that it is read within minutes."""
_FEW_UNITS: Final = 8
"""So many units are made without asking the database whether all of them have rows.

A unit without rows costs less than a question to a collection without an index of its time field.
"""
_FILL_FACTOR: Final = 0.8
"""Planned rows of a unit, as a part of its limit.

Rows are not spread evenly over time, and the rows that exceed a unit need another one.
"""


def whole_period(start: int, end: int) -> Unit:
    """Return the first unit of an export. What it does not read is divided into more units.

    Args:
        start: First instant of the period, in epoch milliseconds.
        end: First instant after it, in epoch milliseconds.
    """
    return Unit(key=_key(start), start=start, end=end, limit=ROWS_TO_LEARN_FROM)


class UnitReader:
    """Reads one unit, once.

    Args:
        definition: The report.
        columns: Which of its columns, in this order.
        sheet: The description of the rows.
        source: The database.
        unit: The unit.
        created_by: The owner of the documents, if the report has an owner field.
        conditions: The filters of the report's own parameters.

    Attributes:
        rest: After the last batch: units for the part that was not read.
    """

    def __init__(
        self,
        definition: RowsDefinition,
        columns: Mapping[str, FieldColumn],
        sheet: Sheet,
        *,
        source: Source,
        unit: Unit,
        created_by: str,
        conditions: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.rest: list[Unit] = []
        self._definition = definition
        self._columns = columns
        self._sheet = sheet
        self._source = source
        self._unit = unit
        self._created_by = created_by
        self._conditions = list(conditions)
        self._zone = ZoneInfo(definition.timezone)
        self._fields = [
            Field(name, item.field, item.type, item.places) for name, item in columns.items()
        ]
        self._decoder = BatchDecoder(
            self._fields,
            time_field=definition.time_field,
            zone=self._zone,
            on_mismatch=definition.on_mismatch,
        )
        self._mismatches: list[list[Int64s]] = []
        self._not_frozen: NotFrozen | None = None
        self._giving_way = GivingWay()

    async def batches(self) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the rows in order of time and `_id`: at least one batch, which may be empty.

        Raises:
            MismatchError: A value does not fit its column, and the report says to fail.
        """
        unit: Unit | None = await self._with_newest_id(self._unit)
        found = False
        while unit is not None:
            scan = _Scan(unit)
            self._mismatches.clear()  # those of a scan without rows
            async with aclosing(self._scanned(scan)) as batches:
                async for batch in batches:
                    found = True
                    yield batch
            self.rest += await self._divided(scan)
            unit = scan.again
        if not found:
            yield self._batch([pa.array([], arrow_type(item, self._zone)) for item in self._fields])

    @property
    def warnings(self) -> list[TaskWarning]:
        """After the last batch: values that were changed, and units that are not frozen."""
        code = MISMATCH_TEXT if self._definition.on_mismatch == "text" else MISMATCH_NULL
        until = self.rest[0].start if self.rest else self._unit.end
        counts = WarningCounts()
        for batch in self._mismatches:
            for name, times in zip(self._columns, batch, strict=True):
                counts.add(code, name, int((times < until).sum()))
        if self._not_frozen is not None:
            counts.add(NOT_FROZEN, self._not_frozen, len(self.rest))
        return counts.warnings

    async def _with_newest_id(self, unit: Unit) -> Unit:
        # In a snapshot, nothing is inserted later.
        if unit.newest_id is not None or self._definition.consistency == "snapshot":
            return unit
        newest = await self._source.newest_id(self._definition.collection)
        if isinstance(newest, ObjectId):
            return unit.model_copy(update={"newest_id": str(newest)})
        self._not_frozen = newest
        return unit

    async def _scanned(self, scan: "_Scan") -> AsyncGenerator[pa.RecordBatch]:
        """Yield the rows of a scan; if the database was away, go on after the last whole instant.

        To the rows, that is as if the unit had been cut there.
        """
        with Tries() as tries:
            while not scan.finished:
                try:
                    async with aclosing(self._queried(scan)) as batches:
                        async for ready in batches:
                            tries.end()
                            yield ready
                except SourceUnavailableError as error:
                    await tries.wait(error)
                    self._go_back(scan)

    def _go_back(self, scan: "_Scan") -> None:
        since = scan.go_back()
        self._mismatches = [[times[times < since] for times in batch] for batch in self._mismatches]

    async def _queried(self, scan: "_Scan") -> AsyncGenerator[pa.RecordBatch]:
        raw_batches = self._source.raw_batches(self._definition.collection, self._query(scan.left))
        async with aclosing(one_ahead(raw_batches)) as ahead:
            async for raw in ahead:
                # Meanwhile the next batch is fetched.
                ready = await self._in_thread(partial(self._decoded, scan, raw))
                if ready is not None:
                    yield ready
        ready = await self._in_thread(scan.finish)
        if ready is not None:
            yield ready

    def _query(self, unit: Unit) -> RowQuery:
        # MongoDB compares only ids of the same type here, so ids of other types are not left out.
        until = [{"_id": {"$not": {"$gt": ObjectId(unit.newest_id)}}}] if unit.newest_id else []
        return RowQuery(
            filter=match(self._definition, unit, self._created_by, *self._conditions, *until),
            projection=self._decoder.projection,
            sort=[(self._definition.time_field, 1)],
            # One row more than the limit shows whether there are more rows.
            limit=None if unit.limit is None else unit.limit + 1,
        )

    async def _divided(self, scan: "_Scan") -> list[Unit]:
        """Return units for the part that a scan has not read.

        The cuts are where the rows are: a period may begin or end centuries away from them.
        """
        start, end = scan.cut, scan.unit.end
        if start >= end:
            return []
        bounds = scan.bounds(start, end)
        if len(bounds) > _FEW_UNITS:
            bounds = scan.bounds(start, await self._outermost(start, end, -1) + 1)
        if len(bounds) > _FEW_UNITS:
            bounds = await self._with_rows(bounds, end)
        return [
            _piece(scan.unit, first, after, limit=scan.limit_of_rest)
            for first, after in pairwise([*bounds, end])
        ]

    async def _with_rows(self, bounds: Sequence[int], end: int) -> list[int]:
        """Return the first of the bounds, and those with a document before the next one."""
        kept: list[int] = []
        instant = bounds[0]
        while instant < end:
            index = bisect_right(bounds, instant)
            kept.append(bounds[index - 1])
            instant = await self._outermost(bounds[index], end, 1) if index < len(bounds) else end
        return kept

    async def _outermost(self, start: int, end: int, direction: Literal[1, -1]) -> int:
        """Return the first (1) or the last (-1) instant that has a document.

        Only the time counts, not the other conditions of the report, so that an index has the
        answer. So it is no mistake here if the time field of the document is not one date: then
        the first instant of all is returned, or the last one.

        Args:
            start: First instant, in epoch milliseconds.
            end: First instant after it, in epoch milliseconds.
            direction: Which end.

        Returns:
            The instant, in epoch milliseconds; without any document, `end` (1) or `start` (-1).
        """
        path = self._definition.time_field
        query = RowQuery(
            filter={path: {"$gte": from_epoch_ms(start), "$lt": from_epoch_ms(end)}},
            projection={"_id": False, "time": f"${path}"},
            sort=[(path, direction)],
        )
        document = await self._source.first(self._definition.collection, query)
        if document is None:
            return end if direction == 1 else start
        time: object = document["time"]
        if isinstance(time, datetime):
            return epoch_ms(time)
        return start if direction == 1 else end - 1

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        # A slow one must not hold up those of other exports.
        executor = None if self._decoder.is_slow else _DECODER
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    def _decoded(self, scan: "_Scan", raw: bytes) -> pa.RecordBatch | None:
        self._giving_way.pause()
        decoded = self._decoder.decode(raw)
        self._mismatches.append(decoded.mismatches)
        return scan.push(Chunk(self._batch(decoded.columns), decoded.times, decoded.keys))

    def _batch(self, arrays: list[AnyArray]) -> pa.RecordBatch:
        described = [
            field(
                Column(
                    name=name,
                    title=item.title or name,
                    role="field",
                    number_format=item.number_format,
                ),
                array.type,
            )
            for (name, item), array in zip(self._columns.items(), arrays, strict=True)
        ]
        return record_batch(arrays, schema(described, self._sheet))


class _Scan:
    """One query over a unit. It ends early if there are more rows than the limit of the unit.

    Attributes:
        unit: What is queried.
        finished: Whether all of it has been.
        cut: At the end: where the part that was not read begins.
        again: At the end: a unit that has to be queried instead, if even the rows of the first
            instant exceed the limit. It has only these rows and no limit, because rows of one
            instant can only be sorted together.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.finished = False
        self.cut = unit.end
        self.again: Unit | None = None
        self._ordered = RowSorter()
        self._rows = 0
        self._first = 0
        self._since = unit.start

    @property
    def left(self) -> Unit:
        """What is not read yet."""
        limit = None if self.unit.limit is None else self.unit.limit - self._rows
        return self.unit.model_copy(update={"start": self._since, "limit": limit})

    def go_back(self) -> int:
        """Forget the rows of the last instant, which may not be all; return from when to read."""
        if self._ordered.holds:
            self._since = self._ordered.held_since
            self._rows -= self._ordered.drop()
        return self._since

    def push(self, chunk: Chunk) -> pa.RecordBatch | None:
        """Take rows; return those that are complete, in order."""
        if not self._rows:
            self._first = int(chunk.times[0])
        self._rows += len(chunk.times)
        return self._ordered.push(chunk)

    def finish(self) -> pa.RecordBatch | None:
        """Return the rows that were kept, unless they exceed the limit."""
        self.finished = True
        if self.unit.limit is None or self._rows <= self.unit.limit:
            return self._ordered.finish()
        self.cut = self._ordered.held_since
        if self.cut == self._first:
            self.again = _piece(self.unit, self.cut, self.cut + 1, limit=None)
            self.cut += 1
        return None

    @property
    def limit_of_rest(self) -> int:
        """Most rows of a unit for the part that was not read."""
        before = self.unit.limit or 0
        if before < ROWS_PER_UNIT:  # the first unit
            return ROWS_PER_UNIT
        return min(_GROWTH * before, _MOST_GROWN * ROWS_PER_UNIT)

    def bounds(self, start: int, end: int) -> list[int]:
        """Return where units begin that divide a time evenly, if its rows are as dense as here."""
        length = end - start
        expected = self._rows * length / (self.cut - self._first)
        count = min(math.ceil(expected / (_FILL_FACTOR * self.limit_of_rest)), MAX_UNITS, length)
        return [start + length * index // count for index in range(count)]


def _piece(unit: Unit, start: int, end: int, *, limit: int | None) -> Unit:
    return unit.model_copy(update={"key": _key(start), "start": start, "end": end, "limit": limit})


def _key(start: int) -> str:
    moment = from_epoch_ms(start)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z"

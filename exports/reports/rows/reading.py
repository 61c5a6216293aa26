"""Reads one unit of a row-level report."""

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from bson import ObjectId

from exports.clock import from_epoch_ms
from exports.models import Unit
from exports.reports.filter import match
from exports.reports.rows.definition import FieldColumn, RowsDefinition
from exports.source.database import RowQuery, Source
from exports.source.decoder import BatchDecoder, Field, arrow_type
from exports.source.order import Chunk, RowSorter
from exports.source.prefetch import one_ahead
from exports.tables.arrow import AnyArray, record_batch
from exports.tables.columns import Column, Sheet, field, schema
from exports.tables.warnings import MISMATCH_NULL, MISMATCH_TEXT, TaskWarning, WarningCounts

if TYPE_CHECKING:
    from exports.source.arrays import Int64s

ROWS_TO_LEARN_FROM: Final = 25_000
"""The first unit reads so many rows and learns how dense they are.

Small exports end with it. Counting first would take a large export as long as reading it does.
"""
ROWS_PER_UNIT: Final = 250_000
"""At most about so many rows a further unit has."""
MOST_UNITS: Final = 64
"""Into at most so many pieces the rest of a unit is cut."""

# Pieces are made a little smaller than a unit may be: rows do not come evenly, and whatever goes
# beyond a unit costs one more.
_FILLED: Final = 0.8


def whole_period(start: int, end: int) -> Unit:
    """Return the first unit of an export; what it does not come to, it cuts into further ones.

    Args:
        start: First instant, in epoch milliseconds.
        end: First instant after, in epoch milliseconds.
    """
    return Unit(key=_key(start), start=start, end=end, limit=ROWS_TO_LEARN_FROM)


class UnitReading:
    """One reading of one unit.

    Args:
        definition: The report.
        columns: Which of its columns, in order.
        sheet: What the rows are, as a whole.
        source: Where they are.
        unit: Which of them.
        created_by: Whose they are, if the report has an owner field.

    Attributes:
        rest: When all is read: what of the unit is still to be read.
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
    ) -> None:
        self.rest: list[Unit] = []
        self._definition = definition
        self._columns = columns
        self._sheet = sheet
        self._source = source
        self._unit = unit
        self._created_by = created_by
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

    async def batches(self) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the rows, in order of time and `_id`; at least one batch, possibly empty.

        Raises:
            MismatchError: A value does not fit its column, and the report says to fail.
        """
        unit: Unit | None = await self._bounded(self._unit)
        some = False
        while unit is not None:
            scan = _Scan(unit)
            self._mismatches.clear()  # of a scan that gave nothing
            async with aclosing(self._scanned(scan)) as found:
                async for batch in found:
                    some = True
                    yield batch
            self.rest += scan.rest
            unit = scan.again
        if not some:
            yield self._batch([pa.array([], arrow_type(item, self._zone)) for item in self._fields])

    @property
    def warnings(self) -> list[TaskWarning]:
        """When all is read: what was changed in the rows."""
        code = MISMATCH_TEXT if self._definition.on_mismatch == "text" else MISMATCH_NULL
        until = self.rest[0].start if self.rest else self._unit.end
        counts = WarningCounts()
        for batch in self._mismatches:
            for name, times in zip(self._columns, batch, strict=True):
                counts.add(code, name, int((times < until).sum()))
        return counts.warnings

    async def _bounded(self, unit: Unit) -> Unit:
        if unit.newest_id is not None:
            return unit
        newest = await self._source.newest_id(self._definition.collection)
        return unit if newest is None else unit.model_copy(update={"newest_id": str(newest)})

    async def _scanned(self, scan: "_Scan") -> AsyncGenerator[pa.RecordBatch]:
        raw_batches = self._source.raw_batches(self._definition.collection, self._query(scan.unit))
        async with aclosing(one_ahead(raw_batches)) as ahead:
            async for raw in ahead:
                # In a thread: it holds the interpreter for some milliseconds, and the next batch
                # is on its way meanwhile.
                ready = await asyncio.to_thread(self._decoded, scan, raw)
                if ready is not None:
                    yield ready
        ready = await asyncio.to_thread(scan.finish)
        if ready is not None:
            yield ready

    def _query(self, unit: Unit) -> RowQuery:
        # Ids of other types than ObjectId are not greater than one, so those stay.
        until = {"_id": {"$not": {"$gt": ObjectId(unit.newest_id)}}} if unit.newest_id else None
        return RowQuery(
            filter=match(self._definition, unit, self._created_by, *([until] if until else [])),
            projection=self._decoder.projection,
            sort=[(self._definition.time_field, 1)],
            # One more than the unit may have tells whether there are more.
            limit=None if unit.limit is None else unit.limit + 1,
        )

    def _decoded(self, scan: "_Scan", raw: bytes) -> pa.RecordBatch | None:
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
    """One query over a unit, cut at an instant if there are more rows than the unit may have.

    Attributes:
        unit: What is queried.
        rest: When it is finished: what of the unit is still to be read.
        again: When it is finished: what has to be queried anew, because the unit may not even
            have the rows of its first instant. They can only be put in order together.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.rest: list[Unit] = []
        self.again: Unit | None = None
        self._ordered = RowSorter()
        self._rows = 0
        self._first = 0

    def push(self, chunk: Chunk) -> pa.RecordBatch | None:
        """Take rows; return those that are complete and in order."""
        if not self._rows:
            self._first = int(chunk.times[0])
        self._rows += len(chunk.times)
        return self._ordered.push(chunk)

    def finish(self) -> pa.RecordBatch | None:
        """Return what was kept if it belongs to the unit."""
        if self.unit.limit is None or self._rows <= self.unit.limit:
            return self._ordered.finish()
        cut = self._ordered.held_since
        if cut == self._first:
            self.again = self._piece(cut, cut + 1, limit=None)
            cut += 1
        self.rest = self._cut(cut)
        return None

    def _cut(self, start: int) -> list[Unit]:
        length = self.unit.end - start
        if not length:
            return []
        seen = start - self._first
        expected = self._rows * length / seen
        count = min(math.ceil(expected / (_FILLED * ROWS_PER_UNIT)), MOST_UNITS, length)
        bounds = [start + length * index // count for index in range(count + 1)]
        return [self._piece(first, end, limit=ROWS_PER_UNIT) for first, end in pairwise(bounds)]

    def _piece(self, start: int, end: int, *, limit: int | None) -> Unit:
        return self.unit.model_copy(
            update={"key": _key(start), "start": start, "end": end, "limit": limit}
        )


def _key(start: int) -> str:
    moment = from_epoch_ms(start)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z"

"""Decodes BSON to Arrow, a batch at a time.

`exports.source.arrays` makes a column without a Python object per value, if all values have the
usual types of the column. Other columns are made by the rules of `exports.source.values`, which
define the result: the rows are the same whichever way was taken.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from exports.clock import epoch_ms
from exports.errors import MismatchError
from exports.source import arrays
from exports.source.batch import DATE, INT32, INT64, OBJECT_ID, Batch, Element, Int64s, wire_name
from exports.source.order import keys_of, keys_of_object_ids
from exports.source.text import text_of
from exports.source.types import ColumnType, OnMismatch
from exports.source.values import Mismatch, not_one_date, rule, type_name
from exports.tables.arrow import DECIMAL128_DIGITS, AnyArray
from exports.tables.plain import plain

_Converter: TypeAlias = Callable[[Batch, Element], AnyArray]
"""Makes a column; raises `Mismatch` if it has to be made by the rules."""

_SIMPLE: Final[dict[ColumnType, _Converter]] = {
    "text": arrays.texts_or_ids,
    "integer": arrays.integers,
    "number": arrays.doubles,
    "boolean": arrays.booleans,
    "id": arrays.texts_or_ids,
}
_ARROW_TYPES: Final[dict[ColumnType, pa.DataType]] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "id": pa.string(),
    "json": pa.string(),
}


class Field(NamedTuple):
    """A field of the documents that becomes a column.

    Attributes:
        name: Name of the column.
        path: Path of the field in the documents.
        kind: Type of the column.
        scale: Decimal places, for the type decimal.
    """

    name: str
    path: str
    kind: ColumnType
    scale: int


class Decoded(NamedTuple):
    """The rows of a batch.

    Attributes:
        columns: A column per field.
        times: The instants of the rows, in epoch milliseconds.
        keys: Sort keys for rows of the same instant; see `exports.source.order`.
        mismatches: For each field, the instants of rows whose value was replaced.
    """

    columns: list[AnyArray]
    times: Int64s
    keys: AnyArray
    mismatches: list[Int64s]


class BatchDecoder:
    """Decodes the batches of one query, one after the other.

    Args:
        fields: The columns.
        time_field: Path of the field that holds a document's date.
        zone: Time zone of dates.
        on_mismatch: What happens to values that do not fit.

    Attributes:
        is_slow: Whether the next batch will probably need the rules, as the last one did.
    """

    def __init__(
        self, fields: Sequence[Field], *, time_field: str, zone: ZoneInfo, on_mismatch: OnMismatch
    ) -> None:
        self._fields = fields
        self._zone = zone
        self._time_field = time_field
        self._on_mismatch = on_mismatch
        self._rules = [rule(item.kind, scale=item.scale, zone=zone) for item in fields]
        self._converters = [self._converter(index) for index in range(len(fields))]
        self.is_slow = any(item.kind == "json" for item in fields)
        self._time, self._key = wire_name(0), wire_name(1)
        self._wire_names = [self._wire_name(index) for index in range(len(fields))]
        self._texts: set[int] = set()

    @property
    def projection(self) -> dict[str, Any]:
        """The projection to send with the query."""
        wanted: dict[str, Any] = {"_id": 0, self._time: f"${self._time_field}", self._key: "$_id"}
        for wire, item in zip(self._wire_names, self._fields, strict=True):
            wanted[wire] = f"${item.path}"
        return wanted

    def decode(self, raw: bytes) -> Decoded:
        """Decode a batch.

        Args:
            raw: Documents that a query with `projection` returned.

        Raises:
            MismatchError: A value does not fit its column, and the report says to fail; or the
                time field of a document is not a date.
        """
        batch = Batch(raw, [name for name in self.projection if name != "_id"])
        self.is_slow = False
        times = self._times(batch)
        columns, replaced = zip(
            *(self._column(index, batch) for index in range(len(self._fields))), strict=True
        )
        return Decoded(list(columns), times, self._keys(batch), [times[rows] for rows in replaced])

    def _wire_name(self, index: int) -> str:
        item = self._fields[index]
        if item.path == "_id" and item.kind in ("id", "text"):
            return self._key
        if item.path == self._time_field and item.kind in ("datetime", "date"):
            return self._time
        return wire_name(2 + index)

    def _converter(self, index: int) -> _Converter | None:
        item = self._fields[index]
        match item.kind:
            case "decimal":
                return lambda batch, element: arrays.decimals(
                    batch, element, item.scale, self._rules[index]
                )
            case "datetime":
                return lambda batch, element: arrays.instants(batch, element, self._zone)
            case "date":
                return lambda batch, element: arrays.days(batch, element, self._zone)
            case _:
                return _SIMPLE.get(item.kind)

    def _times(self, batch: Batch) -> Int64s:
        with suppress(Mismatch):
            element = batch.element(self._time)
            # The query has only dates of its period.
            if (element.types == DATE).all():
                return arrays.milliseconds(batch, element)
        values = batch.values_of(self._time)
        times = [epoch_ms(value) for value in values if isinstance(value, datetime)]
        if len(times) < len(values):
            raise not_one_date(self._time_field)
        return np.array(times, np.int64)

    def _keys(self, batch: Batch) -> AnyArray:
        try:
            element = batch.element(self._key)
            if (element.types == OBJECT_ID).all():
                return keys_of_object_ids(arrays.object_ids(batch, element))
            integers = element.has_only(INT32, INT64)
            ids = arrays.integers(batch, element) if integers else arrays.texts(batch, element)
            return keys_of(ids.to_pylist())
        except Mismatch:
            return keys_of(batch.values_of(self._key))

    def _column(self, index: int, batch: Batch) -> tuple[AnyArray, list[int]]:
        """Return a column, and the rows whose value was replaced."""
        replaced: list[int] = []
        try:
            column = self._converted(index, batch)
        except Mismatch:
            self.is_slow = True
            values = batch.values_of(self._wire_names[index])
            column, replaced = self._column_by_rules(index, values)
        # It stays text, so that the parts of a unit do not change back and forth.
        if index in self._texts and not pa.types.is_string(column.type):
            column = pa.array(_plain(column), pa.string())
        return column, replaced

    def _converted(self, index: int, batch: Batch) -> AnyArray:
        convert = self._converters[index]
        if convert is None:
            raise Mismatch
        return convert(batch, batch.element(self._wire_names[index]))

    def _column_by_rules(self, index: int, values: list[object]) -> tuple[AnyArray, list[int]]:
        convert = self._rules[index]
        fitting: list[object] = []
        mismatches: list[int] = []
        for row, value in enumerate(values):
            try:
                fitting.append(None if value is None else convert(value))
            except Mismatch:
                if self._on_mismatch == "fail":
                    raise self._mismatch(index, value) from None
                mismatches.append(row)
                fitting.append(None)
        column: AnyArray = pa.array(fitting, arrow_type(self._fields[index], self._zone))
        if mismatches and self._on_mismatch == "text":
            self._texts.add(index)
            texts = _plain(column)
            for row in mismatches:
                texts[row] = text_of(values[row], self._zone)
            column = pa.array(texts, pa.string())
        return column, mismatches

    def _mismatch(self, index: int, value: object) -> MismatchError:
        item = self._fields[index]
        return MismatchError(
            f"The column {item.name!r} has the type {item.kind}, but a document has a value of "
            f"BSON type {type_name(value)} that does not fit; change the column's `type`, or set "
            '`on_mismatch` to "text" or "null".'
        )


def arrow_type(item: Field, zone: ZoneInfo) -> pa.DataType:
    """Return the Arrow type of a column in which every value fits."""
    match item.kind:
        case "decimal":
            return pa.decimal128(DECIMAL128_DIGITS, item.scale)
        case "datetime":
            return pa.timestamp("ms", tz=zone.key)
        case _:
            return _ARROW_TYPES[item.kind]


def _plain(column: AnyArray) -> list[str | None]:
    return [None if value is None else plain(value) for value in column.to_pylist()]

"""Decodes BSON to Arrow, a batch at a time.

pymongoarrow decodes a batch without a Python object per value. It refuses most values that do not
have the type of their column, and `exports.source.losses` finds those that it changes instead. In
both cases the batch is decoded again by the rules of `exports.source.values`, which define the
result. The rows are the same whichever way was taken.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

import bson
import numpy as np
import pyarrow as pa
from bson import Int64, ObjectId
from pymongoarrow.context import PyMongoArrowContext
from pymongoarrow.schema import Schema
from pymongoarrow.types import Decimal128Type, ObjectIdType

from exports.clock import epoch_ms
from exports.errors import MismatchError
from exports.source.arrays import (
    Int64s,
    decimals,
    hexadecimal,
    in_datetime_range,
    int64s,
    local_days,
    zoned,
)
from exports.source.database import CODEC
from exports.source.losses import DOUBLES, INTEGERS, KEY, OTHERS, nothing_lost
from exports.source.order import keys_of, keys_of_object_ids
from exports.source.text import text_of
from exports.source.types import ColumnType, OnMismatch
from exports.source.values import Mismatch, not_one_date, rule, type_name
from exports.tables.arrow import DECIMAL128_DIGITS, AnyArray
from exports.tables.plain import plain

_PREFIXES: Final = {"integer": INTEGERS, "number": DOUBLES}
_OBJECT_ID: Final = ObjectIdType()
_MILLISECONDS: Final = pa.timestamp("ms")
_READ_AS: Final[dict[ColumnType, pa.DataType]] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "decimal": Decimal128Type(),
    "boolean": pa.bool_(),
    "datetime": _MILLISECONDS,
    "date": _MILLISECONDS,
    "text": pa.string(),
    "id": _OBJECT_ID,
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
    """

    def __init__(
        self, fields: Sequence[Field], *, time_field: str, zone: ZoneInfo, on_mismatch: OnMismatch
    ) -> None:
        self._fields = fields
        self._zone = zone
        self._time_field = time_field
        self._on_mismatch = on_mismatch
        self._rules = [rule(item.kind, scale=item.scale, zone=zone) for item in fields]
        self._types = [arrow_type(item, zone) for item in fields]
        self._time = f"{OTHERS}t"
        self._key = f"{KEY}0"
        self._wire_names = [self._wire_name(index) for index in range(len(fields))]
        # The types that pymongoarrow is asked to decode. A column of texts or ids may have either.
        self._expected: dict[str, pa.DataType] = {self._time: _MILLISECONDS, self._key: _OBJECT_ID}
        for wire, item in zip(self._wire_names, fields, strict=True):
            if item.kind != "json":
                self._expected.setdefault(wire, _READ_AS[item.kind])
        # Columns with values that pymongoarrow has no type for are always decoded by the rules.
        self._by_rules = {index for index, item in enumerate(fields) if item.kind == "json"}
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
        decoded = self._decode_fast(raw) or self._decode_by_rules(raw)
        for index in self._texts:
            column = decoded.columns[index]
            if not pa.types.is_string(column.type):
                decoded.columns[index] = pa.array(_plain(column), pa.string())
        return decoded

    def _wire_name(self, index: int) -> str:
        item = self._fields[index]
        if item.path == "_id" and item.kind in ("id", "text"):
            return self._key
        if item.path == self._time_field and item.kind in ("datetime", "date"):
            return self._time
        return f"{_PREFIXES.get(item.kind, OTHERS)}{index}"

    def _decode_fast(self, raw: bytes) -> Decoded | None:
        """Return None if the batch has to be decoded by the rules."""
        try:
            context = PyMongoArrowContext(Schema(self._expected))
            context.process_bson_stream(raw)
            table = context.finish()
        except (TypeError, OverflowError, ValueError):
            return None
        found = {name: _single_chunk(table.column(name)) for name in table.column_names}
        if not nothing_lost(raw, found) or found[self._time].null_count:
            return None
        documents = _documents(raw) if self._by_rules else []
        try:
            columns = [
                self._column_by_rules(index, [document.get(wire) for document in documents])[0]
                if index in self._by_rules
                else self._converted(index, found)
                for index, wire in enumerate(self._wire_names)
            ]
            ids = found[self._key]
            if ids.type == _OBJECT_ID and not ids.null_count:
                keys = keys_of_object_ids(ids)
            else:
                keys = keys_of(ids.to_pylist())
        except (Mismatch, UnicodeDecodeError):
            return None
        nothing = np.empty(0, np.int64)
        return Decoded(columns, int64s(found[self._time]), keys, [nothing] * len(columns))

    def _converted(self, index: int, found: dict[str, AnyArray]) -> AnyArray:
        """Raise `Mismatch` if the batch has to be decoded by the rules."""
        item, column = self._fields[index], found[self._wire_names[index]]
        match item.kind:
            case "decimal":
                return decimals(column, self._types[index], item.scale, self._rules[index])
            case "datetime" | "date":
                if not in_datetime_range(column):
                    raise Mismatch
                if item.kind == "date":
                    return local_days(column, self._zone)
                return zoned(column, self._zone)
            case "id" | "text" if column.type == _OBJECT_ID:
                return hexadecimal(column)
            case "id" | "text":
                try:
                    column.validate(full=True)
                except pa.ArrowInvalid:  # not UTF-8
                    raise Mismatch from None
                return column
            case _:
                return column

    def _decode_by_rules(self, raw: bytes) -> Decoded:
        documents = _documents(raw)
        times = self._times([document.get(self._time) for document in documents])
        ids = [document.get(self._key) for document in documents]
        self._learn(self._key, ids)
        columns: list[AnyArray] = []
        mismatches: list[Int64s] = []
        for index, wire in enumerate(self._wire_names):
            values = [document.get(wire) for document in documents]
            match self._fields[index].kind:
                case "text":
                    self._learn(wire, values, column=index)
                case "id":
                    self._learn(wire, values)
                case _:
                    pass
            column, where = self._column_by_rules(index, values)
            columns.append(column)
            mismatches.append(times[where])
        return Decoded(columns, times, keys_of(ids), mismatches)

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
        column: AnyArray = pa.array(fitting, self._types[index])
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

    def _times(self, values: list[object]) -> Int64s:
        times = [epoch_ms(value) for value in values if isinstance(value, datetime)]
        if len(times) < len(values):
            raise not_one_date(self._time_field)
        return np.array(times, np.int64)

    def _learn(self, wire: str, values: list[object], *, column: int | None = None) -> None:
        """Expect in the next batch the types that were found in this one."""
        kinds = {type(value) for value in values} - {type(None)}
        if kinds == {ObjectId}:
            self._expected[wire] = _OBJECT_ID
        elif kinds == {str}:
            self._expected[wire] = pa.string()
        elif kinds <= {int, Int64} and kinds and wire == self._key and wire not in self._wire_names:
            self._expected[wire] = pa.int64()
        elif kinds and column is not None and wire != self._key:
            self._expected.pop(wire, None)
            self._by_rules.add(column)


def _documents(raw: bytes) -> list[dict[str, object]]:
    return bson.decode_all(raw, CODEC)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- open stubs


def arrow_type(item: Field, zone: ZoneInfo) -> pa.DataType:
    """Return the Arrow type of a column in which every value fits."""
    match item.kind:
        case "decimal":
            return pa.decimal128(DECIMAL128_DIGITS, item.scale)
        case "datetime":
            return pa.timestamp("ms", tz=zone.key)
        case "date":
            return pa.date32()
        case "json" | "id" | "text":
            return pa.string()
        case _:
            return _READ_AS[item.kind]


def _single_chunk(column: "pa.ChunkedArray[Any]") -> AnyArray:
    # The decoder builds one array per field. The stubs give a chunk the type of a chunked array.
    return cast("AnyArray", column.chunk(0))


def _plain(column: AnyArray) -> list[str | None]:
    return [None if value is None else plain(value) for value in column.to_pylist()]

"""BSON to Arrow, a batch at a time.

pymongoarrow decodes a batch without a Python object per value. It refuses most values that have
not the type of their column, and then the batch is decoded again by the rules of
`exports.bson_values`. It does not refuse all of them, and this is how the rest is noticed:

- A double in a column of integers is truncated, and a boolean anywhere among numbers is 0 or 1.
- A long in a column of doubles is rounded.
- NaN becomes null, whatever the column is.

So fields have names of our own on the wire, by which the raw bytes tell what was there. A BSON
element is a byte for its type, its name and its value (https://bsonspec.org/spec.html), and each
double in a field `int0` begins with the bytes `01 i n t`. If they do not occur, there is none. If
they do, it may be the inside of some other value; then the batch is decoded the slow way for
nothing, but never wrongly.

Among doubles, NaN is the number of elements minus the number of values that came out: elements
that look like doubles, integers or longs are at least as many as there are, every one of them is
a value or a NaN once it is sure that there is no boolean, and so as many values as such elements
means that no element is a NaN.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

import bson
import numpy as np
import pyarrow as pa
from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from pymongoarrow.context import PyMongoArrowContext
from pymongoarrow.schema import Schema
from pymongoarrow.types import Decimal128Type, ObjectIdType

from exports.arrow_columns import AnyArray
from exports.bson_arrays import (
    Int64s,
    decimals,
    hexadecimal,
    in_datetime_range,
    int64s,
    local_days,
    valid,
    zoned,
)
from exports.bson_text import text_of
from exports.bson_values import DECIMAL_DIGITS, Misfit, rule, type_name
from exports.errors import MismatchError
from exports.formats.text import plain
from exports.rows_definition import ColumnType, OnMismatch
from exports.rows_order import keys_of, keys_of_object_ids
from exports.source import CODEC

# Four bytes with the type before them: nothing that is likely to stand inside of a value.
_INTEGERS: Final = "int"
_DOUBLES: Final = "dbl"
_STRICT: Final = "any"
_KEY: Final = "key"
_DOUBLE, _BOOLEAN, _INT, _LONG = b"\x01", b"\x08", b"\x10", b"\x12"
_FIRST_INEXACT: Final = 2**53

_PREFIXES: Final = {"integer": _INTEGERS, "number": _DOUBLES}
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
    """What becomes a column.

    Attributes:
        name: Name of the column.
        path: Path of the field in the documents.
        kind: Its type.
        scale: Places of a decimal.
    """

    name: str
    path: str
    kind: ColumnType
    scale: int


class Decoded(NamedTuple):
    """The rows of a batch.

    Attributes:
        columns: A column per field.
        times: The instants of the rows.
        keys: What orders rows of one instant; see `exports.rows_order`.
        misfits: For each field, the instants of rows whose value was replaced.
    """

    columns: list[AnyArray]
    times: Int64s
    keys: AnyArray
    misfits: list[Int64s]


class BatchDecoder:
    """Decodes the batches of one query, one after the other.

    Args:
        fields: The columns.
        time_field: Path of the field that holds a document's date.
        zone: Time zone of dates.
        on_mismatch: What becomes of values that do not fit.
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
        self._time = f"{_STRICT}t"
        self._key = f"{_KEY}0"
        self._wires = [self._wire(index) for index in range(len(fields))]
        # What pymongoarrow is told to expect. A column of texts or ids may hold either.
        self._reads: dict[str, pa.DataType] = {self._time: _MILLISECONDS, self._key: _OBJECT_ID}
        for wire, item in zip(self._wires, fields, strict=True):
            if item.kind != "json":
                self._reads.setdefault(wire, _READ_AS[item.kind])
        self._fast = all(item.kind != "json" for item in fields)
        self._texts: set[int] = set()

    @property
    def projection(self) -> dict[str, Any]:
        """What to ask of the database."""
        wanted: dict[str, Any] = {"_id": 0, self._time: f"${self._time_field}", self._key: "$_id"}
        for wire, item in zip(self._wires, self._fields, strict=True):
            wanted[wire] = f"${item.path}"
        return wanted

    def decode(self, raw: bytes) -> Decoded:
        """Decode a batch.

        Args:
            raw: Documents that `projection` gave.

        Raises:
            MismatchError: A value does not fit its column, and the report says to fail; or a
                document's date is none.
        """
        decoded = self._decoded_fast(raw) if self._fast else None
        if decoded is None:
            decoded = self._decoded_exactly(raw)
        for index in self._texts:
            column = decoded.columns[index]
            if not pa.types.is_string(column.type):
                decoded.columns[index] = pa.array(_plain(column), pa.string())
        return decoded

    def _wire(self, index: int) -> str:
        item = self._fields[index]
        if item.path == "_id" and item.kind in ("id", "text"):
            return self._key
        if item.path == self._time_field and item.kind in ("datetime", "date"):
            return self._time
        return f"{_PREFIXES.get(item.kind, _STRICT)}{index}"

    def _decoded_fast(self, raw: bytes) -> Decoded | None:
        """Return None where only the exact rules will do."""
        try:
            context = PyMongoArrowContext(Schema(self._reads))
            context.process_bson_stream(raw)
            table = context.finish()
        except (TypeError, OverflowError, ValueError):
            return None
        found = {name: _one(table.column(name)) for name in table.column_names}
        if not _nothing_lost(raw, found) or found[self._time].null_count:
            return None
        try:
            columns = [self._finished(index, found) for index in range(len(self._fields))]
        except Misfit:
            return None
        ids = found[self._key]
        if ids.type == _OBJECT_ID and not ids.null_count:
            keys = keys_of_object_ids(ids)
        else:
            keys = keys_of(ids.to_pylist())
        nothing = np.empty(0, np.int64)
        return Decoded(columns, int64s(found[self._time]), keys, [nothing] * len(columns))

    def _finished(self, index: int, found: dict[str, AnyArray]) -> AnyArray:
        """Raise `Misfit` where only the exact rules will do."""
        item, column = self._fields[index], found[self._wires[index]]
        match item.kind:
            case "decimal":
                return decimals(column, self._types[index], item.scale, self._rules[index])
            case "datetime" | "date":
                if not in_datetime_range(column):
                    raise Misfit
                if item.kind == "date":
                    return local_days(column, self._zone)
                return zoned(column, self._zone)
            case "id" | "text" if column.type == _OBJECT_ID:
                return hexadecimal(column)
            case "id" | "text":
                try:
                    column.validate(full=True)
                except pa.ArrowInvalid:  # not UTF-8
                    raise Misfit from None
                return column
            case _:
                return column

    def _decoded_exactly(self, raw: bytes) -> Decoded:
        documents: list[dict[str, object]] = bson.decode_all(raw, CODEC)  # pyright: ignore[reportUnknownMemberType] -- open stubs
        times = self._times([document.get(self._time) for document in documents])
        ids = [document.get(self._key) for document in documents]
        self._learn(self._key, ids)
        columns: list[AnyArray] = []
        misfits: list[Int64s] = []
        for index, wire in enumerate(self._wires):
            values = [document.get(wire) for document in documents]
            if self._fields[index].kind in ("id", "text"):
                self._learn(wire, values)
            column, where = self._exact(index, values)
            columns.append(column)
            misfits.append(times[where])
        return Decoded(columns, times, keys_of(ids), misfits)

    def _exact(self, index: int, values: list[object]) -> tuple[AnyArray, list[int]]:
        convert = self._rules[index]
        fitting: list[object] = []
        misfits: list[int] = []
        for row, value in enumerate(values):
            try:
                fitting.append(None if value is None else convert(value))
            except Misfit:
                if self._on_mismatch == "fail":
                    raise self._mismatch(index, value) from None
                misfits.append(row)
                fitting.append(None)
        column: AnyArray = pa.array(fitting, self._types[index])
        if misfits and self._on_mismatch == "text":
            self._texts.add(index)
            texts = _plain(column)
            for row in misfits:
                texts[row] = text_of(values[row], self._zone)
            column = pa.array(texts, pa.string())
        return column, misfits

    def _mismatch(self, index: int, value: object) -> MismatchError:
        item = self._fields[index]
        return MismatchError(
            f"The column {item.name!r} is declared as {item.kind}, and a document has a value "
            f"there that is none (BSON type {type_name(value)}); change the column's `type`, or "
            'say `on_mismatch = "text"` or `"null"`.'
        )

    def _times(self, values: list[object]) -> Int64s:
        try:
            return np.array(
                [int(DatetimeMS(value)) for value in values],  # type: ignore[arg-type]
                np.int64,
            )
        except TypeError:
            raise MismatchError(
                f"A document's {self._time_field!r} is an array of dates; a report needs one."
            ) from None

    def _learn(self, wire: str, values: list[object]) -> None:
        """Expect next time what was found this time."""
        kinds = {type(value) for value in values} - {type(None)}
        if kinds == {ObjectId}:
            self._reads[wire] = _OBJECT_ID
        elif kinds == {str}:
            self._reads[wire] = pa.string()
        elif kinds <= {int, Int64} and kinds and wire == self._key and wire not in self._wires:
            self._reads[wire] = pa.int64()


def _nothing_lost(raw: bytes, found: dict[str, AnyArray]) -> bool:
    """Whether pymongoarrow gave every value as it was. The module says why this is so."""
    integers = {
        name[: len(_INTEGERS)] for name, column in found.items() if column.type == pa.int64()
    }
    for prefix in integers:
        if raw.count(_DOUBLE + prefix.encode()) or raw.count(_BOOLEAN + prefix.encode()):
            return False
    doubles = [column for column in found.values() if column.type == pa.float64()]
    if doubles and not _doubles_kept(raw, doubles):
        return False
    return not any(
        raw.count(_DOUBLE + prefix.encode())
        for prefix in {
            name[: len(_STRICT)]
            for name, column in found.items()
            if column.null_count and column.type not in (pa.int64(), pa.float64())
        }
    )


def _doubles_kept(raw: bytes, columns: list[AnyArray]) -> bool:
    name = _DOUBLES.encode()
    if raw.count(_BOOLEAN + name):
        return False
    longs = raw.count(_LONG + name)
    if longs and any(_may_be_rounded(column) for column in columns):
        return False
    if not any(column.null_count for column in columns):
        return True
    elements = longs + raw.count(_DOUBLE + name) + raw.count(_INT + name)
    return elements == sum(len(column) - column.null_count for column in columns)


def _may_be_rounded(column: AnyArray) -> bool:
    values = column.to_numpy(zero_copy_only=False)[valid(column)]
    return bool((np.abs(values) >= _FIRST_INEXACT).any())


def arrow_type(item: Field, zone: ZoneInfo) -> pa.DataType:
    """Return the Arrow type of a column, as long as every value fits."""
    match item.kind:
        case "decimal":
            return pa.decimal128(DECIMAL_DIGITS, item.scale)
        case "datetime":
            return pa.timestamp("ms", tz=zone.key)
        case "date":
            return pa.date32()
        case "json" | "id" | "text":
            return pa.string()
        case _:
            return _READ_AS[item.kind]


def _one(column: "pa.ChunkedArray[Any]") -> AnyArray:
    # The decoder builds one array per field. The stubs have the chunk of a column for a column.
    return cast("AnyArray", column.chunk(0))


def _plain(column: AnyArray) -> list[str | None]:
    return [None if value is None else plain(value) for value in column.to_pylist()]

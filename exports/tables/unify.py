"""One schema for batches whose columns came out with different types.

A database gives values, not types. A column may be empty in one month, hold integers in the next
and decimals in a third, and each month is staged before the others are known. So the schema of a
part says how many digits its numbers need (`note_digits`), and `unify` finds the narrowest type
that holds the numbers of all parts exactly.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

import pyarrow as pa

from exports.errors import StagingError
from exports.tables.arrow import (
    DECIMAL128_DIGITS,
    DECIMAL256_DIGITS,
    FLOAT64_DIGITS,
    AnyArray,
    cells_of,
    column_of,
    extremes_of,
    fields_of,
    is_decimal,
    is_number,
    record_batch,
    schema_of,
    types_of,
)
from exports.tables.columns import Column, columns_of
from exports.tables.plain import plain, shortest
from exports.tables.warnings import MISMATCH_TEXT, WarningCounts

_DIGITS: Final = b"export.digits"
_OTHER_COLUMNS: Final = "The staged parts of one export have different columns; export again."
_NOT_EXACT: Final = "A staged value does not fit its column exactly; export again."
_INTEGER_DIGITS: Final = 20
"""Digits of the widest integer, a uint64."""


class _Digits(NamedTuple):
    """How many decimal digits the numbers of a column have before and after the point."""

    whole: int
    places: int

    def or_more(self, other: "_Digits") -> "_Digits":
        return _Digits(max(self.whole, other.whole), max(self.places, other.places))


def unify(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the schema that the parts of one export have in common.

    An empty column takes the type of the others. Integers and floats become floats if floats hold
    the integers exactly. Otherwise, and as soon as there are decimals, numbers become a decimal
    that holds all of them, a float as the shortest text that reads back as the same float. No
    decimal holds NaN or an infinity: with one of them, numbers become floats if the others have at
    most 15 digits, which a float holds. If numbers have no type in common, and for any other
    mixture, the column becomes text.

    Args:
        schemas: At least one, of rows whose digits were noted. A float column without that note
            is taken to have NaN.

    Returns:
        A schema with the descriptions of the columns and the sheet of the first one.

    Raises:
        StagingError: There is no schema, or they have different columns.
    """
    if not schemas or any(item.names != schemas[0].names for item in schemas):
        raise StagingError(_OTHER_COLUMNS)
    columns = zip(*(fields_of(item) for item in schemas), strict=True)
    return schema_of((_unified(fields) for fields in columns), schemas[0].metadata)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the types of a schema, every value unchanged or as its exact text.

    What rows are grouped by has the same text for equal numbers of all types.

    Args:
        batch: Rows of a part.
        schema: The result of `unify` for the schemas of this part and others.

    Raises:
        StagingError: A value does not fit exactly, or the columns are different: the schema was
            not made for this batch.
    """
    if batch.schema.names != schema.names:
        raise StagingError(_OTHER_COLUMNS)
    columns = [column_of(batch, index) for index in range(batch.num_columns)]
    for index, described, kind in _changed(batch, schema):
        columns[index] = _cast(cells_of(batch, index), kind, in_groups=described.role == "group")
    return record_batch(columns, schema)


def count_texts(batch: pa.RecordBatch, schema: pa.Schema, warn: WarningCounts) -> None:
    """Count the numbers and dates that `conform` makes text.

    Args:
        batch: Rows of a part.
        schema: The result of `unify` for the schemas of this part and others.
        warn: Where they are counted.
    """
    for index, described, kind in _changed(batch, schema):
        if pa.types.is_string(kind):
            values = column_of(batch, index)
            warn.add(MISMATCH_TEXT, described.name, len(values) - values.null_count)


def _changed(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[tuple[int, Column, pa.DataType]]:
    """Yield the columns whose type in the schema is another, with that type."""
    before, after = types_of(batch.schema), types_of(schema)
    if before == after:
        return  # as in most parts, so that the descriptions need not be read
    for index, described in enumerate(columns_of(schema)):
        if before[index] != after[index]:
            yield index, described, after[index]


def note_digits(schema: pa.Schema, rows: Sequence[pa.RecordBatch]) -> pa.Schema:
    """Return the schema of rows, with a note of the digits that each column of numbers needs."""
    fields = fields_of(schema)
    for index, field in enumerate(fields):
        if is_number(field.type):
            digits = _digits(value for batch in rows for value in _longest(column_of(batch, index)))
            if digits is not None:
                note = f"{digits.whole} {digits.places}".encode()
                fields[index] = _described(field, field.type, {_DIGITS: note})
    return schema_of(fields, schema.metadata)


def _longest(column: AnyArray) -> list[object]:
    """Return values of a column, among them the one that needs the most digits.

    In a column of floats that can be any value. In a column of integers or decimals, which all have
    the same number of places, it is the least or the greatest.
    """
    if pa.types.is_floating(column.type):
        return cast("list[object]", column.to_pylist())
    return [*extremes_of(column)]


def _described(
    field: "pa.Field[Any]", kind: pa.DataType, note: Mapping[bytes, bytes]
) -> "pa.Field[Any]":
    """The field with its description, but another type and another note."""
    kept = {key: text for key, text in (field.metadata or {}).items() if key != _DIGITS}
    return pa.field(field.name, kind, metadata={**kept, **note})


def _digits(values: Iterable[object]) -> _Digits | None:
    """Return the digits that all values need; None if no decimal holds one of them."""
    most = _Digits(0, 0)
    for value in values:
        if value is None:
            continue
        digits = _digits_of(value)
        if digits is None:
            return None
        most = most.or_more(digits)
    return most


def _digits_of(value: object) -> _Digits | None:
    if isinstance(value, float):
        # Most floats are written like this; making a Decimal of each takes ten times as long.
        whole, point, places = repr(value).lstrip("-").partition(".")
        if point and places.isdecimal():
            return _Digits(len(whole.lstrip("0")), len(places.rstrip("0")))
    number = _decimal(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, str):
        return None
    return _Digits(max(number.adjusted() + 1, 0), max(-exponent, 0))


def _decimal(value: object) -> Decimal:
    match value:
        case float():
            return Decimal(repr(value)).normalize()
        case int() | Decimal():
            return Decimal(value)
        case _:
            raise TypeError(f"A {type(value).__name__} is not a number.")


def _unified(fields: Sequence["pa.Field[Any]"]) -> "pa.Field[Any]":
    kinds = {field.type for field in fields if not pa.types.is_null(field.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.null() if not kinds else _common(fields)
    return _described(fields[0], kind, {})


def _common(fields: Sequence["pa.Field[Any]"]) -> pa.DataType:
    fields = [field for field in fields if not pa.types.is_null(field.type)]
    if not all(is_number(field.type) for field in fields):
        return pa.string()
    if all(pa.types.is_signed_integer(field.type) for field in fields):
        return pa.int64()
    digits = [_noted(field) for field in fields]
    decimal = None not in digits and any(is_decimal(field.type) for field in fields)
    if not decimal and all(map(_fits_float64, fields, digits)):
        return pa.float64()
    most = _Digits(0, 0)
    for item in digits:
        if item is None:
            return pa.string()
        most = most.or_more(item)
    return _decimal_type(most)


def _fits_float64(field: "pa.Field[Any]", digits: _Digits | None) -> bool:
    if pa.types.is_floating(field.type):
        return True
    return digits is not None and digits.whole + digits.places <= FLOAT64_DIGITS


def _noted(field: "pa.Field[Any]") -> _Digits | None:
    note = (field.metadata or {}).get(_DIGITS)
    if note is not None:
        whole, places = note.split()
        return _Digits(int(whole), int(places))
    kind = field.type
    if is_decimal(kind):
        return _Digits(kind.precision - kind.scale, max(kind.scale, 0))
    return _Digits(_INTEGER_DIGITS, 0) if pa.types.is_integer(kind) else None


def _decimal_type(digits: _Digits) -> pa.DataType:
    precision = max(digits.whole + digits.places, 1)
    if precision <= DECIMAL128_DIGITS:
        return pa.decimal128(precision, digits.places)
    if precision <= DECIMAL256_DIGITS:
        return pa.decimal256(precision, digits.places)
    return pa.string()


def _cast(values: Sequence[object], kind: pa.DataType, *, in_groups: bool) -> AnyArray:
    if in_groups and pa.types.is_string(kind):
        values = [shortest(value) for value in values]
    try:
        return pa.array([None if value is None else _cell(value, kind) for value in values], kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        raise StagingError(_NOT_EXACT) from None


def _cell(value: object, kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return plain(value)
    if is_decimal(kind):
        return _decimal(value)
    if pa.types.is_integer(kind) and isinstance(value, int):
        return value
    if pa.types.is_floating(kind) and isinstance(value, int | float | Decimal):
        return _float64(value)
    raise ValueError(_NOT_EXACT)


def _float64(value: float | Decimal) -> float:
    double = float(value)
    if isinstance(value, int | Decimal) and _decimal(double) != value:
        raise ValueError(_NOT_EXACT)
    return double

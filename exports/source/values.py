"""The rule of each column type for every BSON value, one value at a time.

These rules are the definition. `exports.source.decoder` decodes whole batches without a Python
object per value, with the same results, and applies these rules wherever it cannot be sure.

Missing fields, null and the deprecated `undefined` count as no value. Otherwise:

- text: everything; other values than texts as `exports.source.text.text_of` writes them.
- integer: numbers without a fraction that 64 bits hold. 5.0 and Decimal128 5.00 are 5.
- number: numbers that a double holds exactly, NaN and the infinities. A Decimal128 fits if the
  double's shortest text is the same number, as with 0.1.
- decimal: numbers that 38 digits with the column's places hold exactly; of a double, the shortest
  text counts. Not NaN, not the infinities.
- boolean: booleans.
- datetime: dates in the years 1 to 9999 of the report's time zone.
- date: the same; the column has the day in that time zone.
- id: an ObjectId, as 24 hexadecimal digits, or a text.
- json: everything, as relaxed extended JSON.

A boolean is never a number, and a number never a boolean.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from bson import Code, Decimal128, ObjectId
from bson.int64 import Int64

from exports.errors import MismatchError
from exports.source.decimal128 import decimal_of
from exports.source.text import json_of, text_of
from exports.source.types import ColumnType
from exports.tables.arrow import DECIMAL128_DIGITS
from exports.tables.plain import EXACT

_INT64: Final = range(-(2**63), 2**63)
_LARGEST_INT64: Final = 2**63

# For other types the names of the driver's classes are clear: Binary, Regex, Timestamp.
_TYPE_NAMES: Final[Mapping[type, str]] = {
    float: "double",
    str: "string",
    dict: "object",
    list: "array",
    ObjectId: "objectId",
    bool: "bool",
    datetime: "date",
    int: "int",
    Int64: "long",
    Decimal128: "decimal",
}


class Mismatch(Exception):  # noqa: N818 -- about one value; the report says whether it is an error
    """A value does not fit the type of its column. Caught in `exports.source`; holds no value."""


Rule = Callable[[object], object]
"""Takes a value as pymongo decodes it, but not None; returns it as its column holds it.

Raises `Mismatch`.
"""


def rule(kind: ColumnType, *, scale: int, zone: ZoneInfo) -> Rule:
    """Return the rule of a column type.

    Args:
        kind: The type.
        scale: Decimal places, for the type decimal.
        zone: Time zone of dates.
    """
    step = Decimal((0, (1,), -scale))
    limit = Decimal((0, (1,), DECIMAL128_DIGITS - scale))
    rules: dict[ColumnType, Rule] = {
        "text": lambda value: text_of(value, zone),
        "integer": _integer,
        "number": _number,
        "decimal": lambda value: _fixed(value, step, limit),
        "boolean": _boolean,
        "datetime": lambda value: _local(value, zone).astimezone(UTC),
        "date": lambda value: _local(value, zone).date(),
        "id": _id,
        "json": json_of,
    }
    return rules[kind]


def type_name(value: object) -> str:
    """Return MongoDB's name for the BSON type of a value."""
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def not_one_date(time_field: str) -> MismatchError:
    """Return the error for a document whose time field is not one date.

    The condition on the period finds such a document if it has an array there, with dates of the
    period or around it.

    Args:
        time_field: Path of the field.
    """
    return MismatchError(
        f"The time field {time_field!r} of a document is not one date, but an array or something "
        "else; correct the document, or change the report's `time_field`."
    )


def _integer(value: object) -> int:
    # Not from the shortest text, in which the last digits of a large double are zeros.
    number = Decimal(value) if isinstance(value, float) else _as_decimal(value)
    if not number.is_finite() or number.copy_abs() > _LARGEST_INT64:
        raise Mismatch
    whole = int(number)
    if whole != number or whole not in _INT64:
        raise Mismatch
    return whole


def _number(value: object) -> float:
    if isinstance(value, float):
        return value
    number = _as_decimal(value)
    if not number.is_finite():
        return float(number) if not number.is_nan() else math.nan
    double = float(number)
    exact = Decimal(double) if isinstance(value, int) else Decimal(repr(double))
    if exact != number:
        raise Mismatch
    return double


def _fixed(value: object, step: Decimal, limit: Decimal) -> Decimal:
    number = _as_decimal(value)
    if not number.is_finite() or number.copy_abs() >= limit:
        raise Mismatch
    fixed = number.quantize(step, context=EXACT)
    if fixed != number:
        raise Mismatch
    return fixed


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Mismatch


def _local(value: object, zone: ZoneInfo) -> datetime:
    if not isinstance(value, datetime):
        raise Mismatch
    try:
        return value.astimezone(zone)
    except OverflowError:
        raise Mismatch from None


def _id(value: object) -> str:
    if isinstance(value, str | ObjectId) and not isinstance(value, Code):
        return str(value)
    raise Mismatch


def _as_decimal(value: object) -> Decimal:
    match value:
        case bool():
            raise Mismatch
        case int():
            return Decimal(value)
        case float():
            return Decimal(repr(value))
        case Decimal128():
            return decimal_of(value)
        case _:
            raise Mismatch

"""The rule of each column type for every BSON value, one value at a time.

This is the definition. `exports.source.decoder` decodes whole batches without a Python object per
value, gives the same, and leaves to these rules whatever it can't be sure of.

Missing fields, null and the deprecated `undefined` are no value. Otherwise:

- text: everything; what is no text as `exports.source.text.text_of` writes it.
- integer: numbers without a fraction that 64 bits hold. 5.0 and Decimal128 5.00 are 5.
- number: numbers that a double holds exactly, NaN and the infinities. A Decimal128 is held
  exactly if the double's shortest text is the same number, as with 0.1.
- decimal: numbers that the column's places and 38 digits hold exactly; a double counts as its
  shortest text. Not NaN, not the infinities.
- boolean: booleans.
- datetime: dates in the years 1 to 9999 of the report's time zone.
- date: the same, and the day is that of the zone.
- id: an ObjectId, as 24 hexadecimal digits, or a text.
- json: everything, as relaxed extended JSON.

A boolean is never a number, and a number never a boolean.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from bson import Code, Decimal128, ObjectId
from bson.int64 import Int64

from exports.source.text import json_of, text_of
from exports.source.types import ColumnType
from exports.tables.arrow import DECIMAL128_DIGITS

_INT64: Final = range(-(2**63), 2**63)
_LARGEST_INT64: Final = 2**63
EXACT: Final = Context(prec=1000)
"""Wide enough for every number that an Arrow decimal holds: nothing is rounded."""

# Of the others the driver's own names will do: Binary, Regex, Timestamp, DatetimeMS.
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


class Misfit(Exception):  # noqa: N818 -- a finding about a value, not a failure
    """The value has not the type of its column. Never leaves this service, and holds no value."""


Rule = Callable[[object], object]
"""Takes a value as pymongo decodes it, not None, and returns it as its column holds it.

Raises `Misfit`.
"""


def rule(kind: ColumnType, *, scale: int, zone: ZoneInfo) -> Rule:
    """Return the rule of a column type.

    Args:
        kind: The type.
        scale: Places of a decimal.
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
    """Return the BSON type of a value, as MongoDB calls it."""
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def _integer(value: object) -> int:
    # Not by its shortest text, which has zeros for the last digits of a large double.
    number = Decimal(value) if isinstance(value, float) else _as_decimal(value)
    if not number.is_finite() or number.copy_abs() > _LARGEST_INT64:
        raise Misfit
    whole = int(number)
    if whole != number or whole not in _INT64:
        raise Misfit
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
        raise Misfit
    return double


def _fixed(value: object, step: Decimal, limit: Decimal) -> Decimal:
    number = _as_decimal(value)
    if not number.is_finite() or number.copy_abs() >= limit:
        raise Misfit
    fixed = number.quantize(step, context=EXACT)
    if fixed != number:
        raise Misfit
    return fixed


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Misfit


def _local(value: object, zone: ZoneInfo) -> datetime:
    if not isinstance(value, datetime):
        raise Misfit
    try:
        return value.astimezone(zone)
    except OverflowError:
        raise Misfit from None


def _id(value: object) -> str:
    if isinstance(value, str | ObjectId) and not isinstance(value, Code):
        return str(value)
    raise Misfit


def _as_decimal(value: object) -> Decimal:
    match value:
        case bool():
            raise Misfit
        case int():
            return Decimal(value)
        case float():
            return Decimal(repr(value))
        case Decimal128():
            return value.to_decimal()
        case _:
            raise Misfit

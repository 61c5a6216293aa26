"""Finds the Arrow type of a column of MongoDB values.

Integers become int64, integers and floats become float64. If there is a Decimal128, or floats and
an integer that no float holds exactly, they become an Arrow decimal that holds all of them exactly
(a float as its shortest text). No decimal holds NaN or an infinity: with one of them, numbers
become float64 if the decimals have at most 15 digits, which a float holds, and otherwise text.
Dates become timestamps. Everything else becomes text.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
from bson import Decimal128, Int64
from bson.datetime_ms import DatetimeMS

from exports.source.decimal128 import decimal_of
from exports.source.text import text_of
from exports.tables.arrow import (
    DECIMAL128_DIGITS,
    DECIMAL256_DIGITS,
    FLOAT64_DIGITS,
    AnyArray,
)
from exports.tables.plain import EXACT, shortest

_LARGEST_EXACT_IN_FLOAT: Final = 2**53


class Inferred(NamedTuple):
    """Values as an Arrow array.

    Attributes:
        values: An array of the narrowest type that holds every value; of type null if it has no
            value.
        as_text: How many numbers and dates are text, because no other type holds all values.
    """

    values: AnyArray
    as_text: int


def column(values: Iterable[object], zone: str) -> Inferred:
    """Return values as an Arrow array.

    Args:
        values: Values as pymongo decodes them, or as `normal` returns them.
        zone: IANA time zone that dates are shown in.
    """
    return _inferred([normal(value) for value in values], zone)


def group_column(values: Iterable[object], zone: str) -> Inferred:
    """Return what rows are grouped by as an Arrow array, equal numbers in one form.

    Args:
        values: Values as pymongo decodes them.
        zone: IANA time zone that dates are shown in.
    """
    return _inferred([shortest(normal(value)) for value in values], zone)


def normal(value: object) -> object:
    """Return a value as pymongo decodes it in a type of Python's own: an int, a float, a Decimal.

    A Decimal is finite, and -0.0 becomes 0.0. Anything but a number is returned as it is.
    """
    match value:
        case Decimal128():
            number = decimal_of(value)
            return math.nan if number.is_nan() else number if number.is_finite() else float(number)
        case float():
            return value + 0.0
        case Int64():
            return int(value)
        case _:
            return value


def _inferred(found: list[object], zone: str) -> Inferred:
    array = _typed(found, ZoneInfo(zone))
    if array is not None:
        return Inferred(array, 0)
    return Inferred(
        pa.array([text_of(value, ZoneInfo(zone)) for value in found], pa.string()),
        sum(map(_is_number_or_date, found)),
    )


def _typed(found: list[object], zone: ZoneInfo) -> "AnyArray | None":
    """Return None if the values must be text."""
    kinds = {type(value) for value in found if value is not None}
    if not kinds:
        return pa.nulls(len(found))
    if kinds == {int}:
        return pa.array(found, pa.int64())
    if kinds <= {int, float, Decimal}:
        finite = all(map(_is_finite, found))
        if (Decimal not in kinds or not finite) and all(map(_fits_float, found)):
            return pa.array(map(_float, found), pa.float64())
        return _decimals(found) if finite else None
    if kinds == {datetime} and all(_is_in_calendar(value, zone) for value in found):
        return pa.array(found, pa.timestamp("ms", tz=zone.key))
    return None


def _is_number_or_date(value: object) -> bool:
    number_or_date = isinstance(value, int | float | Decimal | datetime | DatetimeMS)
    return number_or_date and not isinstance(value, bool)


def _is_in_calendar(value: object, zone: ZoneInfo) -> bool:
    """Whether a date is in the years 1 to 9999 in the zone, not only in UTC."""
    try:
        if isinstance(value, datetime):
            value.astimezone(zone)
    except OverflowError:
        return False
    return True


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _fits_float(value: object) -> bool:
    match value:
        case int():
            return abs(value) <= _LARGEST_EXACT_IN_FLOAT
        case Decimal():
            number = _without_zeros(value)
            return _integer_digits(number) + _places(number) <= FLOAT64_DIGITS
        case _:
            return True


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) else None


def _decimal(value: object) -> Decimal | None:
    match value:
        case float():
            return Decimal(repr(value))
        case int() | Decimal():
            return Decimal(value)
        case _:
            return None


def _decimals(found: Sequence[object]) -> "AnyArray | None":
    """Return an array of decimals, or None if no Arrow decimal holds all numbers exactly."""
    numbers = [_decimal(value) for value in found]
    # Trailing zeros are kept if they fit: 12.50 is how an amount is written.
    without_zeros = [None if number is None else _without_zeros(number) for number in numbers]
    for candidates in (numbers, without_zeros):
        present = [number for number in candidates if number is not None]
        scale = max(_places(number) for number in present)
        digits = scale + max(_integer_digits(number) for number in present)
        if digits > DECIMAL256_DIGITS:
            continue
        step = Decimal((0, (1,), -scale))
        exact = [None if n is None else n.quantize(step, context=EXACT) for n in candidates]
        if digits <= DECIMAL128_DIGITS:
            return pa.array(exact, pa.decimal128(DECIMAL128_DIGITS, scale))
        return pa.array(exact, pa.decimal256(DECIMAL256_DIGITS, scale))
    return None


def _without_zeros(number: Decimal) -> Decimal:
    return number.normalize(EXACT) if number else Decimal(0)


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    # Only NaN and the infinities have a letter here, and `normal` has made them floats.
    return exponent if isinstance(exponent, int) else 0


def _places(number: Decimal) -> int:
    return max(0, -_exponent(number))


def _integer_digits(number: Decimal) -> int:
    return max(0, len(number.as_tuple().digits) + _exponent(number))

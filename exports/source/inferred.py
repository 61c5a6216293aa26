"""Finds the Arrow type of a column of MongoDB values.

Integers become int64, integers and floats become float64. If there is a Decimal128, or floats and
an integer that no float holds exactly, they become an Arrow decimal that holds all of them exactly
(a float as its shortest text). Dates become timestamps. Everything else becomes text.

NaN and the infinities become null: no spreadsheet cell can hold them, and with one of them every
total would be NaN or infinite too.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from bson import Decimal128, Int64

from exports.source.text import text_of
from exports.source.values import EXACT
from exports.tables.arrow import DECIMAL128_DIGITS, DECIMAL256_DIGITS, AnyArray

_LARGEST_EXACT_IN_FLOAT: Final = 2**53


def column(values: Iterable[object], zone: str) -> AnyArray:
    """Return values as an Arrow array.

    Args:
        values: Values as pymongo decodes them.
        zone: IANA time zone that dates are shown in.

    Returns:
        An array of the narrowest type that holds every value; of type null if it has no value.
    """
    found = [_normal(value) for value in values]
    kinds = {type(value) for value in found if value is not None}
    if not kinds:
        return pa.nulls(len(found))
    if kinds == {int}:
        return pa.array(found, pa.int64())
    if kinds <= {int, float} and all(_fits_float(value) for value in found):
        return pa.array(found, pa.float64())
    if kinds <= {int, float, Decimal}:
        numbers = [_decimal(value) for value in found]
        return _decimals(numbers) or _texts(numbers, zone)
    if kinds == {datetime}:
        return pa.array(found, pa.timestamp("ms", tz=zone))
    return _texts(found, zone)


def _fits_float(value: object) -> bool:
    return not isinstance(value, int) or abs(value) <= _LARGEST_EXACT_IN_FLOAT


def _normal(value: object) -> object:
    match value:
        case Decimal128():
            number = value.to_decimal()
            return number if number.is_finite() else None
        case float():
            return value if math.isfinite(value) else None
        case Int64():
            return int(value)
        case _:
            return value


def _decimal(value: object) -> Decimal | None:
    match value:
        case float():
            return Decimal(repr(value))
        case int() | Decimal():
            return Decimal(value)
        case _:
            return None


def _decimals(numbers: Sequence[Decimal | None]) -> "AnyArray | None":
    """Return an array of decimals, or None if no Arrow decimal holds all of them exactly."""
    # Trailing zeros are kept if they fit: 12.50 is how an amount is written.
    shortest = [None if number is None else _without_zeros(number) for number in numbers]
    for candidates in (numbers, shortest):
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
    # Only NaN and the infinities have a letter here, and `_normal` has made them None.
    return exponent if isinstance(exponent, int) else 0


def _places(number: Decimal) -> int:
    return max(0, -_exponent(number))


def _integer_digits(number: Decimal) -> int:
    return max(0, len(number.as_tuple().digits) + _exponent(number))


def _texts(values: Iterable[object], zone: str) -> AnyArray:
    return pa.array([text_of(value, ZoneInfo(zone)) for value in values], pa.string())

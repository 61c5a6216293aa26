"""Finds the Arrow type of a column of MongoDB values.

All integers make an int64, integers and floats a float64. As soon as there is a Decimal128, or
beside floats an integer that no float holds, they make an Arrow decimal that holds every one
exactly (a float as its shortest text). Dates make a timestamp. Everything else makes text.

NaN and the infinities become null: no spreadsheet cell can hold them, and one of them would turn
every total into another.
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
        An array of the narrowest type that holds every value; of type null if there is none.
    """
    found = [_plain(value) for value in values]
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


def _plain(value: object) -> object:
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
    # Zeros at the end are kept where there is room: 12.50 is how an amount is written.
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
    # Only NaN and the infinities have letters there, and `_plain` has taken them out.
    return exponent if isinstance(exponent, int) else 0


def _places(number: Decimal) -> int:
    return max(0, -_exponent(number))


def _integer_digits(number: Decimal) -> int:
    return max(0, len(number.as_tuple().digits) + _exponent(number))


def _texts(values: Iterable[object], zone: str) -> AnyArray:
    return pa.array([text_of(value, ZoneInfo(zone)) for value in values], pa.string())

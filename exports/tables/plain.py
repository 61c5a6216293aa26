"""A value of an export as text that holds it exactly."""

from datetime import date, datetime
from decimal import Context, Decimal
from typing import Final

from exports.tables.arrow import DECIMAL256_DIGITS

EXACT: Final = Context(prec=1000)
"""Wide enough for every number of an export: nothing is rounded."""
_LONGEST_DECIMAL128: Final = 34
"""Digits of a Decimal128 of BSON at most."""
_TWO_TO_63: Final = 2**63


def plain(value: object) -> str:
    """Return a value as text that holds it exactly.

    Decimals have all their places, floats the fewest digits that read back as the same float.
    Both are in plain notation, unless that has more digits than a decimal column can hold.
    Booleans are `true` and `false`. Dates and times are in ISO 8601; a time has its offset and
    milliseconds, or microseconds if it has any.

    Raises:
        TypeError: Columns of an export do not have values of this type.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case Decimal():
            return _decimal(value)
        case date():
            return _date(value)
        case _:
            raise TypeError(f"A column of an export cannot hold a {type(value).__name__}.")


def _date(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    return value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")


def _float(value: float) -> str:
    # Python writes a whole float with `.0`, and many others with an exponent.
    text = repr(value).removesuffix(".0")
    decimal = _decimal(Decimal(text))
    return text if "E" in decimal else decimal


def _decimal(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    if isinstance(exponent, str):  # of an infinity or NaN, which may have a sign and digits
        return "NaN" if value.is_nan() else f"{value:f}"
    digits = max(value.adjusted() + 1, 0) + max(-exponent, 0)
    return f"{value:f}" if digits <= DECIMAL256_DIGITS else str(value.normalize(EXACT))


def shortest(value: object) -> object:
    """Return a number in the one form of all numbers that are equal to it.

    That is an int if it is whole and 64 bits hold it, and otherwise the float that it is equal to,
    or whose shortest text it is. A larger whole number of at most 34 digits, which a Decimal128
    may have, is a Decimal, and so is a fraction that is not a float.

    Args:
        value: An int, a float or a Decimal; NaN, infinities and anything else are not changed.
    """
    if not isinstance(value, float | Decimal) or not Decimal(value).is_finite():
        return value
    exact = Decimal(value).normalize(EXACT)
    if exact == exact.to_integral_value():
        if -_TWO_TO_63 <= exact < _TWO_TO_63:
            return int(exact)
        short = isinstance(value, Decimal) or len(exact.as_tuple().digits) <= _LONGEST_DECIMAL128
        return exact if short else value
    nearest = float(exact)
    return nearest if exact in (Decimal(nearest), Decimal(repr(nearest))) else exact

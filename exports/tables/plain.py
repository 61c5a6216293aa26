"""A value of an export as text that holds it exactly."""

import math
from datetime import date, datetime
from decimal import Decimal


def plain(value: object) -> str:
    """Return a value as text that holds it exactly.

    Decimals are in plain notation with all their places, floats the shortest text that reads
    back as the same float, booleans `true` and `false`. Dates and times are in ISO 8601; a time
    has its offset and milliseconds, or microseconds if it has any.

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
            return f"{value:f}"
        case date():
            return _date(value)
        case _:
            raise TypeError(f"A column of an export cannot hold a {type(value).__name__}.")


def _date(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    return value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)

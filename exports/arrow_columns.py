"""Finds the Arrow type of a column of MongoDB values.

All integers make an int64, integers and floats a float64, and as soon as there is a Decimal128,
integers, floats and decimals make an Arrow decimal that holds every one exactly (a float as its
shortest text). Dates make a timestamp. Everything else makes text.

NaN and the infinities become null: no spreadsheet cell can hold them, and one of them would turn
every total into another.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from bson import Decimal128, ObjectId, json_util
from bson.datetime_ms import DatetimeMS

_DECIMAL128_DIGITS: Final = 38
_DECIMAL256_DIGITS: Final = 76
# Wide enough for every Decimal128 that an Arrow decimal can hold, so nothing is rounded.
_EXACT: Final = Context(prec=2 * _DECIMAL256_DIGITS)


def column(values: Iterable[object], zone: str) -> pa.Array:
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
    if kinds <= {int, float}:
        return pa.array(
            [None if value is None else float(value) for value in found], pa.float64()
        )
    if kinds <= {int, float, Decimal}:
        return _decimals(found, zone)
    if kinds == {datetime}:
        return pa.array(found, pa.timestamp("ms", tz=zone))
    return _texts(found, zone)

"""Columns as text: exact, and without a Python object for each value.

The rules are the same in every text format:

- An integer is its digits.
- A decimal is in plain notation with all its places, never with an exponent.
- A float is the shortest text that reads back as the same float (`0.1`, `12`, `1e+16`). What is
  no number is `NaN`, `Infinity` or `-Infinity`.
- A boolean is `true` or `false`.
- A date is ISO 8601, `2026-10-05`; where it stands for its month, `2026-10`.
- A time is ISO 8601, with as many places as the column's unit has, also if they are zeros, and
  with the offset from UTC that the column's zone has at that moment:
  `2026-10-31T23:04:05.120+08:00`. In a column without a zone it has no offset.
"""

from decimal import Decimal
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from exports.columns import Column
from exports.formats.arrow import is_decimal, kernel
from exports.formats.text_arrays import Texts, all_bytes, change, join, replace, with_bytes

_A_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MINUTE: Final = 60


def cell_texts(column: Column, values: "pa.Array[Any]") -> Texts:
    """Return a column's values as text; null where there is no value.

    Args:
        column: The column. A period of months shows the month of its dates.
        values: Its values; texts are returned as they are.

    Raises:
        TypeError: No export has values of this type.
    """
    kind = values.type
    if is_decimal(kind):
        return change(_cast(values), "E", lambda text: f"{Decimal(text):f}")
    if pa.types.is_floating(kind):
        return replace(replace(_cast(values), "nan", "NaN"), "inf", "Infinity")
    if pa.types.is_date32(kind):
        return _dates(_cast(values), months=column.period == "month")
    if pa.types.is_timestamp(kind):
        return _times(values, kind)
    if (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    ):
        return _cast(values)
    raise TypeError(f"A {kind} is not a value of an export.")


def _cast(values: "pa.Array[Any]") -> Texts:
    return cast("Texts", values.cast(pa.string()))


def _dates(days: Texts, *, months: bool) -> Texts:
    if not months:
        return days
    options = pc.SliceOptions(start=0, stop=-len("-01"))
    return cast("Texts", kernel("utf8_slice_codeunits", days, options=options))


def _times(moments: "pa.Array[Any]", kind: "pa.TimestampType[Any, Any]") -> Texts:
    if kind.tz is None:
        return _clock_texts(moments)
    local = kernel("local_timestamp", moments)
    ahead = kernel("subtract", _whole(local), _whole(moments))
    different = kernel("unique", kernel("drop_null", ahead))
    units = cast("list[int]", different.to_pylist())
    offsets = pa.array([_offset(count // _A_SECOND[kind.unit]) for count in units], pa.string())
    clocks = _clock_texts(local)
    if len(offsets) == 1:
        return join(clocks, offsets[0].as_py())
    which = kernel("index_in", ahead, options=pc.SetLookupOptions(different))
    return join(clocks, offsets.take(which))


def _whole(moments: "pa.Array[Any]") -> "pa.Array[Any]":
    return moments.cast(pa.int64())


def _clock_texts(moments: "pa.Array[Any]") -> Texts:
    texts = _cast(moments)
    return with_bytes(texts, all_bytes(texts).replace(b" ", b"T"))


def _offset(seconds: int) -> str:
    """Return an offset as ISO 8601 writes it; with seconds only where local mean time has them."""
    minutes, rest = divmod(abs(seconds), _MINUTE)
    sign = "-" if seconds < 0 else "+"
    text = f"{sign}{minutes // _MINUTE:02}:{minutes % _MINUTE:02}"
    return f"{text}:{rest:02}" if rest else text

"""Columns as text: exact, and without a Python object for each value.

The rules are the same in every text format:

- An integer is its digits.
- A decimal is in plain notation with all its places, never with an exponent.
- A float has as few digits as read back as the same float: `0.1`, `12`. From 10^16 on, and below
  0.000001, it has an exponent: `1e+16`, `1e-07`. What is no number is `NaN`, `Infinity` or
  `-Infinity`.
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

from exports.formats.text_arrays import (
    Texts,
    all_bytes,
    change,
    is_text,
    join,
    replace,
    with_bytes,
)
from exports.tables.arrow import AnyArray, is_decimal, kernel
from exports.tables.columns import Column
from exports.tables.local_times import local_times

_A_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MINUTE: Final = 60
_ARROW_WRITES_EXPONENT: Final = 1e10
_EXACT_INTEGERS: Final = 2.0**53


def cell_texts(column: Column, values: AnyArray) -> Texts:
    """Return a column's values as text; null where there is no value.

    Args:
        column: The column. A period of months shows the month of its dates.
        values: Its values; texts are returned as they are.

    Raises:
        TypeError: No export has values of this type.
    """
    kind = values.type
    if is_decimal(kind):
        return _without_exponents(_cast(values))
    if pa.types.is_floating(kind):
        return _floats(values)
    if pa.types.is_date32(kind):
        return _dates(_cast(values), months=column.period == "month")
    if pa.types.is_timestamp(kind):
        return _times(values, kind)
    if (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or is_text(kind)
        or pa.types.is_null(kind)
    ):
        return _cast(values)
    raise TypeError(f"A {kind} is not a value of an export.")


def _cast(values: AnyArray) -> Texts:
    return cast("Texts", values.cast(pa.string()))


def _without_exponents(numbers: Texts) -> Texts:
    if b"E" not in all_bytes(numbers):
        return numbers
    return change(numbers, "E", lambda text: f"{Decimal(text):f}")


def _floats(values: AnyArray) -> Texts:
    texts = replace(replace(_cast(values), "nan", "NaN"), "inf", "Infinity")
    if b"e" not in all_bytes(texts):
        return texts
    # Arrow writes an exponent from 10^10 on, where milliseconds and other large integers are.
    kind: pa.DataType = values.type
    size = kernel("abs", values)
    is_large = kernel("greater_equal", size, pa.scalar(_ARROW_WRITES_EXPONENT, kind))
    is_exact = kernel("less_equal", size, pa.scalar(_EXACT_INTEGERS, kind))
    is_whole = kernel("equal", kernel("trunc", values), values)
    mask = kernel("and", kernel("and", is_large, is_exact), is_whole)
    integers = kernel("if_else", mask, values, pa.scalar(None, kind)).cast(pa.int64())
    texts = cast("Texts", kernel("coalesce", _cast(integers), texts))
    return change(texts, "e", lambda text: repr(float(text)).removesuffix(".0"))


def _dates(days: Texts, *, months: bool) -> Texts:
    if not months:
        return days
    options = pc.SliceOptions(start=0, stop=-len("-01"))
    return cast("Texts", kernel("utf8_slice_codeunits", days, options=options))


def _times(moments: AnyArray, kind: "pa.TimestampType[Any, Any]") -> Texts:
    if kind.tz is None:
        return _clock_texts(moments)
    local = local_times(moments)
    ahead = kernel("subtract", local.cast(pa.int64()), moments.cast(pa.int64()))
    different = kernel("unique", kernel("drop_null", ahead))
    units = cast("list[int]", different.to_pylist())
    offsets = pa.array([_offset(count // _A_SECOND[kind.unit]) for count in units], pa.string())
    if len(offsets) == 1:
        return join(_clock_texts(local), offsets[0].as_py())
    which = kernel("index_in", ahead, options=pc.SetLookupOptions(different))
    return join(_clock_texts(local), offsets.take(which))


def _clock_texts(moments: AnyArray) -> Texts:
    texts = _cast(moments)
    return with_bytes(texts, all_bytes(texts).replace(b" ", b"T"))


def _offset(seconds: int) -> str:
    """Return an offset as ISO 8601 writes it; with seconds only where local mean time has them."""
    minutes, rest = divmod(abs(seconds), _MINUTE)
    sign = "-" if seconds < 0 else "+"
    text = f"{sign}{minutes // _MINUTE:02}:{minutes % _MINUTE:02}"
    return f"{text}:{rest:02}" if rest else text

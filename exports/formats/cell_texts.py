"""Values of whole columns as text that holds them exactly.

The rules are the same in every text format:

- An integer: its digits.
- A decimal: plain notation with all decimal places, never with an exponent.
- A float: the fewest digits that read back as the same float: `0.1`, `12`. From 10^16 on, and
  below 0.000001, it has an exponent: `1e+16`, `1e-07`. The others are `NaN`, `Infinity` and
  `-Infinity`.
- A boolean: `true` or `false`.
- A date: ISO 8601, `2026-10-05`; a month, `2026-10`.
- A time: ISO 8601, with as many decimal places of the second as the column's unit has, and with
  the offset from UTC that the column's zone has at that time: `2026-10-31T23:04:05.120+08:00`. In
  a column without a zone it has no offset.
"""

from decimal import Decimal
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from exports.formats.text_arrays import (
    Texts,
    all_bytes,
    change,
    has_any,
    is_text,
    join,
    replace,
    with_bytes,
)
from exports.tables.arrow import AnyArray, is_decimal, kernel
from exports.tables.columns import Column
from exports.tables.local_times import local_times

_UNITS_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ARROW_EXPONENT_FROM: Final = 1e10
"""From here on, Arrow writes a float with an exponent."""
_MAX_EXACT_INTEGER: Final = 2.0**53
"""Up to here, a float holds every integer exactly."""


def cell_texts(column: Column, values: AnyArray) -> Texts:
    """Return a column's values as text; null where there is no value.

    Args:
        column: The column. If its period is a month, dates are written as months.
        values: Its values; texts are not changed.

    Raises:
        TypeError: Exports do not have values of this type.
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
    raise TypeError(f"A column of an export cannot hold a {kind}.")


def _cast(values: AnyArray) -> Texts:
    return cast("Texts", values.cast(pa.string()))


def _without_exponents(numbers: Texts) -> Texts:
    if not has_any(numbers, b"E"):
        return numbers
    return change(numbers, "E", lambda text: f"{Decimal(text):f}")


def _floats(values: AnyArray) -> Texts:
    texts = replace(replace(_cast(values), "nan", "NaN"), "inf", "Infinity")
    if not has_any(texts, b"e"):
        return texts
    # Epoch milliseconds and other large integers are to be written without an exponent.
    kind: pa.DataType = values.type
    size = kernel("abs", values)
    is_large = kernel("greater_equal", size, pa.scalar(_ARROW_EXPONENT_FROM, kind))
    is_exact = kernel("less_equal", size, pa.scalar(_MAX_EXACT_INTEGER, kind))
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


def _times(times: AnyArray, kind: "pa.TimestampType[Any, Any]") -> Texts:
    if kind.tz is None:
        return _iso_texts(times)
    local = local_times(times)
    ahead = kernel("subtract", local.cast(pa.int64()), times.cast(pa.int64()))
    unique = kernel("unique", kernel("drop_null", ahead))
    units = cast("list[int]", unique.to_pylist())
    offsets = pa.array(
        [_offset(count // _UNITS_PER_SECOND[kind.unit]) for count in units], pa.string()
    )
    if len(offsets) == 1:
        return join(_iso_texts(local), offsets[0].as_py())
    which = kernel("index_in", ahead, options=pc.SetLookupOptions(unique))
    return join(_iso_texts(local), offsets.take(which))


def _iso_texts(times: AnyArray) -> Texts:
    texts = _cast(times)
    return with_bytes(texts, all_bytes(texts).replace(b" ", b"T"))


def _offset(seconds: int) -> str:
    """Return an offset in ISO 8601; with seconds only for local mean time, which has them."""
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"
    return f"{text}:{rest:02}" if rest else text

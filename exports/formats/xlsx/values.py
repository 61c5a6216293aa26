"""Numbers, dates and times of whole Arrow columns, as the cells of an xlsx sheet hold them."""

from datetime import date
from typing import Final, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from exports.clock import EPOCH
from exports.formats.cell_texts import cell_texts
from exports.formats.text_arrays import Texts
from exports.formats.xlsx.cells import DAY_ZERO, FIRST_DAY, LARGEST, MAX_DIGITS, SMALLEST
from exports.tables.arrow import AnyArray, is_decimal, kernel
from exports.tables.columns import Column
from exports.tables.local_times import local_times

Mask: TypeAlias = "AnyArray | None"
"""Booleans, one for each value; None if all are false."""

_EPOCH: Final = EPOCH.date()
_EPOCH_SERIAL: Final = (_EPOCH - DAY_ZERO).days
"""Days from Excel's day zero to 1970."""
_FIRST_DAY: Final = (FIRST_DAY - _EPOCH).days
_LAST_DAY: Final = (date.max - _EPOCH).days
"""Days since 1970 of the first and the last date that Excel has a number for."""
_MAX_INT64: Final = 2**63 - 1  # as nanoseconds: in the year 2262
_UNITS_PER_DAY: Final = {
    unit: 86_400 * 1_000**power for power, unit in enumerate(("s", "ms", "us", "ns"))
}


def cell_numbers(column: Column, values: AnyArray) -> tuple[Texts, Mask]:
    """Return numbers, dates or times as cells hold them.

    A date is its number of days since 1899-12-30; a time is the local time in the column's zone,
    as such a number with a fraction.

    Args:
        column: The column.
        values: Its values: numbers, dates or times.

    Returns:
        The content of each cell, null where there is no value; and a mask of the values that are
        stored as text, because Excel has no number for them.

    Raises:
        TypeError: Exports do not have values of this type.
    """
    kind = values.type
    if pa.types.is_integer(kind) or is_decimal(kind):
        texts = as_text(values)
        as_text_mask = _too_exact(texts)
    elif pa.types.is_floating(kind):
        texts = as_text(values)
        as_text_mask = _beyond_range(values)
    elif pa.types.is_date32(kind):
        days = values.cast(pa.int32()).cast(pa.int64())
        texts = as_text(kernel("add", days, _EPOCH_SERIAL))
        as_text_mask = _beyond_calendar(days, 1)
    elif pa.types.is_timestamp(kind):
        units_per_day = _UNITS_PER_DAY[kind.unit]
        units = (local_times(values) if kind.tz else values).cast(pa.int64())
        texts = as_text(_serials(units, units_per_day))
        as_text_mask = _beyond_calendar(units, units_per_day)
    else:
        raise TypeError(f"A column of an export cannot hold a {kind}.")
    if as_text_mask is None or not pc.any(as_text_mask).as_py():
        return texts, None
    mask = kernel("coalesce", as_text_mask, pa.scalar(value=False))
    in_full = cell_texts(column, values.filter(mask))
    return cast("Texts", kernel("replace_with_mask", texts, mask, in_full)), as_text_mask


def as_text(values: AnyArray) -> Texts:
    """Return values as Arrow writes them as text; null stays null."""
    return cast("Texts", values.cast(pa.string()))


def choose(mask: AnyArray, chosen: str, other: str) -> Texts:
    """Return `chosen` where a mask is true, `other` where it is false, null where it is null."""
    return cast("Texts", kernel("if_else", mask, chosen, other))


def _too_exact(texts: Texts) -> Mask:
    """Return which numbers have more significant digits than Excel keeps."""
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= MAX_DIGITS:
        return None
    digits = kernel(
        "replace_substring_regex",
        texts,
        options=pc.ReplaceSubstringOptions(pattern="E.*|[-.]", replacement=""),
    )
    significant = kernel("ascii_trim", digits, options=pc.TrimOptions("0"))
    return kernel("greater", kernel("binary_length", significant), MAX_DIGITS)


def _beyond_range(values: AnyArray) -> AnyArray:
    size = kernel("abs", values)
    fits = kernel(
        "and", kernel("greater_equal", size, SMALLEST), kernel("less_equal", size, LARGEST)
    )
    return kernel("invert", kernel("or", fits, kernel("equal", size, 0.0)))


def _beyond_calendar(units: AnyArray, units_per_day: int) -> AnyArray:
    """Return which dates or times are before March 1900 or after the year 9999."""
    end = min((_LAST_DAY + 1) * units_per_day, _MAX_INT64)
    early = kernel("less", units, _FIRST_DAY * units_per_day)
    return kernel("or", early, kernel("greater_equal", units, end))


def _serials(units: AnyArray, units_per_day: int) -> AnyArray:
    """Return times as days. One division of integers, so that each is rounded only once."""
    since_day_zero = kernel("add", units, _EPOCH_SERIAL * units_per_day)
    doubles = kernel("cast", since_day_zero, options=pc.CastOptions.unsafe(pa.float64()))
    return kernel("divide", doubles, float(units_per_day))

"""Numbers, dates and times of whole Arrow columns, as the cells of an xlsx sheet hold them."""

from datetime import date
from typing import Any, Final, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from exports.formats.cell_texts import cell_texts
from exports.formats.text_arrays import Texts
from exports.formats.xlsx.cells import DAY_ZERO, FIRST_DAY, LARGEST, MOST_DIGITS, SMALLEST
from exports.tables.arrow import is_decimal, kernel
from exports.tables.columns import Column
from exports.tables.local_times import local_times

AnyArray: TypeAlias = "pa.Array[Any]"
Mask: TypeAlias = "pa.Array[Any] | None"

_EPOCH: Final = date(1970, 1, 1)
_EPOCH_SERIAL: Final = (_EPOCH - DAY_ZERO).days
_FIRST_DAY: Final = (FIRST_DAY - _EPOCH).days
_LAST_DAY: Final = (date.max - _EPOCH).days
_LARGEST_INT64: Final = 2**63 - 1  # nanoseconds end in 2262
_UNITS_A_DAY: Final = {
    unit: 86_400 * 1_000**power for power, unit in enumerate(("s", "ms", "us", "ns"))
}


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def shown(column: Column, values: AnyArray) -> tuple[Texts, Mask]:
    """Return numbers, dates or times as cells hold them.

    A date is its number of days since the end of 1899; a time is what the clock in the column's
    zone shows, as such a number with a fraction.

    Args:
        column: The column.
        values: Its values.

    Returns:
        What stands in the file for each value, and null where there is none; and a mask of those
        that no number can hold, so that they stand there as text, or None if there are none.

    Raises:
        TypeError: No column of an export has this type.
    """
    kind = values.type
    if pa.types.is_integer(kind) or is_decimal(kind):
        texts = text_of(values)
        odd = _too_exact(texts)
    elif pa.types.is_floating(kind):
        texts = text_of(values)
        odd = _beyond_range(values)
    elif pa.types.is_date32(kind):
        days = values.cast(pa.int32()).cast(pa.int64())
        texts = text_of(kernel("add", days, _EPOCH_SERIAL))
        odd = _beyond_calendar(days, 1)
    elif pa.types.is_timestamp(kind):
        units_a_day = _UNITS_A_DAY[kind.unit]
        units = (local_times(values) if kind.tz else values).cast(pa.int64())
        texts = text_of(_serials(units, units_a_day))
        odd = _beyond_calendar(units, units_a_day)
    else:
        raise TypeError(f"A {kind} is not a value of an export.")
    if odd is None or not pc.any(odd).as_py():
        return texts, None
    mask = kernel("coalesce", odd, pa.scalar(value=False))
    in_full = cell_texts(column, values.filter(mask))
    return cast("Texts", kernel("replace_with_mask", texts, mask, in_full)), odd


def text_of(values: AnyArray) -> Texts:
    """Return values as the text that Arrow has for them; null stays null."""
    return cast("Texts", values.cast(pa.string()))


def where(mask: AnyArray, chosen: str, other: str) -> Texts:
    """Return `chosen` where a mask is true and `other` where it is not; null where it is null."""
    return cast("Texts", kernel("if_else", mask, chosen, other))


def _too_exact(texts: Texts) -> Mask:
    """Return which numbers have more digits that count than Excel keeps."""
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= MOST_DIGITS:
        return None
    digits = kernel(
        "replace_substring_regex",
        texts,
        options=pc.ReplaceSubstringOptions(pattern="E.*|[-.]", replacement=""),
    )
    counting = kernel("ascii_trim", digits, options=pc.TrimOptions("0"))
    return kernel("greater", kernel("binary_length", counting), MOST_DIGITS)


def _beyond_range(values: AnyArray) -> AnyArray:
    size = kernel("abs", values)
    fits = kernel(
        "and", kernel("greater_equal", size, SMALLEST), kernel("less_equal", size, LARGEST)
    )
    return kernel("invert", kernel("or", fits, kernel("equal", size, 0.0)))


def _beyond_calendar(units: AnyArray, units_a_day: int) -> AnyArray:
    """Return which dates or times are not between March 1900 and the year 9999."""
    end = min((_LAST_DAY + 1) * units_a_day, _LARGEST_INT64)
    early = kernel("less", units, _FIRST_DAY * units_a_day)
    return kernel("or", early, kernel("greater_equal", units, end))


def _serials(units: AnyArray, units_a_day: int) -> AnyArray:
    """Return times as days: one division of whole numbers, so that they are rounded once."""
    since = kernel("add", units, _EPOCH_SERIAL * units_a_day)
    doubles = kernel("cast", since, options=pc.CastOptions.unsafe(pa.float64()))
    return kernel("divide", doubles, float(units_a_day))

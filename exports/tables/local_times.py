"""Local times of a time zone, for whole Arrow columns."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

import pyarrow as pa

from exports.clock import EPOCH
from exports.tables.arrow import AnyArray, dictionary_of, kernel

_FIRST: Final = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
_CACHED_SPANS: Final = 1 << 16


class _Unit(NamedTuple):
    """A unit in which a column counts time.

    Attributes:
        per_second: Units in a second.
        span_bits: A span is 2 to the power of this many units, which is 18 to 20 hours.
    """

    per_second: int
    span_bits: int


_UNITS: Final = {
    "s": _Unit(1, 16),
    "ms": _Unit(10**3, 26),
    "us": _Unit(10**6, 36),
    "ns": _Unit(10**9, 46),
}


def local_times(instants: AnyArray) -> AnyArray:
    """Return instants as local times of their column's time zone, without a zone.

    Arrow's own `local_timestamp` applies the clock changes that the zone's file lists, but not the
    rule for later years: with Debian's files, those after 2037. So the offsets come from Python.
    If a clock has the same offset at both ends of a span of less than a day, it has that offset
    for the whole span: no clock changes twice in that time and returns to where it was.

    Args:
        instants: A timestamp column with an IANA time zone. Before the year 1 and after 9999, the
            zone's first and last offset is used.
    """
    kind = cast("pa.TimestampType[Any, Any]", instants.type)
    unit = _UNITS[kind.unit]
    counts = instants.cast(pa.int64())
    spans, span_of_row = dictionary_of(
        kernel("dictionary_encode", kernel("shift_right", counts, unit.span_bits))
    )
    offsets: AnyArray = pa.array(
        [
            _offset_of_span(str(kind.tz), unit, span)
            for span in cast("list[int]", spans.to_pylist())
        ],
        pa.int64(),
    ).take(span_of_row)
    if offsets.null_count > counts.null_count:
        changing = kernel("and", kernel("is_null", offsets), kernel("is_valid", counts))
        one_by_one = [
            _offset(str(kind.tz), unit, count)
            for count in cast("list[int]", kernel("filter", counts, changing).to_pylist())
        ]
        offsets = kernel("replace_with_mask", offsets, changing, pa.array(one_by_one, pa.int64()))
    return kernel("add", counts, offsets).cast(pa.timestamp(kind.unit))


@lru_cache(maxsize=_CACHED_SPANS)
def _offset_of_span(zone: str, unit: _Unit, span: int) -> int | None:
    """Return the offset from UTC during a span, in units; None if it changes."""
    first = _offset(zone, unit, span << unit.span_bits)
    last = _offset(zone, unit, ((span + 1) << unit.span_bits) - 1)
    return first if first == last else None


def _offset(zone: str, unit: _Unit, count: int) -> int:
    try:
        instant = EPOCH + timedelta(seconds=count // unit.per_second)
    except OverflowError:
        instant = _LAST if count > 0 else _FIRST
    in_range = min(max(instant, _FIRST), _LAST)
    offset = in_range.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    return offset // timedelta(seconds=1) * unit.per_second

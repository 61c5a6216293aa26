"""What the clock in a column's time zone shows, for whole Arrow columns."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

import pyarrow as pa

from exports.clock import EPOCH
from exports.tables.arrow import AnyArray, dictionary_of, kernel

_FIRST: Final = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
_SPANS_KEPT: Final = 1 << 16


class _Unit(NamedTuple):
    """How a column counts time.

    Attributes:
        a_second: Units in a second.
        span_bits: So many bits of a moment are the place within its span of 18 to 19 hours.
    """

    a_second: int
    span_bits: int


_UNITS: Final = {
    "s": _Unit(1, 16),
    "ms": _Unit(10**3, 26),
    "us": _Unit(10**6, 36),
    "ns": _Unit(10**9, 46),
}


def local_times(moments: AnyArray) -> AnyArray:
    """Return moments as times without a zone, as the clock in their column's zone shows them.

    Arrow's own `local_timestamp` knows the changes of a zone's clock that its file lists, and not
    the rule for the years after them: with Debian's files those after 2037. So the offsets are
    Python's. One is enough for all moments between two at which the clock is equally far ahead of
    UTC, 19 hours apart at most: no clock changes twice in that time and ends where it was.

    Args:
        moments: Of a type with an IANA time zone. Before the year 1 and after 9999 the zone's
            first and last offset is taken.
    """
    kind = cast("pa.TimestampType[Any, Any]", moments.type)
    unit = _UNITS[kind.unit]
    counts = moments.cast(pa.int64())
    spans, which = dictionary_of(
        kernel("dictionary_encode", kernel("shift_right", counts, unit.span_bits))
    )
    ahead: AnyArray = pa.array(
        [
            _ahead_throughout(str(kind.tz), unit, span)
            for span in cast("list[int]", spans.to_pylist())
        ],
        pa.int64(),
    ).take(which)
    if ahead.null_count > counts.null_count:
        changing = kernel("and", kernel("is_null", ahead), kernel("is_valid", counts))
        each = cast("list[int]", kernel("filter", counts, changing).to_pylist())
        offsets = pa.array([_ahead(str(kind.tz), unit, count) for count in each], pa.int64())
        ahead = kernel("replace_with_mask", ahead, changing, offsets)
    return kernel("add", counts, ahead).cast(pa.timestamp(kind.unit))


@lru_cache(maxsize=_SPANS_KEPT)
def _ahead_throughout(zone: str, unit: _Unit, span: int) -> int | None:
    """Return how many units the clock is ahead of UTC during a span; None if that changes."""
    first = _ahead(zone, unit, span << unit.span_bits)
    last = _ahead(zone, unit, ((span + 1) << unit.span_bits) - 1)
    return first if first == last else None


def _ahead(zone: str, unit: _Unit, count: int) -> int:
    try:
        moment = EPOCH + timedelta(seconds=count // unit.a_second)
    except OverflowError:
        moment = _LAST if count > 0 else _FIRST
    within = min(max(moment, _FIRST), _LAST)
    offset = within.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    return offset // timedelta(seconds=1) * unit.a_second

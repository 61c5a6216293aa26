"""Days and months as half-open intervals of time in a time zone.

A day starts when the local clock passes to its date for good. That is midnight on nearly every
day. Where a clock goes forward over midnight (America/Sao_Paulo 2018-11-04), it is the first
instant after the gap. Where a clock goes back over midnight (America/St_Johns 2010-11-07, at one
minute past), it is the second midnight. A date that a zone skipped (Pacific/Apia 2011-12-30) is
not a day there.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

MIN_YEAR: Final = 1970
# The last year of `datetime` is 9999, and the end of a year is the start of the next one.
MAX_YEAR: Final = 9998

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """A day or a month.

    Attributes:
        label: The day, or the first day of the month.
        start: First instant, in epoch milliseconds.
        end: First instant after, in epoch milliseconds.
    """

    label: date
    start: int
    end: int


def month(year: int, number: int, zone: ZoneInfo) -> Period:
    """Return a month; `number` is 1 to 12 and `year` is `MIN_YEAR` to `MAX_YEAR`."""
    first = date(year, number, 1)
    return Period(first, start_of_day(first, zone), start_of_day(_next_month(first), zone))


def months(year: int, zone: ZoneInfo) -> list[Period]:
    """Return the twelve months of a year, in order."""
    return [month(year, number, zone) for number in range(1, 13)]


def days(year: int, number: int, zone: ZoneInfo) -> list[Period]:
    """Return the days of a month, in order, without those that the zone skipped."""
    first = date(year, number, 1)
    count = (_next_month(first) - first).days
    dates = [first + index * _DAY for index in range(count)]
    periods = (
        Period(day, start_of_day(day, zone), start_of_day(day + _DAY, zone)) for day in dates
    )
    return [period for period in periods if period.start < period.end]


def start_of_day(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a day, in epoch milliseconds."""
    return 1000 * _start(day, zone)


def month_key(label: date) -> str:
    """Return the name of a month: `2026-10`."""
    return f"{label.year:04}-{label.month:02}"


def month_of_key(key: str) -> date:
    """Return the first day of the month that `month_key` named."""
    return date.fromisoformat(f"{key}-01")


def _next_month(first: date) -> date:
    return (first + 31 * _DAY).replace(day=1)


def _start(day: date, zone: ZoneInfo) -> int:
    # PEP 495: the two folds of a local time differ only where a clock was changed. The first is
    # the earlier instant where the time is shown twice, and the later one where it is skipped.
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    first, second = (int(midnight.replace(fold=fold).timestamp()) for fold in (0, 1))
    if first < second:
        return second if _local(second - 1, zone).date() < day else first
    if first > second:
        return _first_instant_of(day, zone, after=second - 1, until=first)
    return first


def _first_instant_of(day: date, zone: ZoneInfo, *, after: int, until: int) -> int:
    # The one change of the clock lies between the two, so the dates before and after it ascend.
    while until - after > 1:
        middle = (after + until) // 2
        if _local(middle, zone).date() < day:
            after = middle
        else:
            until = middle
    return until


def _local(seconds: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone)

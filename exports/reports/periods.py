"""Days and months as half-open intervals of time in a time zone.

A day starts when the local clock changes to its date and does not go back to the day before. On
nearly every day that is midnight. Where a clock goes forward over midnight (America/Sao_Paulo
2018-11-04), it is the first instant after the gap. Where a clock goes back over midnight
(America/St_Johns 2010-11-07, at one minute past), it is the second midnight. A date that a zone
skipped (Pacific/Apia 2011-12-30) is not a day there.
"""

from bisect import bisect_left
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exports.clock import epoch_ms, from_epoch_ms

MIN_YEAR: Final = 1970
"""The first year of reports."""
MAX_YEAR: Final = 9998
"""The last year of reports. That of `datetime` is 9999, and a year ends where the next one starts.
"""


class Period(NamedTuple):
    """A day or a month.

    Attributes:
        label: The day, or the first day of the month.
        start: Its first instant, in epoch milliseconds.
        end: The first instant after it, in epoch milliseconds.
    """

    label: date
    start: int
    end: int


def month(year: int, number: int, zone: ZoneInfo) -> Period:
    """Return a month; `number` is 1 to 12 and `year` is `MIN_YEAR` to `MAX_YEAR`."""
    first, end = _bounds(year, number)
    return Period(first, start_of_day(first, zone), start_of_day(end, zone))


def months(year: int, zone: ZoneInfo) -> list[Period]:
    """Return the twelve months of a year, in order."""
    return [month(year, number, zone) for number in range(1, 13)]


def days(year: int, number: int, zone: ZoneInfo) -> list[Period]:
    """Return the days of a month, in order, without those that the zone skipped."""
    first, end = _bounds(year, number)
    dates = [first + timedelta(days=index) for index in range((end - first).days + 1)]
    starts = [(day, start_of_day(day, zone)) for day in dates]
    return [
        Period(day, start, following)
        for (day, start), (_, following) in pairwise(starts)
        if start < following
    ]


def start_of_day(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a day, in epoch milliseconds."""
    # PEP 495: the two folds of a local time differ only where a clock was changed. The first is
    # the earlier instant where the time is shown twice, and the later one where it is skipped.
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    first, second = (epoch_ms(midnight.replace(fold=fold)) for fold in (0, 1))
    if first < second:
        return second if _date(second - 1, zone) < day else first
    # The one change of the clock, if any, lies between the two, so the dates there ascend.
    return second + bisect_left(range(second, first), day, key=lambda at: _date(at, zone))


def month_key(label: date) -> str:
    """Return the name of a month: `2026-10`."""
    return f"{label:%Y-%m}"


def month_of_key(key: str) -> date:
    """Return the first day of the month that `month_key` named."""
    return date.fromisoformat(f"{key}-01")


def _bounds(year: int, number: int) -> tuple[date, date]:
    """The first day of a month and that of the next one."""
    return date(year, number, 1), date(year + number // 12, number % 12 + 1, 1)


def _date(instant: int, zone: ZoneInfo) -> date:
    return from_epoch_ms(instant).astimezone(zone).date()

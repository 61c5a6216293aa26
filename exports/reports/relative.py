"""Periods that are relative to a moment: `previous month`, `last 7 days`. They are whole days."""

import re
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exports.clock import from_epoch_ms
from exports.errors import ParamsError
from exports.reports.periods import start_of_day

MOST_DAYS: Final = 366
"""The N of `last N days` at most."""
_FORM: Final = re.compile(r"previous (?P<span>year|month|week|day)|last (?P<days>[0-9]{1,3}) days")
_ONE_DAY: Final = timedelta(days=1)


class Span(StrEnum):
    """The kinds of relative periods, by what people write."""

    YEAR = "previous year"
    MONTH = "previous month"
    WEEK = "previous week"
    DAY = "previous day"
    DAYS = "last N days"


class RelativePeriod(NamedTuple):
    """A period of whole days that ends before a day.

    Attributes:
        span: Its kind.
        days: The N of `last N days`.
    """

    span: Span
    days: int = 1

    @classmethod
    def parse(cls, text: str) -> "RelativePeriod":
        """Read what people write.

        Raises:
            ParamsError: It is no such period.
        """
        found = _FORM.fullmatch(text)
        if found is not None and found["span"]:
            return cls(Span(text))
        if found is not None and 1 <= int(found["days"]) <= MOST_DAYS:
            return cls(Span.DAYS, int(found["days"]))
        raise ParamsError(
            f"A period must be one of: {', '.join(Span)}, with N from 1 to {MOST_DAYS}.",
            fields={"period": "is not known"},
        )

    def before(self, moment: int, zone: ZoneInfo) -> tuple[date, date]:
        """Return the first day of the period, and the day after its last one.

        Args:
            moment: The moment that it is relative to (epoch milliseconds).
            zone: The time zone of the days. A date that it skipped is not a day: see
                `exports.reports.periods`.
        """
        today = _day_of(moment, zone)
        if self.span is Span.YEAR:
            return date(today.year - 1, 1, 1), date(today.year, 1, 1)
        if self.span is Span.MONTH:
            end = today.replace(day=1)
            return (end - _ONE_DAY).replace(day=1), end
        if self.span is Span.WEEK:  # of ISO 8601: from Monday
            monday = today - timedelta(days=today.weekday())
            return monday - timedelta(days=7), monday
        first = today
        for _ in range(self.days):
            first = _day_of(start_of_day(first, zone) - 1, zone)
        return first, today


def _day_of(moment: int, zone: ZoneInfo) -> date:
    """Return the day that has begun at a moment."""
    shown = from_epoch_ms(moment).astimezone(zone).date()
    # After midnight, a clock may go back to the day before. The new day begins after that.
    return shown if start_of_day(shown, zone) <= moment else shown - _ONE_DAY

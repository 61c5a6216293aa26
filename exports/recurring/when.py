"""When a recurring export is due: on certain days at a time, or as a cron expression says."""

import re
from calendar import day_name, month_name, monthrange
from dataclasses import replace
from typing import Final, Self

from pydantic import Field
from temporalio.client import ScheduleCalendarSpec, ScheduleRange, ScheduleSpec

from exports.clock import time_zones
from exports.errors import RequestError
from exports.models import WireModel

EVERY_DAY: Final = "day"
_DEFAULT_TIME: Final = "08:00"
_WEEKDAYS: Final = [name.lower() for name in day_name]
_MONTHS: Final = [name.lower() for name in month_name]
_DAY: Final = re.compile(r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)(?: (?P<month>[a-z]+))?")
_TIME: Final = re.compile(r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])")
# The minute is one number, so that there is at most one export an hour.
_CRON: Final = re.compile(r"[0-9]{1,2}( [0-9A-Za-z*/,-]{1,40}){4}")
_NUMBER: Final = re.compile(r"(?<![/0-9])[0-9]+")  # not how many are left out: `/2`
_CRON_FIELDS: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
_COMMON_YEAR: Final = 2026
_EVERY_MONTHS_DAYS: Final = 28


class When(WireModel):
    """When a recurring export is due.

    Attributes:
        on: On which days: `day`, `monday`, `1st`, `1st january`. None if `cron` says it.
        at: At which time of these days: `08:00`.
        cron: A cron expression with five fields, whose minute is one number.
        timezone: The time zone of both.
    """

    on: str | None = Field(default=None, description="`day`, `monday`, `1st`, `1st january`.")
    at: str | None = Field(default=None, description="A time of day. Default: `08:00`.")
    cron: str | None = Field(default=None, description="Instead of both: `0 8 1 * *`.")
    timezone: str

    @classmethod
    def checked(cls, *, on: str | None, at: str | None, cron: str | None, timezone: str) -> Self:
        """Return it in normal form.

        Raises:
            RequestError: It is not valid; the message says what would be.
        """
        if timezone not in time_zones():
            raise _wrong("timezone", "The time zone must be a name such as Asia/Shanghai.")
        if (cron is None) == (on is None):
            raise _wrong("on", "Say when in one of two ways: on (with at), or cron.")
        if cron is not None:
            if at is not None:
                raise _wrong("at", "A cron expression says the time of day; leave out at.")
            if not _CRON.fullmatch(cron):
                raise _wrong(
                    "cron",
                    "A cron expression must have five fields, the first of them one minute, such "
                    "as 0 8 1 * *: at most once an hour.",
                )
            for part, (what, low, high) in zip(cron.split(), _CRON_FIELDS, strict=True):
                if any(not low <= int(number) <= high for number in _NUMBER.findall(part)):
                    raise _wrong("cron", f"The {what} of a cron expression is {low} to {high}.")
            return cls(cron=cron, timezone=timezone)
        found = cls(on=(on or "").lower(), at=at or _DEFAULT_TIME, timezone=timezone)
        if not _TIME.fullmatch(found.at or ""):
            raise _wrong("at", "The time must be from 00:00 to 23:59, such as 08:00.")
        found._days()
        return found

    def spec(self) -> ScheduleSpec:
        """Return the same for Temporal."""
        if self.cron is not None:
            return ScheduleSpec(cron_expressions=[self.cron], time_zone_name=self.timezone)
        hour, minute = (int(part) for part in (self.at or _DEFAULT_TIME).split(":"))
        calendar = replace(self._days(), hour=[ScheduleRange(hour)], minute=[ScheduleRange(minute)])
        return ScheduleSpec(calendars=[calendar], time_zone_name=self.timezone)

    def __str__(self) -> str:
        """Return it for people: `1st 08:00 Asia/Shanghai`."""
        return " ".join(filter(None, (self.cron, self.on, self.at, self.timezone)))

    def _days(self) -> ScheduleCalendarSpec:
        on = self.on or ""
        if on == EVERY_DAY:
            return ScheduleCalendarSpec()
        if on in _WEEKDAYS:  # to Temporal, Sunday is 0
            number = (_WEEKDAYS.index(on) + 1) % 7
            return ScheduleCalendarSpec(day_of_week=[ScheduleRange(number)])
        found = _DAY.fullmatch(on)
        if found is None or (found["month"] and found["month"] not in _MONTHS):
            raise _wrong("on", "The days must be: day, monday to sunday, 1st, or 1st january.")
        day, most = int(found["day"]), _EVERY_MONTHS_DAYS
        month = _MONTHS.index(found["month"]) if found["month"] else None
        if month is not None:
            most = monthrange(_COMMON_YEAR, month)[1]
        if not 1 <= day <= most:
            last = _ordinal(most)
            raise _wrong("on", f"The day must be from 1st to {last}: every such month has it.")
        if not on.startswith(_ordinal(day)):
            raise _wrong("on", f"The day must be written {_ordinal(day)}.")
        found_days = ScheduleCalendarSpec(day_of_month=[ScheduleRange(day)])
        return found_days if month is None else replace(found_days, month=[ScheduleRange(month)])


def _ordinal(day: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{'th' if day in range(11, 14) else ends.get(day % 10, 'th')}"


def _wrong(field: str, message: str) -> RequestError:
    return RequestError(message, fields={field: message})

"""Days and months are those of the local clock, however it is changed."""

from datetime import date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exports.clock import from_epoch_ms, time_zones
from exports.reports.periods import (
    MAX_YEAR,
    MIN_YEAR,
    Period,
    days,
    month,
    month_key,
    month_of_key,
    months,
    start_of_day,
)

APIA = ZoneInfo("Pacific/Apia")
ZONES = sorted(time_zones())

zones = st.sampled_from(ZONES).map(ZoneInfo)
years = st.integers(MIN_YEAR, 2037) | st.integers(MIN_YEAR, MAX_YEAR)
month_numbers = st.integers(1, 12)


def _local(milliseconds: int, zone: ZoneInfo) -> datetime:
    return from_epoch_ms(milliseconds).astimezone(zone)


def _is_shown_twice(moment: datetime) -> bool:
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()


def _day(day: date, zone: str) -> Period:
    (found,) = [item for item in days(day.year, day.month, ZoneInfo(zone)) if item.label == day]
    return found


def _utc(milliseconds: int) -> str:
    return _local(milliseconds, ZoneInfo("UTC")).isoformat()


def _hours(period: Period) -> float:
    return (period.end - period.start) / 3_600_000


@given(years, month_numbers, zones)
@example(2018, 11, ZoneInfo("America/Sao_Paulo"))
@example(2011, 12, ZoneInfo("Pacific/Apia"))
@example(2010, 11, ZoneInfo("America/St_Johns"))
@example(2009, 11, ZoneInfo("America/St_Johns"))
def test_the_days_of_a_month_follow_one_another_and_fill_it(
    year: int, number: int, zone: ZoneInfo
) -> None:
    whole = month(year, number, zone)
    parts = days(year, number, zone)

    assert parts[0].start == whole.start
    assert parts[-1].end == whole.end
    assert all(part.start < part.end for part in parts)
    assert all(before.end == after.start for before, after in pairwise(parts))


@pytest.mark.parametrize(
    ("number", "zone", "start", "end"),
    [
        (1, "UTC", "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"),
        (3, "Europe/Berlin", "2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00"),
        (10, "Asia/Shanghai", "2026-09-30T16:00:00+00:00", "2026-10-31T16:00:00+00:00"),
        (12, "America/New_York", "2026-12-01T05:00:00+00:00", "2027-01-01T05:00:00+00:00"),
    ],
)
def test_a_month_starts_on_its_first_day_and_ends_where_the_next_one_starts(
    number: int, zone: str, start: str, end: str
) -> None:
    period = month(2026, number, ZoneInfo(zone))

    assert period.label == date(2026, number, 1)
    assert (_utc(period.start), _utc(period.end)) == (start, end)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
def test_reports_are_of_the_years_1970_to_9998(zone: str) -> None:
    assert (MIN_YEAR, MAX_YEAR) == (1970, 9998)
    assert len(months(MIN_YEAR, ZoneInfo(zone))) == 12
    assert len(months(MAX_YEAR, ZoneInfo(zone))) == 12


@given(years, zones)
def test_the_months_of_a_year_follow_one_another_and_fill_it(year: int, zone: ZoneInfo) -> None:
    parts = months(year, zone)

    assert [part.label for part in parts] == [date(year, number, 1) for number in range(1, 13)]
    assert all(before.end == after.start for before, after in pairwise(parts))
    if year < MAX_YEAR:
        assert parts[-1].end == months(year + 1, zone)[0].start


@given(years, month_numbers, zones, st.floats(0, 1, exclude_max=True))
@example(2018, 11, ZoneInfo("America/Sao_Paulo"), 0.0)
@example(2010, 11, ZoneInfo("America/St_Johns"), 0.2)
@example(2020, 11, ZoneInfo("America/Havana"), 0.0)
def test_every_instant_belongs_to_the_day_that_the_clock_shows(
    year: int, number: int, zone: ZoneInfo, fraction: float
) -> None:
    whole = month(year, number, zone)
    instant = whole.start + int((whole.end - whole.start) * fraction)
    (day,) = [part for part in days(year, number, zone) if part.start <= instant < part.end]
    shown = _local(instant, zone)

    # A clock that goes back over midnight shows the next date before this one has ended.
    assert shown.date() == day.label or (shown.date() > day.label and _is_shown_twice(shown))


@given(years, month_numbers, zones)
def test_the_clock_shows_the_date_of_a_day_at_its_start_and_a_later_one_at_its_end(
    year: int, number: int, zone: ZoneInfo
) -> None:
    for day in days(year, number, zone):
        assert _local(day.start, zone).date() == day.label
        assert _local(day.end, zone).date() > day.label


@pytest.mark.parametrize(
    ("day", "zone", "start", "hours"),
    [
        # The clock went from 23:59:59 to 01:00.
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00:00+00:00", 23),
        (date(2023, 4, 28), "Africa/Cairo", "2023-04-27T22:00:00+00:00", 23),
        (date(2022, 3, 27), "Asia/Beirut", "2022-03-26T22:00:00+00:00", 23),
        # The clock went from 24:00 back to 23:00.
        (date(2023, 10, 26), "Africa/Cairo", "2023-10-25T21:00:00+00:00", 25),
        (date(2018, 2, 17), "America/Sao_Paulo", "2018-02-17T02:00:00+00:00", 25),
        # The clock went from 01:00 back to 00:00: midnight came twice on one date.
        (date(2020, 11, 1), "America/Havana", "2020-11-01T04:00:00+00:00", 25),
        # The clock went from 00:01 back to 23:01 of the day before.
        (date(2010, 11, 6), "America/St_Johns", "2010-11-06T02:30:00+00:00", 25),
        (date(2010, 11, 7), "America/St_Johns", "2010-11-07T03:30:00+00:00", 24),
        (date(2026, 3, 8), "America/New_York", "2026-03-08T05:00:00+00:00", 23),
        (date(2026, 11, 1), "America/New_York", "2026-11-01T04:00:00+00:00", 25),
        (date(2024, 2, 29), "Asia/Shanghai", "2024-02-28T16:00:00+00:00", 24),
        (date(2025, 10, 5), "Australia/Lord_Howe", "2025-10-04T13:30:00+00:00", 23.5),
    ],
)
def test_a_day_on_which_the_clocks_change_starts_and_lasts_as_people_there_saw_it(
    day: date, zone: str, start: str, hours: float
) -> None:
    period = _day(day, zone)

    assert _utc(period.start) == start
    assert _hours(period) == hours


def test_a_day_that_began_inside_of_a_gap_starts_after_the_gap() -> None:
    # The clock went from 23:30 to 00:30. No zone has done so since 1970, but one may.
    start = start_of_day(date(1919, 3, 31), ZoneInfo("America/Toronto"))

    assert _utc(start) == "1919-03-31T04:30:00+00:00"


def test_a_date_that_was_skipped_is_not_a_day() -> None:
    labels = [day.label.day for day in days(2011, 12, APIA)]

    assert labels == [*range(1, 30), 31]
    assert start_of_day(date(2011, 12, 30), APIA) == start_of_day(date(2011, 12, 31), APIA)


@pytest.mark.parametrize(("year", "count"), [(2023, 28), (2024, 29), (2100, 28), (2000, 29)])
def test_a_february_has_its_leap_day_when_there_is_one(year: int, count: int) -> None:
    assert len(days(year, 2, ZoneInfo("Asia/Shanghai"))) == count


def test_the_name_of_a_month_leads_back_to_it() -> None:
    assert month_key(date(2026, 1, 1)) == "2026-01"
    assert month_of_key("2026-01") == date(2026, 1, 1)

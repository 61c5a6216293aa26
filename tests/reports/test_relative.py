"""The period of a recurring export is the one that a calendar on the wall of its zone shows."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exports.clock import epoch_ms, time_zones
from exports.errors import ParamsError
from exports.reports.file import load_reports
from exports.reports.relative import RelativePeriod
from tests.support.paths import REPORTS
from tests.support.protections import protected_by

ZONES = sorted(time_zones())
STEP = timedelta(minutes=5)

zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.datetimes(datetime(1971, 2, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone


def _at(text: str, zone: str) -> int:
    return epoch_ms(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def _before(period: str, moment: int, zone: str) -> tuple[str, str]:
    first, end = RelativePeriod.parse(period).before(moment, ZoneInfo(zone))
    return first.isoformat(), end.isoformat()


def _days_back(moment: datetime, zone: ZoneInfo) -> Iterator[date]:
    """Yield the day of a moment and the days before, by looking at the clock every 5 minutes.

    A day that the clock goes back to has not ended yet: looking back from later on, the earliest
    date that is still to be shown counts.
    """
    later = range(36, -4 * 288, -1)
    shown = ((moment + step * STEP).astimezone(zone).date() for step in later)
    steps = zip(later, accumulate(shown, min), strict=True)
    seen = [day for step, day in steps if step <= 0]
    yield seen[0]
    for after, day in pairwise(seen):
        if day != after:
            yield day


@given(moments, zones, st.integers(1, 3))
@example(datetime(2011, 12, 30, 20, tzinfo=UTC), ZoneInfo("Pacific/Apia"), 2)
@example(datetime(2010, 11, 7, 2, 30, 30, tzinfo=UTC), ZoneInfo("America/St_Johns"), 1)
@example(datetime(2018, 11, 4, 3, tzinfo=UTC), ZoneInfo("America/Sao_Paulo"), 1)
def test_the_last_days_are_those_that_the_clock_has_shown(
    moment: datetime, zone: ZoneInfo, number: int
) -> None:
    today, *before = list(_days_back(moment, zone))[: number + 1]
    found = RelativePeriod.parse(f"last {number} days").before(epoch_ms(moment), zone)
    assert found == (before[-1], today)
    if number == 1:
        assert RelativePeriod.parse("previous day").before(epoch_ms(moment), zone) == found


@given(moments, zones)
@example(datetime(2024, 3, 1, tzinfo=UTC), ZoneInfo("UTC"))
@example(datetime(2021, 1, 3, 12, tzinfo=UTC), ZoneInfo("UTC"))
@example(datetime(2027, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
def test_the_week_the_month_and_the_year_before_are_whole_and_have_just_ended(
    moment: datetime, zone: ZoneInfo
) -> None:
    today = next(_days_back(moment, zone))
    year, week, _ = today.isocalendar()
    monday = date.fromisocalendar(year, week, 1)
    months = today.year * 12 + today.month - 1
    of_month = [date(number // 12, number % 12 + 1, 1) for number in (months - 1, months)]
    expected = {
        "previous week": (monday - timedelta(weeks=1), monday),
        "previous month": (of_month[0], of_month[1]),
        "previous year": (date(today.year - 1, 1, 1), date(today.year, 1, 1)),
    }
    for text, days in expected.items():
        assert RelativePeriod.parse(text).before(epoch_ms(moment), zone) == days


@protected_by(
    "exports/reports/relative.py",
    "shown if start_of_day(shown, zone) <= moment else shown - _ONE_DAY",
    instead="shown",
)
@pytest.mark.parametrize(
    ("period", "at", "zone", "days"),
    [
        ("previous month", "2024-03-01T08:00", "UTC", ("2024-02-01", "2024-03-01")),
        # A month late, and a minute early.
        ("previous month", "2026-11-30T23:59", "Asia/Shanghai", ("2026-10-01", "2026-11-01")),
        ("previous month", "2026-10-31T23:59", "Asia/Shanghai", ("2026-09-01", "2026-10-01")),
        ("previous day", "2024-03-01T00:00", "UTC", ("2024-02-29", "2024-03-01")),
        ("previous day", "2027-03-28T08:00", "Europe/Berlin", ("2027-03-27", "2027-03-28")),
        ("previous week", "2027-01-03T08:00", "UTC", ("2026-12-21", "2026-12-28")),
        ("previous week", "2027-01-04T00:00", "UTC", ("2026-12-28", "2027-01-04")),
        ("last 7 days", "2026-03-03T08:00", "UTC", ("2026-02-24", "2026-03-03")),
        ("last 366 days", "2024-12-31T08:00", "UTC", ("2023-12-31", "2024-12-31")),
        # 30 December 2011 was no day there.
        ("previous day", "2011-12-31T08:00", "Pacific/Apia", ("2011-12-29", "2011-12-31")),
        ("last 2 days", "2012-01-01T08:00", "Pacific/Apia", ("2011-12-29", "2012-01-01")),
        # It was 7 November for a minute, then the 6th once more.
        ("previous day", "2010-11-07T00:00:30", "America/St_Johns", ("2010-11-05", "2010-11-06")),
    ],
)
def test_the_days_of_a_period(period: str, at: str, zone: str, days: tuple[str, str]) -> None:
    assert _before(period, _at(at, zone), zone) == days


@pytest.mark.parametrize(
    "text",
    ["", "month", "previous months", "Previous month", "last 0 days", "last 367 days", "last days"],
)
def test_another_period_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ParamsError, match=r"previous year, previous month, .* N from 1 to 366"):
        RelativePeriod.parse(text)


AT = _at("2026-11-01T08:00", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("report", "period", "params"),
    [
        ("statsMonthly", "previous month", {"year": 2026, "month": 10}),
        ("statsAnnual", "previous year", {"year": 2025}),
        ("recordsDetail", "previous year", {"from": "2025-01-01", "to": "2026-01-01"}),
        ("recordsDetail", "previous week", {"from": "2026-10-19", "to": "2026-10-26"}),
        ("recordsDetail", "last 3 days", {"from": "2026-10-29", "to": "2026-11-01"}),
    ],
)
def test_a_report_gets_the_parameters_of_the_period(
    report: str, period: str, params: dict[str, object]
) -> None:
    found, filled = load_reports(REPORTS).named(report).params_at({}, period, AT)
    assert found == filled == params


@pytest.mark.parametrize(
    ("report", "period", "params", "message"),
    [
        ("statsMonthly", "previous year", {}, "can't take this period; it can take previous month"),
        ("statsMonthly", "last 31 days", {}, "it can take previous month"),
        ("statsMonthly", "previous month", {"month": 3}, "Leave out month"),
        ("statsMonthly", "previous month", {"columns": ["nothing"]}, "no column of that name"),
        ("statsMonthly", None, {}, "year: Field required"),
    ],
)
def test_a_report_refuses_what_does_not_fit_it(
    report: str, period: str | None, params: dict[str, object], message: str
) -> None:
    with pytest.raises(ParamsError, match=message):
        load_reports(REPORTS).named(report).params_at(params, period, AT)  # type: ignore[arg-type] # as a client sends them

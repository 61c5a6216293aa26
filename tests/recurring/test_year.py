"""A year of a recurring export: Temporal says when, and the periods follow one another."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exports import names
from exports.clock import epoch_ms
from exports.recurring.schedules import RecurringSchedules
from exports.reports.relative import RelativePeriod
from tests.support.service import USER, Service

BERLIN = "Europe/Berlin"


def _days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=number) for number in range(count)]


async def _year(
    service: Service, year: int, period: str, zone: str, **when: Any
) -> list[tuple[date, date]]:
    """Return the period of each time of a year, in order."""
    made = await service.client.recurring.create(
        "recordsDetail", period=period, timezone=zone, created_by=USER, **when
    )
    schedules = RecurringSchedules(service.temporal, task_queue=service.settings.task_queue)
    begin, end = (
        epoch_ms(datetime(number, 1, 1, tzinfo=ZoneInfo(zone))) for number in (year, year + 1)
    )
    times = await schedules.times(made.id, begin, end)
    ids = {names.recurring_task_id(made.id, time) for time in times}
    assert len(ids) == len(times)
    relative = RelativePeriod.parse(period)
    return [relative.before(epoch_ms(time), ZoneInfo(zone)) for time in times]


@pytest.mark.parametrize("at", ["00:00", "02:30", "23:59"])
async def test_the_months_before_the_times_of_a_year_follow_one_another(
    idle_service: Service, at: str
) -> None:
    found = await _year(idle_service, 2027, "previous month", BERLIN, on="1st", at=at)
    firsts = [date(2026, 12, 1), *(date(2027, month, 1) for month in range(1, 13))]
    assert found == list(pairwise(firsts))


async def test_the_weeks_before_the_times_of_a_year_follow_one_another(
    idle_service: Service,
) -> None:
    found = await _year(idle_service, 2027, "previous week", BERLIN, on="monday")
    mondays = [date(2026, 12, 28) + timedelta(weeks=number) for number in range(53)]
    assert found == list(pairwise(mondays))


async def test_the_days_before_the_times_of_a_leap_year_follow_one_another(
    idle_service: Service,
) -> None:
    found = await _year(idle_service, 2028, "previous day", BERLIN, on="day", at="08:00")
    assert found == list(pairwise(_days(date(2027, 12, 31), 367)))


async def test_a_day_that_skips_the_time_is_due_never_and_one_that_has_it_twice_once(
    idle_service: Service,
) -> None:
    found = await _year(idle_service, 2027, "previous day", BERLIN, on="day", at="02:30")
    every = list(pairwise(_days(date(2026, 12, 31), 366)))
    skipped = (date(2027, 3, 27), date(2027, 3, 28))  # planned for the 28th at 02:30
    assert found == [days for days in every if days != skipped]


async def test_a_year_is_due_on_the_day_after_it(idle_service: Service) -> None:
    found = await _year(
        idle_service, 2028, "previous year", "Pacific/Apia", on="1st january", at="08:00"
    )
    assert found == [(date(2027, 1, 1), date(2028, 1, 1))]


async def test_a_cron_expression_is_due_when_temporal_says(idle_service: Service) -> None:
    found = await _year(idle_service, 2026, "last 7 days", "UTC", cron="15 6 1-7 * MON")
    # The first Monday of each month: with both days, Temporal wants both to be right.
    assert [end for _, end in found] == [
        next(
            day
            for day in _days(date(2026, month, 1), 7)
            if day.weekday() == datetime(2026, 1, 5, tzinfo=UTC).weekday()
        )
        for month in range(1, 13)
    ]

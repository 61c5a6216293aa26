from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exports.tables.local_times import local_times

ZONES = [
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # changes its clock for Ramadan
    "Pacific/Apia",  # skipped a day
    "UTC",
]
Unit = Literal["s", "ms", "us", "ns"]
SECOND = timedelta(seconds=1)
EARLIEST = datetime(1800, 1, 1, tzinfo=UTC)
SPAN = (datetime(2200, 1, 1, tzinfo=UTC) - EARLIEST) // SECOND


def naive(moments: list[datetime | None], unit: Unit, zone: str) -> list[datetime | None]:
    found: list[datetime | None] = local_times(
        pa.array(moments, pa.timestamp(unit, zone))
    ).to_pylist()
    return found


@given(
    st.sampled_from(ZONES),
    st.lists(
        st.none() | st.integers(0, SPAN).map(lambda count: EARLIEST + count * SECOND), max_size=20
    ),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
@example("Europe/Berlin", [datetime(2038, 7, 1, tzinfo=UTC)], "ms")
@settings(max_examples=300)
def test_local_times_are_the_same_as_in_python(
    zone: str, moments: list[datetime | None], unit: Unit
) -> None:
    expected = [
        None if moment is None else moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        for moment in moments
    ]
    assert naive(moments, unit, zone) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [2026, 2040])
def test_local_times_are_right_in_every_half_hour_of_a_year(zone: str, year: int) -> None:
    moments: list[datetime | None] = [
        datetime(year, 1, 1, tzinfo=UTC) + timedelta(minutes=30) * step for step in range(366 * 48)
    ]
    assert naive(moments, "ms", zone) == [
        moment and moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments
    ]


@pytest.mark.parametrize("count", [-(2**62), -(10**14), 10**15, 2**62])
def test_before_the_year_1_and_after_9999_the_zones_first_and_last_offset_is_used(
    count: int,
) -> None:
    moments = pa.array([count], pa.timestamp("ms", "Asia/Shanghai"))
    local = local_times(moments).cast(pa.int64())[0].as_py()
    assert local is not None
    assert local - count in {29_143_000, 28_800_000}  # before 1901, and since 1991

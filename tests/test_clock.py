from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.clock import MAX_SKEW_MS, check_clock, epoch_ms, from_epoch_ms, millis, now_ms
from exports.errors import ClockError


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])))
def test_an_instant_comes_back_from_its_milliseconds_without_its_microseconds(
    moment: datetime,
) -> None:
    back = from_epoch_ms(epoch_ms(moment))
    assert back == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))), 0),
        (datetime(2026, 10, 31, 12, 0, 0, 1999, tzinfo=UTC), 1_793_448_000_001),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        # As a float of seconds this is 1009.9999999999999 ms.
        (datetime(1970, 1, 1, 0, 0, 1, 10_000, tzinfo=UTC), 1010),
    ],
)
def test_an_instant_is_counted_from_1970_in_utc(moment: datetime, expected: int) -> None:
    assert epoch_ms(moment) == expected


def test_an_instant_without_a_time_zone_is_not_guessed() -> None:
    with pytest.raises(TypeError):
        epoch_ms(datetime(2026, 10, 31))  # noqa: DTZ001 -- this is what the test is about


def test_a_duration_is_counted_in_milliseconds() -> None:
    assert millis(timedelta(minutes=30)) == 1_800_000
    assert millis(timedelta(microseconds=1999)) == 1


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_clock_may_be_off_by_a_minute_and_no_more(
    monkeypatch: pytest.MonkeyPatch, sign: int
) -> None:
    here = now_ms()
    monkeypatch.setattr("exports.clock.now_ms", lambda: here)
    check_clock(from_epoch_ms(here + sign * MAX_SKEW_MS), whose="Temporal's")
    with pytest.raises(ClockError) as raised:
        check_clock(from_epoch_ms(here + sign * 90_000), whose="Temporal's")
    assert str(raised.value) == (
        f"The clock of this machine is 90 s {'behind' if sign > 0 else 'ahead of'} Temporal's; "
        "the limit is 60 s. Set the clock right (NTP), then start again."
    )

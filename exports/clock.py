"""Times as epoch milliseconds, as stored documents hold them, time zones, and the clock's check."""

import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from exports.errors import ClockError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant that epoch milliseconds count from."""

YEAR_9999_MS: Final = 253_402_300_799_999
"""The last moment of the year 9999, in epoch milliseconds: some servers know no later date."""

LAST_MS: Final = 8_640_000_000_000_000
"""The last moment that a date of JavaScript or of BSON's drivers can be, in epoch milliseconds."""

MAX_SKEW_MS: Final = 60_000
"""By how many milliseconds the clock of a worker or client may differ from a server's.

It is not less than any heartbeat timeout, which is six times `EXPORTS_HEARTBEAT`: an attempt that
starts late, but is not yet replaced, must not look like an attempt on a machine with a wrong clock.
It is short compared with the 30 minutes for which a link is valid.
"""

_MILLISECOND: Final = timedelta(milliseconds=1)
_NOT_ZONES: Final = frozenset({"Factory", "localtime"})
"""Names of files among those of the time zones that are not the zone of any place."""


def now_ms() -> int:
    """Return the present as epoch milliseconds (UTC)."""
    return time.time_ns() // 1_000_000


def epoch_ms(moment: datetime) -> int:
    """Return an instant, which has a time zone, as epoch milliseconds, rounded down."""
    return (moment - EPOCH) // _MILLISECOND


def from_epoch_ms(milliseconds: int) -> datetime:
    """Return the instant of epoch milliseconds, in UTC.

    Raises:
        OverflowError: It is not in the years 1 to 9999.
    """
    return EPOCH + timedelta(milliseconds=milliseconds)


def millis(duration: timedelta) -> int:
    """Return a duration in milliseconds, rounded down."""
    return duration // _MILLISECOND


def as_seconds(milliseconds: int) -> float:
    """Return milliseconds as seconds."""
    return milliseconds / 1000


@cache  # it goes through all files of the time zones
def time_zones() -> frozenset[str]:
    """Return the names of all time zones, such as Asia/Shanghai."""
    return frozenset(available_timezones() - _NOT_ZONES)


def check_clock(there: datetime, *, whose: str) -> None:
    """Compare this machine's clock with that of a server.

    Args:
        there: The server's present time, with a time zone.
        whose: Which server, in the genitive: `Temporal's`.

    Raises:
        ClockError: They differ by more than `MAX_SKEW_MS`. A link that is signed here would expire
            at another time than people are told, and a file would be removed at another time.
    """
    ahead = now_ms() - epoch_ms(there)
    if abs(ahead) > MAX_SKEW_MS:
        raise ClockError(
            f"The clock of this machine is {as_seconds(abs(ahead)):.0f} s "
            f"{'ahead of' if ahead > 0 else 'behind'} {whose}; the limit is "
            f"{as_seconds(MAX_SKEW_MS):.0f} s. Set the clock right (NTP), then start again."
        )

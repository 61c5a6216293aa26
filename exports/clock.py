"""The one clock that stamps documents, and how wrong it may be."""

import time
from datetime import UTC, datetime
from typing import Final

from exports.errors import ClockError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant that epoch milliseconds count from."""

MOST_SKEW: Final = 60_000
"""Milliseconds by which the clocks of a worker or client and of a server may differ.

Longer than the 12 s that an attempt may be silent: one that only waited so long to begin has been
replaced. Short beside the half hour that a link is good.
"""


def now_ms() -> int:
    """Return the present as epoch milliseconds (UTC), as the stored documents hold times."""
    return time.time_ns() // 1_000_000


def check_clock(there: datetime, *, whose: str) -> None:
    """Compare this machine's clock with that of a server.

    Args:
        there: What the server says, just now; with a time zone.
        whose: Which server, in the genitive: `Temporal's`.

    Raises:
        ClockError: They differ by more than `MOST_SKEW`, so that a link signed here, or a file
            purged by this clock, would end at another time than people are told.
    """
    ahead = now_ms() - int(there.timestamp() * 1000)
    if abs(ahead) > MOST_SKEW:
        raise ClockError(
            f"The clock of this machine is {abs(ahead) // 1000} s "
            f"{'ahead of' if ahead > 0 else 'behind'} {whose}; at most {MOST_SKEW // 1000} s are "
            "let pass. Set it right (NTP), then start again."
        )

"""The one clock that stamps documents."""

import time


def now_ms() -> int:
    """Return the present as epoch milliseconds (UTC), as the stored documents hold times."""
    return time.time_ns() // 1_000_000

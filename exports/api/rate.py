"""How often one person may ask."""

import time
from typing import Final

_PERIOD: Final = 60.0  # seconds
_MAX_KEPT: Final = 10_000  # people


class RateLimit:
    """Lets each person ask a number of times per minute; all at once, if they like.

    It is the generic cell rate algorithm: for each person it keeps the moment at which their
    requests so far would be over, were they spread evenly.

    Args:
        per_minute: The number of requests.
    """

    def __init__(self, per_minute: int) -> None:
        self._gap = _PERIOD / per_minute
        self._over_at: dict[str, float] = {}

    def wait(self, who: str) -> float:
        """Count a request, unless there were too many.

        Args:
            who: The person.

        Returns:
            0 if it is allowed; else the seconds after which one will be.
        """
        now = time.monotonic()
        over_at = max(self._over_at.get(who, now), now)
        wait = over_at + self._gap - now - _PERIOD
        if wait > 0:
            return wait
        if len(self._over_at) >= _MAX_KEPT:
            self._over_at = {key: at for key, at in self._over_at.items() if at > now}
        self._over_at[who] = over_at + self._gap
        return 0

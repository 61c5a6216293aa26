"""Asks each server whether it answers, for anybody who wants to know."""

import asyncio
import time
from typing import Final

from exports.connections import Connections

_KEPT_FOR: Final = 2.0
"""Seconds for which an answer is kept: nobody needs a token to ask, and the servers have a cost."""


class Readiness:
    """Asks the servers, for all who ask at the same time together.

    Args:
        connections: The servers.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._one_at_a_time = asyncio.Lock()
        self._kept: dict[str, bool] = {}
        self._kept_until = 0.0

    async def ask(self) -> dict[str, bool]:
        """Return which server answers: see `Connections.answering`."""
        async with self._one_at_a_time:
            if time.monotonic() >= self._kept_until:
                self._kept = await self._connections.answering()
                self._kept_until = time.monotonic() + _KEPT_FOR
            return self._kept

"""How a worker is stopped: the signals that it hears, and the time that it has."""

import asyncio
import logging
import signal
import threading
from datetime import timedelta
from typing import Final

from exports.runtime.process import end

# For what comes after the grace period: steps clean up after themselves, answers are sent. With
# the default grace it is less than what the container is given (`stop_grace_period: 45s`).
AFTER_THE_GRACE: Final = timedelta(seconds=10)
"""A worker that was told to stop is gone so long after its grace period at the latest."""
_TOO_LATE: Final = 1
_BY_SIGNAL: Final = 128  # as shells count: https://tldp.org/LDP/abs/html/exitcodes.html

_log = logging.getLogger("exports.worker")


class Stopping:
    """The first SIGINT or SIGTERM asks a worker to finish what it is at; the second ends it.

    To be made within the running event loop of the main thread.

    Args:
        grace: How long the worker has to finish its work.
    """

    def __init__(self, grace: timedelta) -> None:
        self._asked = asyncio.Event()
        self._longest = grace + AFTER_THE_GRACE
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._hear, signum)

    async def asked(self) -> None:
        """Wait until somebody wants the worker to stop."""
        await self._asked.wait()

    def _hear(self, signum: signal.Signals) -> None:
        if self._asked.is_set():
            _log.warning("Worker ends at once; others repeat what it was at")
            end(_BY_SIGNAL + signum)
        self._asked.set()
        # In a thread, because what keeps a worker from ending may keep its event loop busy.
        deadline = threading.Timer(self._longest.total_seconds(), self._too_late)
        deadline.daemon = True
        deadline.start()

    def _too_late(self) -> None:
        seconds = self._longest.total_seconds()
        _log.error("Worker had %g s to stop and ends now; others repeat what it was at", seconds)
        end(_TOO_LATE)

"""How a worker is stopped: the signals that it handles, and the time that it has."""

import asyncio
import logging
import signal
import threading
from datetime import timedelta
from typing import Final

from exports.runtime.process import end

# For what comes after the grace period: steps clean up after themselves, and results are sent.
# With the default grace period, the sum is less than the container's (`stop_grace_period: 45s`).
AFTER_THE_GRACE: Final = timedelta(seconds=10)
"""A worker ends at the latest after its grace period and this time."""
_TOO_LATE: Final = 1  # an exit code
_BY_SIGNAL: Final = 128  # as shells count: https://tldp.org/LDP/abs/html/exitcodes.html

_log = logging.getLogger("exports.worker")


class StopSignals:
    """The first SIGINT or SIGTERM asks a worker to finish its work; the second ends it at once.

    To be created in the main thread, in a running event loop.

    Args:
        grace: How long the worker has to finish its work.
    """

    def __init__(self, grace: timedelta) -> None:
        self._received = asyncio.Event()
        self._longest = grace + AFTER_THE_GRACE
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._handle, signum)

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._received.wait()

    def _handle(self, signum: signal.Signals) -> None:
        if self._received.is_set():
            _log.warning("Worker ends at once; other workers repeat its work")
            end(_BY_SIGNAL + signum)
        self._received.set()
        # In a thread, because the event loop may be what is blocked.
        deadline = threading.Timer(self._longest.total_seconds(), self._end_too_late)
        deadline.daemon = True
        deadline.start()

    def _end_too_late(self) -> None:
        seconds = self._longest.total_seconds()
        _log.error(
            "Worker did not stop within %g s and ends; other workers repeat its work", seconds
        )
        end(_TOO_LATE)

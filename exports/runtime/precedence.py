"""Small exports come first: heavy steps of the same process pause while it runs steps of theirs."""

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

LONGEST_PAUSE_SECONDS: Final = 0.4
"""How long a heavy step pauses at most before each batch of rows."""
MOST_PAUSED_SECONDS: Final = 240.0
"""How long a heavy step pauses in all, so that several of them, in turn, keep their time limits."""
LONGEST_SMALL_STEP_SECONDS: Final = 5.0
"""A small step that takes longer waits for a server: heavy steps take nothing from it."""


class _SmallSteps:
    """The steps of small exports that run now. They begin and end in the event loop."""

    def __init__(self) -> None:
        self._running: set[object] = set()
        self.none = threading.Event()
        self.none.set()

    def begin(self) -> object:
        step = object()
        self._running.add(step)
        self.none.clear()
        return step

    def end(self, step: object) -> None:
        self._running.discard(step)
        if not self._running:
            self.none.set()


_SMALL_STEPS: Final = _SmallSteps()


@contextmanager
def small_step() -> Generator[None]:
    """Run a step of a small export. To be used in the event loop."""
    step = _SMALL_STEPS.begin()
    limit = asyncio.get_running_loop().call_later(
        LONGEST_SMALL_STEP_SECONDS, _SMALL_STEPS.end, step
    )
    try:
        yield
    finally:
        limit.cancel()
        _SMALL_STEPS.end(step)


class GivingWay:
    """The pauses of one heavy step."""

    def __init__(self) -> None:
        self._left = MOST_PAUSED_SECONDS

    def pause(self) -> None:
        """Wait while steps of small exports run. To be called in a thread, before a batch."""
        if self._left > 0:
            began = time.monotonic()
            _SMALL_STEPS.none.wait(LONGEST_PAUSE_SECONDS)
            self._left -= time.monotonic() - began

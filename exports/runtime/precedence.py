"""Small exports come first: heavy steps of the same process pause while it runs steps of theirs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LONGEST_PAUSE_SECONDS: Final = 0.4
"""How long a heavy step pauses at most before each batch of rows, so that it never stands still.

A batch has 16,384 rows or 16 MiB: the slowest step is far from its time limit then.
"""


class _SmallSteps:
    """Counts the steps of small exports that run now. They begin and end in the event loop."""

    def __init__(self) -> None:
        self._running = 0
        self._none = threading.Event()
        self._none.set()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self._running += 1
        self._none.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._none.set()

    def wait_for_none(self) -> None:
        self._none.wait(LONGEST_PAUSE_SECONDS)


_SMALL_STEPS: Final = _SmallSteps()

small_step = _SMALL_STEPS.one_more
"""The block is a step of a small export. To be used in the event loop."""
give_way = _SMALL_STEPS.wait_for_none
"""Pause while steps of small exports run. To be called in a thread, before a batch of rows."""

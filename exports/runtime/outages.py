"""Waiting for a server that is away: within an attempt at a step, and for one request at a time.

A step has `Patience`. While it is in use, a request that fails because its server is away is sent
again, until the server is back or the patience is over. Clients have none: they get the error.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import wraps
from math import inf
from random import SystemRandom
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from exports.errors import ExportError, Server
from exports.runtime.metrics import count_uncounted_wait

SHORTEST_WAIT: Final = 0.5
"""Seconds between two tries of a request, at least."""
FIRST_WAIT: Final = 1.0
"""Seconds between the first two tries, at most; twice as many before each further one."""
LONGEST_WAIT: Final = 15.0
"""Seconds between two tries, at most."""
_DOUBLINGS: Final = 10
"""More of them make a number that is far longer than the longest wait."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

_random = SystemRandom()

_log = logging.getLogger(__name__)


class Patience:
    """How long one attempt waits for servers, and for which one it waits now. Thread-safe.

    Args:
        seconds: How long a request is sent again while its server is away.
        ends_at: When no request waits any more, by `time.monotonic`.
        known_away: For servers whose driver looks for them by itself: returns whether it has found
            none. Then no request is sent: the driver would hold it, and let it go at the same
            moment as all others.
    """

    def __init__(
        self,
        seconds: float,
        *,
        ends_at: float = inf,
        known_away: Mapping[Server, Callable[[], bool]] | None = None,
    ) -> None:
        self._seconds = seconds
        self._ends_at = ends_at
        self._known_away = known_away or {}
        self._waiting: list[Server] = []  # one entry for each request that waits
        self._told: set[Server] = set()
        self._over = False

    @property
    def waiting_for(self) -> Server | None:
        """The server that a request waits for; None if none waits."""
        return next(iter(self._waiting.copy()), None)

    def knows_away(self, server: Server) -> bool:
        """Return whether it is known without a request that a server is away."""
        return server in self._known_away and self._known_away[server]()

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Let requests wait that this task sends, and threads that it starts."""
        token = _patience.set(self)
        try:
            yield
        finally:
            _patience.reset(token)

    def begin(self, server: Server) -> None:
        """Note that a request begins to wait."""
        self._waiting.append(server)

    def go_on(self, server: Server) -> None:
        """Note that a request waits again: this is no fault of a moment. Tell it once."""
        if server not in self._told:
            self._told.add(server)
            _log.warning("The %s is away; a step waits up to %g s for it", server, self._seconds)
            count_uncounted_wait(server)

    def end(self, server: Server) -> None:
        """Note that a request has stopped waiting."""
        self._waiting.remove(server)
        if server not in self._waiting:
            self._told.discard(server)

    def left(self, since: float) -> float:
        """Return how many seconds a request may still wait; 0 for good once there were none left.

        An attempt that has given up on one request fails. What it asks for to clean up after
        itself must not wait again.

        Args:
            since: When the request began to wait, by `time.monotonic`.
        """
        left = min(since + self._seconds, self._ends_at) - time.monotonic()
        self._over = self._over or left <= 0
        return 0 if self._over else left


_patience: ContextVar[Patience | None] = ContextVar("patience", default=None)
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class Tries:
    """The tries of one request, in one task or thread. A context manager."""

    def __init__(self) -> None:
        self._patience = _patience.get()
        self._stop = _stop.get() or threading.Event()
        self._server: Server | None = None
        self._since = 0.0
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    async def wait(self, error: ExportError) -> None:
        """Wait, after a try that failed, until the next one.

        Raises:
            ExportError: The error itself: it is not the server's, or the patience is over.
        """
        while (delay := self._delay(error.away)) is not None:
            task = asyncio.current_task()
            # A library may have swallowed a cancel that arrived while it waited for an answer.
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
            await asyncio.sleep(delay)
            if not (self._patience and error.away and self._patience.knows_away(error.away)):
                return
        raise error

    def waited_in_thread(self, server: Server | None) -> bool:
        """Wait, after a try that ended, until the next one; return False if there is to be none.

        Args:
            server: The server, if the try failed because it is away.
        """
        delay = self._delay(server)
        if delay is None or self._stop.wait(delay):
            self.end()
            return False
        return True

    def end(self) -> None:
        """Wait no more."""
        if self._patience and self._server:
            self._patience.end(self._server)
        self._server = None

    def _delay(self, server: Server | None) -> float | None:
        """Return how many seconds to wait; None if not at all."""
        patience = self._patience
        if patience is None or server is None:
            return None
        if server != self._server:
            self.end()
            self._since, self._number = time.monotonic(), 0
        left = patience.left(self._since)
        if left <= 0:
            return None
        if self._server is None:
            self._server = server
            patience.begin(server)
        else:
            patience.go_on(server)
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._number, _DOUBLINGS))
        self._number += 1
        # Any time up to that, so that not all who wait for a server come back at once.
        return min(_random.uniform(SHORTEST_WAIT, longest), left)


def waits(call: Callable[_P, Awaitable[_T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Decorate a coroutine function, which is safe to call twice, to wait for a server.

    It is called again when the server may be back, for a step that has patience.
    """

    @wraps(call)
    async def again(*given: _P.args, **named: _P.kwargs) -> _T:
        with Tries() as tries:
            while True:
                try:
                    return await call(*given, **named)
                except ExportError as error:
                    await tries.wait(error)

    return again


def waits_in_thread(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a function that blocks, and is safe to call twice: see `waits`."""

    @wraps(call)
    def again(*given: _P.args, **named: _P.kwargs) -> _T:
        with Tries() as tries:
            while True:
                try:
                    return call(*given, **named)
                except ExportError as error:
                    if not tries.waited_in_thread(error.away):
                        raise

    return again


def stopped_by(stop: threading.Event) -> None:
    """Let requests of this thread wait until an event is set, and no longer."""
    _stop.set(stop)


def as_here() -> Callable[[], None]:
    """Return what a new thread calls first, to belong to the same step as this one.

    Its requests wait like those of this thread, and its log and its metrics are those of the step.
    """
    here = copy_context()

    def begin() -> None:
        for variable, value in here.items():
            variable.set(value)

    return begin


def wait_no_more() -> None:
    """Let no request of this thread, and of those that it started, wait any more: it has failed."""
    if stop := _stop.get():
        stop.set()


@contextmanager
def at_once() -> Generator[None]:
    """Let no request wait that is sent in this block."""
    token = _patience.set(None)
    try:
        yield
    finally:
        _patience.reset(token)

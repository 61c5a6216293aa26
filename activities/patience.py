"""How long a step waits for a server that is away, and how it says so."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pymongo import AsyncMongoClient, ReadPreference
from temporalio import activity

from activities.boundary import beating, boundary
from exports.errors import Server
from exports.models import WaitBeat
from exports.runtime.outages import Patience

ENDED_AFTER: Final = 0.95
"""Share of a step's time limit after which the worker ends an attempt, before the server does."""
ENDED_BEFORE: Final = 30.0
"""Seconds that are enough for that: a long limit has no more between the two."""


class Outages:
    """Gives each attempt at a step its patience.

    Args:
        patience: How long an attempt waits for a server that is away.
        clients: The clients of databases, which look for their servers by themselves.
    """

    def __init__(
        self, patience: timedelta, clients: Mapping[Server, AsyncMongoClient[dict[str, Any]]]
    ) -> None:
        self._seconds = patience.total_seconds()
        self._known_away: dict[Server, Callable[[], bool]] = {
            server: partial(_is_away, client, server) for server, client in clients.items()
        }

    def patience(self, *, waits: bool = True) -> Patience:
        """Return the patience of the attempt that begins.

        Args:
            waits: Whether it has any.
        """
        limit = time_limit()
        return Patience(
            self._seconds if waits else 0,
            ends_at=float("inf") if limit is None else time.monotonic() + limit,
            known_away=self._known_away,
        )

    @asynccontextmanager
    async def waited_for(self, *, waits: bool = True) -> AsyncGenerator[None]:
        """Run the body of an activity that is no attempt in the sense of `Attempts`.

        Args:
            waits: Whether it waits at all.
        """
        patience = self.patience(waits=waits)

        def beat() -> WaitBeat | None:
            server = patience.waiting_for
            return None if server is None else WaitBeat(waiting_for=server)

        with patience.in_use():
            async with boundary(), beating(beat):
                yield


_began: ContextVar[float | None] = ContextVar("began", default=None)
"""When the attempt of this activity asked first how much time it has, by `time.monotonic`."""


def time_limit() -> float | None:
    """Return in how many seconds the worker ends this attempt; None if there is no limit."""
    limit = activity.info().start_to_close_timeout
    if not limit:
        return None
    began = _began.get()
    if began is None:
        _began.set(began := time.monotonic())
    whole = max(limit.total_seconds() * ENDED_AFTER, limit.total_seconds() - ENDED_BEFORE)
    return whole - (time.monotonic() - began)


def _is_away(client: AsyncMongoClient[dict[str, Any]], server: Server) -> bool:
    # Tasks are read and written on the primary, whatever the URI says: see `majority_collection`.
    reads = ReadPreference.PRIMARY if server == "database" else client.read_preference
    return not client.topology_description.has_readable_server(reads)

"""What the recordings of workflow histories share: their list, and faults.

A recording is a function that runs one workflow to its end, on a service of its own, and returns
the run. `tests/support/record_histories.py` writes the histories down.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from temporalio.client import WorkflowFailureError, WorkflowHandle

from exports.errors import ExportError, StoreUnavailableError
from exports.reports.stats.report import StatsReport
from exports.storage.bucket import ObjectStore
from exports.storage.upload import StoppedError
from exports.tasks.transitions import RunTransitions
from tests.support.service import Service
from workflows import policies

Run = WorkflowHandle[Any, Any]
Recording = Callable[[Service], Awaitable[Run]]

RECORDINGS: dict[str, Recording] = {}
"""All recordings, by the name of the history's file without its extension."""


def recorded(name: str) -> Callable[[Recording], Recording]:
    """Add a recording to the list."""

    def add(recording: Recording) -> Recording:
        assert name not in RECORDINGS
        RECORDINGS[name] = recording
        return recording

    return add


async def closed(run: Run) -> Run:
    """Wait until a run is closed, however it ends."""
    with suppress(WorkflowFailureError):
        await run.result()
    return run


def without_grace(service: Service) -> Service:
    """Return the service with workers that stop at once."""
    quick = {"shutdown_grace": timedelta(milliseconds=50)}
    return replace(service, settings=service.settings.model_copy(update=quick))


class Held:
    """Holds a step until it is released.

    Attributes:
        reached: Set when the step is reached.
        released: Set it to let the step go on.
    """

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.released.wait()


@contextmanager
def reading_held(*, after: int = 0) -> Generator[Held]:
    """Hold the reading of statistics, after some units."""
    held, read, left = Held(), StatsReport.read, iter(range(after))

    async def wait(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Any]:
        if next(left, None) is None:
            await held.wait()
        async for rows in read(self, *given, **named):
            yield rows

    with patch.object(StatsReport, "read", wait):
        yield held


@contextmanager
def reading_fails(error: ExportError, *, times: int = 1_000) -> Generator[None]:
    """Let the first attempts to read statistics fail."""
    read, left = StatsReport.read, iter(range(times))

    async def fail(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Any]:
        if next(left, None) is not None:
            raise error
        async for rows in read(self, *given, **named):
            yield rows

    with patch.object(StatsReport, "read", fail):
        yield


@contextmanager
def upload_held() -> Generator[asyncio.Event]:
    """Hold the upload until it is stopped; yield an event that is set when it is reached."""
    reached, loop = asyncio.Event(), asyncio.get_running_loop()

    def hold(*_: object, stop: threading.Event, **__: object) -> None:
        loop.call_soon_threadsafe(reached.set)
        stop.wait()
        raise StoppedError

    with patch.object(ObjectStore, "upload", hold):
        yield reached


@contextmanager
def answer_to_done_lost() -> Generator[asyncio.Event]:
    """Let a writeback hang once it has been done; yield an event that is set then."""
    done, written = RunTransitions.done, asyncio.Event()

    async def hang(self: RunTransitions, *given: Any, **named: Any) -> None:
        await done(self, *given, **named)
        written.set()
        await asyncio.Event().wait()

    with patch.object(RunTransitions, "done", hang):
        yield written


@contextmanager
def store_fails(method: str) -> Generator[None]:
    """Let a method of the object store fail."""

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("The object store is away.")

    with patch.object(ObjectStore, method, fail):
        yield


@contextmanager
def quick_retries(delay: timedelta = timedelta(milliseconds=50)) -> Generator[None]:
    """Wait less between attempts than in production."""
    with patch.object(policies, "FIRST_DELAY", delay):
        yield


@contextmanager
def silent_steps() -> Generator[None]:
    """Let steps send no heartbeats, as if their worker were lost; it is noticed after 2 s."""
    with (
        patch("activities.boundary.heartbeat_interval", lambda: 1000),
        patch.object(policies, "HEARTBEATS_PER_TIMEOUT", 1),
    ):
        yield

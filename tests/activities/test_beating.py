"""Heartbeats go on as long as the attempt does, and no longer."""

import asyncio
from contextlib import suppress

import pytest
from temporalio.testing import ActivityEnvironment

from activities.boundary import beating
from tests.support.protections import protected_by


async def test_an_attempt_ends_even_if_a_library_swallows_the_cancel_of_its_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.01)
    telling = asyncio.Event()

    async def swallows_the_cancel() -> None:
        telling.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def attempt() -> str:
        async with beating(also=swallows_the_cancel):
            await telling.wait()
        return "ended"

    ending = asyncio.ensure_future(ActivityEnvironment().run(attempt))
    assert await asyncio.wait_for(ending, 150) == "ended"


@protected_by(
    "activities/boundary.py",
    "activity.heartbeat(beat())\n\n",
    instead="activity.heartbeat(beat())\n            await also()\n\n",
)
async def test_heartbeats_go_on_while_the_database_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.01)
    heartbeats = asyncio.Semaphore(0)
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *_: heartbeats.release()

    async def no_answer() -> None:
        await asyncio.Event().wait()

    async def attempt() -> str:
        async with beating(also=no_answer):
            for _ in range(5):
                await heartbeats.acquire()
        return "ended"

    assert await asyncio.wait_for(environment.run(attempt), 150) == "ended"

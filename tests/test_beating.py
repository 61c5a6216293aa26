"""Heartbeats end with the attempt that they belong to."""

import asyncio
from contextlib import suppress

import pytest
from temporalio.testing import ActivityEnvironment

from activities import boundary
from activities.boundary import beating


async def test_an_attempt_ends_even_if_the_cancel_of_its_beats_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boundary, "BEAT_EVERY", 0.01)
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
    assert await asyncio.wait_for(ending, 10) == "ended"

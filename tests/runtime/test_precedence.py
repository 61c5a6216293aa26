"""Heavy steps of a worker give way to the steps of small exports."""

import asyncio
import threading

import pytest

from exports.runtime import precedence
from exports.runtime.precedence import GivingWay, small_step

HANG = 150.0  # seconds


@pytest.fixture
def pauses_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "LONGEST_PAUSE_SECONDS", HANG)
    monkeypatch.setattr(precedence, "LONGEST_SMALL_STEP_SECONDS", HANG)


@pytest.mark.usefixtures("pauses_for_long")
async def test_a_heavy_step_pauses_until_the_last_small_one_has_ended() -> None:
    heavy = threading.Thread(target=GivingWay().pause, daemon=True)
    with small_step():
        with small_step():
            heavy.start()
        heavy.join(0.1)
        assert heavy.is_alive()
    heavy.join(HANG)
    assert not heavy.is_alive()


@pytest.mark.usefixtures("pauses_for_long")
async def test_a_heavy_step_does_not_pause_if_no_small_one_runs() -> None:
    with small_step():
        pass
    GivingWay().pause()


async def test_a_heavy_step_goes_on_slowly_if_small_ones_never_end() -> None:
    with small_step():
        GivingWay().pause()


@pytest.mark.usefixtures("pauses_for_long")
async def test_a_heavy_step_has_paused_enough_at_some_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precedence, "MOST_PAUSED_SECONDS", 0)
    with small_step():
        GivingWay().pause()


@pytest.mark.usefixtures("pauses_for_long")
async def test_nobody_pauses_for_a_small_step_that_only_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precedence, "LONGEST_SMALL_STEP_SECONDS", 0.01)
    with small_step():
        await asyncio.to_thread(GivingWay().pause)

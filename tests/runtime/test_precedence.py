"""Heavy steps of a worker give way to the steps of small exports."""

import threading

import pytest

from exports.runtime import precedence
from exports.runtime.precedence import give_way, small_step

HANG = 150.0  # seconds


@pytest.fixture
def pauses_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "LONGEST_PAUSE_SECONDS", HANG)


@pytest.mark.usefixtures("pauses_for_long")
def test_a_heavy_step_pauses_until_the_last_small_one_has_ended() -> None:
    heavy = threading.Thread(target=give_way, daemon=True)
    with small_step():
        with small_step():
            heavy.start()
        heavy.join(0.1)
        assert heavy.is_alive()
    heavy.join(HANG)
    assert not heavy.is_alive()


@pytest.mark.usefixtures("pauses_for_long")
def test_a_heavy_step_does_not_pause_if_no_small_one_runs() -> None:
    with small_step():
        pass
    give_way()


def test_a_heavy_step_goes_on_slowly_if_small_ones_never_end() -> None:
    with small_step():
        give_way()

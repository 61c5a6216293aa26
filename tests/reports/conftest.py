"""What tests of reports share."""

import pytest

from exports.reports.rows import reading


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 3)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 4)

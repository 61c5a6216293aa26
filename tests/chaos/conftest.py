"""What all tests of faults share."""

from tests.support.chaos.forms import SEED


def pytest_report_header() -> str:
    """Say how to repeat this run."""
    return f"faults: make chaos SEED={SEED} repeats this run"

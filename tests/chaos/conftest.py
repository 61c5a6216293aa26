"""Shared by all tests of faults."""

from tests.support.chaos.forms import SEED


def pytest_report_header() -> str:
    """Say how to repeat this run."""
    return f"faults: make chaos SEED={SEED} repeats this run"

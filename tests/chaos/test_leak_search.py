"""The search for leaks after all tests finds what a test has left in Temporal and in logs."""

import subprocess
import sys

import pytest

from tests.support.leaks import CANARY
from tests.support.paths import REPOSITORY
from tests.support.protections import protected_by


@protected_by(
    "tests/conftest.py", "session.exitstatus = pytest.ExitCode.TESTS_FAILED", instead="pass"
)
def test_a_run_whose_tests_pass_and_leak_fails_and_says_where() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n1",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/support/leaking.py",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    for part in ("input", "memo", "attribute"):
        assert f"LEAK of a signature in workflow leaking-{part} in default" in done.stdout
    assert "LEAK of a canary in pytest-" in done.stdout
    assert CANARY not in done.stdout

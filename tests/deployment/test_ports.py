"""Free ports, for an operator who starts several stacks on one machine."""

import subprocess
import sys
from contextlib import ExitStack

from tests.support.paths import REPOSITORY

_CHOOSE = """
import sys

from dev import ports

print(*ports.choose(dict.fromkeys(map(str, range(150)), 0)).values(), flush=True)
sys.stdin.read()
"""


def test_programs_that_run_at_the_same_time_never_choose_the_same_port() -> None:
    with ExitStack() as running:
        programs = [
            running.enter_context(
                subprocess.Popen(  # noqa: S603 -- our own program
                    [sys.executable, "-c", _CHOOSE],
                    cwd=REPOSITORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        # Leaving the block closes their input, and so ends them.
        chosen = [
            port
            for program in programs
            if program.stdout is not None
            for port in program.stdout.readline().split()
        ]

    assert len(set(chosen)) == len(chosen) == 600

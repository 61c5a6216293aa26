"""A child process that ends with its parent."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
_TAIL_BYTES = 4_000
_TAIL_LINES = 15
_SIGNAL_BASE = 128  # shells and our guard add it to the number of a signal


class CrashError(Exception):
    """A process has ended or did not start; the message names it and has the end of its log."""


class Process:
    """A command in a session of its own: Ctrl-C does not reach it, and we stop it in order.

    Args:
        name: Its name in messages.
        command: Program and arguments.
        log: File for its output; overwritten at each start.
        environment: All of its environment variables.
        cwd: Its working directory.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        cwd: Path,
        grace: float = 10,
    ) -> None:
        self.name = name
        self.log = log
        self._grace = grace
        with log.open("wb") as output:
            self._guard = subprocess.Popen(
                # Isolated and without site-packages: the guard needs nothing, and starts at once.
                [sys.executable, "-I", "-S", str(_GUARD), str(grace), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )

    def check(self) -> None:
        """Do nothing while the process runs.

        Raises:
            CrashError: It has ended.
        """
        code = self._guard.poll()
        if code is not None:
            raise CrashError(f"{self.name} {_how_it_ended(code)}.{self.tail()}")

    def tail(self) -> str:
        """Return the end of the log, indented, below a heading; empty if the log is empty."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        if not lines:
            return ""
        return "\n".join([f" The end of its log ({self.log}):", *(f"    {line}" for line in lines)])

    def ask_to_stop(self) -> None:
        """Ask the process to end; do not wait for it."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def kill(self) -> None:
        """Kill the process and all of its session, like a power failure."""
        os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()

    def stop(self) -> None:
        """Stop the process, kill it if it does not stop, and wait until it has ended."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(self._grace + 5)
        # The whole session: the command may still run if the guard was killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()


def _how_it_ended(code: int) -> str:
    number = -code if code < 0 else code - _SIGNAL_BASE
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(number).name}"
    return f"ended with exit code {code}"

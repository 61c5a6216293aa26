"""A child process that can't outlive this one."""

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
_SIGNAL_BASE = 128  # a shell's and our guard's way to say "killed by a signal"


class CrashError(Exception):
    """A process ended by itself, or did not start; the message names it and shows its log."""


class Process:
    """A command in a session of its own, so that Ctrl-C reaches only us, and we end it in order.

    Args:
        name: What people call it.
        command: Program and arguments.
        log: File that takes its output; kept from the start before, cut at each start.
        environment: All of its environment.
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
        """Return the end of the log, indented, with a line that introduces it; or nothing."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        if not lines:
            return ""
        return "\n".join([f" The end of its log ({self.log}):", *(f"    {line}" for line in lines)])

    def ask_to_stop(self) -> None:
        """Tell the process to end; returns at once."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def kill(self) -> None:
        """End the process and all of its session at once, as a machine does that loses power."""
        os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()

    def stop(self) -> None:
        """End the process, whatever it does about it, and wait until it is gone."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(self._grace + 5)
        # Its whole session: also what is left if somebody killed the guard.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()


def _how_it_ended(code: int) -> str:
    number = -code if code < 0 else code - _SIGNAL_BASE
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(number).name}"
    return f"ended by itself with exit code {code}"

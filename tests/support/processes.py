"""Runs our programs, and lists processes with `ps`, which every POSIX system has."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

from tests.support.paths import REPOSITORY


@contextmanager
def running(*arguments: str) -> Generator["subprocess.Popen[str]"]:
    """Run Python in the repository, in a session of its own; all output is in `stdout`."""
    with subprocess.Popen(  # noqa: S603 -- our own programs
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def running_with_few_orders(
    module: str, *arguments: str
) -> AbstractContextManager["subprocess.Popen[str]"]:
    """Run `dev.demo` or `dev.stack` with few of the sample orders.

    The embedded database takes half a minute to load all of them.
    """
    code = (
        "import runpy; from dev import orders; orders.ORDERS = 1_000; "
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    return running("-c", code, *arguments)


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Return the output of the process up to the line with this text."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"{text!r} is not in the output: {said}")


def descendants(pid: int) -> dict[int, str]:
    """Return the command line of each living process below `pid`."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="],  # noqa: S607 -- wherever the system has it
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split(None, 3) for line in listing.splitlines()]
    # A zombie has ended; only its parent has not read its exit code yet.
    alive = [(int(row[0]), int(row[1]), row[3]) for row in rows if not row[2].startswith("Z")]
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = {child: args for child, parent, args in alive if parent in parents}
        found |= children
        parents = set(children)
    return found


def kill(parent: int, program: str, having: str = "") -> None:
    """Send SIGKILL to the descendant of `parent` that runs a program.

    Args:
        parent: Process id of an ancestor.
        program: End of the path of the program, or of the script that it runs.
        having: Another text in its command line.
    """
    [victim] = [
        child
        for child, args in descendants(parent).items()
        if "guard.py" not in args
        and having in args
        and any(word.endswith(program) for word in args.split()[:3])
    ]
    os.kill(victim, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Return whether the process exists and has not ended."""
    state = subprocess.run(  # noqa: S603 -- with a number
        ["ps", "-o", "stat=", "-p", str(pid)],  # noqa: S607 -- wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It was not true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)

"""`python worker.py` as a process of its own."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import forked_programs, leaks
from tests.support.paths import REPOSITORY

_WORKER = REPOSITORY / "worker.py"
_PATIENCE = 150.0  # seconds


@dataclass(frozen=True)
class Ended:
    """How a worker ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to standard output.
        lines: What it wrote to standard error.
    """

    code: int
    out: str
    lines: list[str]


class RunningWorker:
    """A worker that has been started."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []

    async def says(self, text: str) -> None:
        """Wait until it has written a line with `text` to standard error."""
        assert self._process.stderr
        async with asyncio.timeout(_PATIENCE):
            async for line in self._process.stderr:
                self._heard(line)
                if text in self._lines[-1]:
                    return
        raise AssertionError(f"It ended and did not write {text!r}: {self._lines}")

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    async def ended(self) -> Ended:
        """Wait until it has ended."""
        async with asyncio.timeout(_PATIENCE):
            out, err = await self._process.communicate()
        for line in err.splitlines():
            self._heard(line)
        leaks.keep("worker-stdout", out.decode())
        return Ended(self._process.returncode or 0, out.decode(), self._lines)

    async def heard_out(self) -> None:
        """Read the rest of its log, for the search for leaks."""
        assert self._process.stderr
        async for line in self._process.stderr:
            self._heard(line)

    def _heard(self, line: bytes) -> None:
        self._lines.append(line.decode().rstrip())
        leaks.keep("worker-stderr", f"{self._lines[-1]}\n")


async def ended_by_itself(environment: dict[str, str], cwd: Path) -> Ended:
    """Run a worker that ends by itself, because something is wrong."""
    done = await forked_programs.ended("worker", (), environment, cwd)
    leaks.keep("worker-stdout", done.out)
    leaks.keep("worker-stderr", done.err)
    return Ended(done.code, done.out, done.err.splitlines())


@asynccontextmanager
async def started(environment: dict[str, str], cwd: Path) -> AsyncGenerator[RunningWorker]:
    """Start a worker; it is killed if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(_WORKER)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=environment,
        cwd=cwd,
    )
    worker = RunningWorker(process)
    try:
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
            await worker.heard_out()
            await process.wait()


@contextmanager
def silence() -> Generator[str]:
    """Listen at an address, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def no_server() -> Generator[str]:
    """Reserve an address at which no server listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"

"""Many worker and client processes, each of which ends or stops at one of its boundaries.

A worker takes a second of processor time to import what it needs. These processes are forked from
one that has already imported it, which costs a twentieth of that.
"""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final, Literal

import worker
from exports.client import ExportClient
from exports.runtime.process import end
from exports.settings import Settings
from exports.storage import s3
from tests.support import command_line
from tests.support.chaos import boundaries, shifted
from tests.support.service import Service

ENDED_THERE: Final = 77
FORKING: Final = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__])
_LONGEST: Final = 180.0

ClientAction = Callable[[ExportClient], Awaitable[object]]


@dataclass(frozen=True)
class Orders:
    """What a process is told to do.

    Attributes:
        environment: Its environment.
        log: Where it writes the boundaries that it reaches, one per line.
        at: The boundary at which something happens, once; None: nothing happens.
        then: What happens there: the process exits, or stops until it gets SIGCONT.
        act: The name and the action of a client; None: it is a worker.
        clock: Milliseconds by which its clock is wrong.
        read_timeout: Seconds that it waits for an answer of the object store; None: the product's
            own value.
    """

    environment: dict[str, str]
    log: Path
    at: str | None = None
    then: Literal["exit", "stop"] = "exit"
    act: tuple[str, ClientAction] | None = None
    clock: int = 0
    read_timeout: int | None = None


class _Meeting:
    """Writes down each boundary, and does what was ordered for one of them."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._log = os.open(orders.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._over = False

    def __call__(self, name: str) -> None:
        os.write(self._log, f"{name}\n".encode())
        if name != self._orders.at or self._over:
            return
        self._over = True
        if self._orders.then == "exit":
            os._exit(ENDED_THERE)
        os.kill(os.getpid(), signal.SIGSTOP)


def obey(orders: Orders) -> None:
    """Be a worker until SIGTERM, or a client that does one thing."""
    said = os.open(orders.log.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.clear()
    os.environ.update(orders.environment)
    shifted.shift_clock(orders.clock)
    if orders.read_timeout is not None:
        setattr(s3, "READ_TIMEOUT", orders.read_timeout)  # noqa: B010 -- it is Final
    boundaries.watch(_Meeting(orders))
    if orders.act is None:
        end(worker.main())
    name, act = orders.act
    boundaries.name_process(name)
    asyncio.run(_acted(act))
    end(0)


async def _acted(act: ClientAction) -> None:
    async with await ExportClient.connect(Settings.load()) as client:
        await act(client)


@dataclass
class Forked:
    """A started process."""

    process: ForkServerProcess
    log: Path
    pid: int = field(init=False)

    def __post_init__(self) -> None:
        assert self.process.pid is not None
        self.pid = self.process.pid

    def boundaries(self) -> list[str]:
        """Return the boundaries that it has reached, in order."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def said(self) -> str:
        """Return what it has written to standard output and error."""
        return self.log.with_suffix(".err").read_text()

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.exitcode

    async def ended(self) -> int:
        """Wait until it has ended; return its exit code."""
        await until(lambda: self.process.exitcode is not None)
        assert self.process.exitcode is not None
        return self.process.exitcode

    async def came_to(self, boundary: str) -> None:
        """Wait until it has reached a boundary."""
        await until(lambda: boundary in self.boundaries())

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        if self.process.exitcode is None:
            os.kill(self.pid, signum)


async def until(condition: Callable[[], bool], *, seconds: float = _LONGEST) -> None:
    """Wait for something that other processes do.

    Raises:
        AssertionError: It did not happen in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def forked(orders: Orders) -> AsyncGenerator[Forked]:
    """Start a process; it is killed if it still runs at the end."""
    process = FORKING.Process(target=obey, args=(orders,), daemon=True)
    # Not in another thread: to start a process, multiprocessing checks all others, and if two
    # threads check at once, one of them gets the exit code 255.
    process.start()
    try:
        yield Forked(process, orders.log)
    finally:
        process.kill()
        await until(lambda: process.exitcode is not None)
        process.close()


def environment_of(service: Service) -> dict[str, str]:
    """Return the environment of a process that belongs to a service of a test."""
    address = service.temporal.service_client.config.target_host
    return command_line.environment_of(service.settings, address)

"""A worker that is told to stop: its steps end there or elsewhere, and no attempt is counted."""

import asyncio
import signal
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dev.endpoints import Endpoints
from exports.models import TaskStatus
from exports.settings import Settings
from tests.support.chaos.deployed import Attempted, attempts_of, deployed
from tests.support.held_report import GATE
from tests.support.service import Service, open_service, working
from workflows import policies

KINDS = ("held", "heldBulk")
STEPS = ("claim", "aggregate")
"""Those that read the rows of each kind."""


@pytest.fixture
async def held(settings: Settings, temporal_address: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with two reports that wait at the gate, one on each task queue; no worker runs."""
    reports = tmp_path / "held.toml"
    reports.write_text(
        '[reports.held]\npython = "tests.support.held_report:HeldReport"\n'
        '[reports.heldBulk]\npython = "tests.support.held_report:HeldBulkReport"\n'
    )
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service:
        yield service


async def _readings(service: Service, task_id: str) -> list[Attempted]:
    """Return the attempts at the rows: those of the claim, unless the rows have a step."""
    attempts = await attempts_of(service, task_id)
    of_rows = [each for each in attempts if each.step == "aggregate"]
    return of_rows or [each for each in attempts if each.step == "claim"]


async def test_a_step_that_ends_within_the_grace_is_finished_by_the_stopping_worker(
    held: Service, endpoints: Endpoints, tmp_path: Path
) -> None:
    tasks = [await held.create(kind, params={}) for kind in KINDS]
    async with deployed(held.settings, endpoints, tmp_path) as stopped:
        await stopped.holds(tmp_path, units=len(KINDS))
        stopped.hears(signal.SIGTERM)
        await stopped.says("Worker is stopping")
        (tmp_path / "open").touch()
        assert await stopped.ended() == 0
    async with working(held):
        for task, step in zip(tasks, STEPS, strict=True):
            ended = await held.ended(task.id)
            assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
            assert await _readings(held, task.id) == [Attempted(step, 1, stopped.pid, "completed")]


async def test_a_step_that_takes_longer_than_the_grace_is_given_back_and_costs_no_attempt(
    held: Service, endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [await held.create(kind, params={}) for kind in KINDS]
    async with deployed(
        held.settings, endpoints, tmp_path, EXPORTS_SHUTDOWN_GRACE="0.5"
    ) as stopped:
        await stopped.holds(tmp_path, units=len(KINDS))
        stopped.hears(signal.SIGTERM)
        assert await stopped.ended() == 0
    (tmp_path / "open").touch()
    monkeypatch.setenv(GATE, str(tmp_path))
    async with working(held):
        for task, step in zip(tasks, STEPS, strict=True):
            ended = await held.ended(task.id)
            assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
            given_back, done = await _readings(held, task.id)
            assert given_back == Attempted(step, 1, stopped.pid, policies.WORKER_SHUTDOWN)
            assert (done.number, done.outcome) == (1, "completed")


class _Line:
    """Forwards connections to a server until it is cut."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.partition(":")
        self._dead = False
        self._carrying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[str]:
        """Listen; the address."""
        async with await asyncio.start_server(self._carry, "127.0.0.1") as listening:
            yield "{}:{}".format(*listening.sockets[0].getsockname())
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def goes_dead(self) -> None:
        self._dead = True

    def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._carrying.add(asyncio.create_task(self._carried(reader, writer)))

    async def _carried(self, reader: StreamReader, writer: StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, int(self._port))
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            for end in (back, writer):
                end.transport.abort()

    async def _copy(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if not self._dead:
                writer.write(data)
                await writer.drain()


async def test_a_worker_ends_in_time_also_while_temporal_is_away_and_its_work_is_done_elsewhere(
    held: Service, endpoints: Endpoints, tmp_path: Path
) -> None:
    task = await held.create("held", params={})
    line = _Line(endpoints.temporal_address)
    async with (
        line.opened() as address,
        deployed(
            *(held.settings, endpoints, tmp_path),
            EXPORTS_SHUTDOWN_GRACE="0.5",
            TEMPORAL_ADDRESS=address,
        ) as stopped,
    ):
        await stopped.holds(tmp_path)
        line.goes_dead()
        stopped.hears(signal.SIGTERM)
        assert await stopped.ended() == 1
        assert "Worker did not stop within 10.5 s and ends" in stopped.said
    await _done_elsewhere(held, task.id, tmp_path)


async def test_a_second_signal_ends_a_worker_at_once_and_its_work_is_done_elsewhere(
    held: Service, endpoints: Endpoints, tmp_path: Path
) -> None:
    task = await held.create("held", params={})
    async with deployed(held.settings, endpoints, tmp_path) as stopped:
        await stopped.holds(tmp_path)
        stopped.hears(signal.SIGTERM)
        await stopped.says("Worker is stopping")
        stopped.hears(signal.SIGINT)
        assert await stopped.ended() == 128 + signal.SIGINT
    await _done_elsewhere(held, task.id, tmp_path)


async def _done_elsewhere(held: Service, task_id: str, gate: Path) -> None:
    (gate / "open").touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(GATE, str(gate))
        async with working(held):
            ended = await held.ended(task_id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
    lost, done = await _readings(held, task_id)
    assert lost.outcome == "timed out: TIMEOUT_TYPE_HEARTBEAT"
    assert (done.number, done.outcome) == (1, "completed")

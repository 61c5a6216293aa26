"""kill -9 of Temporal, of the database and of the object store, in each step of an export."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest
from temporalio.client import WorkflowFailureError

from activities.boundary import Attempt, Attempts
from exports.errors import ExportError
from exports.models import Stage, TaskRef
from exports.task import ExportTask
from exports.task_collection import Stored
from exports.tasks import TaskStore
from tests.chaos.forms import LONG
from tests.chaos.killable_servers import KillableServers
from tests.chaos.wires import SERVERS, corner
from tests.protections import protected_by
from tests.service import USER, Service, downloaded, insert_orders, open_service, working

PATIENCE: Final = 240
STEPS: Final = ("claim", Stage.AGGREGATE, Stage.UPLOAD, Stage.WRITEBACK)
ASKED: Final = (
    ("statsMonthly", {"year": 2026, "month": 10}, "csv"),
    ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}, "ndjson"),
)
ROUNDS: Final = [(server,) for server in SERVERS] + ([SERVERS] if LONG else [])
TIMES: Final = 5 if LONG else 1


class Gates:
    """Holds each export in one of its steps until it is let go.

    Attributes:
        steps: In which step an export is held.
        next: In which ones those that come next are to be.
        held: How many are.
        open: Lets all of them go.
    """

    def __init__(self) -> None:
        self.steps: dict[str, str] = {}
        self.next: list[str] = []
        self.held = 0
        self.open = asyncio.Event()

    async def hold(self, task_id: str, step: str) -> None:
        """Wait here if this is the step in which the export is to be held."""
        if step == "claim" and task_id not in self.steps and self.next:
            self.steps[task_id] = self.next.pop()
        if self.steps.get(task_id) == step:
            self.held += 1
            await self.open.wait()


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Gates:
    gates = Gates()
    claim, at = TaskStore.claim, Attempts.at

    async def held_claim(self: TaskStore, ref: TaskRef, **given: Any) -> Stored | None:
        await gates.hold(ref.task_id, "claim")
        return await claim(self, ref, **given)

    @asynccontextmanager
    async def held_attempt(
        self: Attempts, stage: Stage, ref: TaskRef, **given: Any
    ) -> AsyncGenerator[Attempt]:
        async with at(self, stage, ref, **given) as attempt:
            await gates.hold(ref.task_id, stage)
            yield attempt

    monkeypatch.setattr(TaskStore, "claim", held_claim)
    monkeypatch.setattr(Attempts, "at", held_attempt)
    return gates


@pytest.fixture(scope="module")
def servers() -> Iterator[KillableServers]:
    with KillableServers() as servers:
        yield servers


@pytest.fixture
async def service(servers: KillableServers) -> AsyncIterator[Service]:
    async with (
        corner(servers.endpoints) as settings,
        open_service(settings, servers.endpoints.temporal_address) as service,
    ):
        await insert_orders(service.database)
        async with working(service):
            yield service


async def ended(service: Service, task_id: str) -> ExportTask:
    """Wait for the end, sweeping as the Schedule does, however often a server is away."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ExportError):
                task = await service.client.get(task_id, created_by=USER)
                if task.status.ended:
                    with suppress(WorkflowFailureError):
                        await service.run_of(task_id).result()
                    return task
                await service.client.sweep()
            await asyncio.sleep(0.5)


async def held(service: Service, gates: Gates) -> list[str]:
    """Ask for both exports once for each step, and wait until each is held in its own."""
    gates.open.clear()
    gates.held = 0
    ids: list[str] = []
    for step in STEPS:
        for kind, params, file_format in ASKED:
            gates.next.append(step)
            task = await service.client.create(kind, params, created_by=USER, format=file_format)
            ids.append(task.id)
    async with asyncio.timeout(PATIENCE):
        while gates.held < len(ids):
            await asyncio.sleep(0.05)
    return ids


@pytest.mark.timeout(1200)
@protected_by(
    "exports/errors.py",
    'code = "E_STORE"\n    permanent = False',
    instead='code = "E_STORE"\n    permanent = True',
)
async def test_exports_outlive_the_servers_that_are_killed_under_them(
    service: Service, servers: KillableServers, gates: Gates
) -> None:
    reference = [
        await service.exported(kind, params=params, format=file_format)
        for kind, params, file_format in ASKED
    ]
    everything = [*reference]
    for killed in ROUNDS * TIMES:
        ids = await held(service, gates)
        for server in killed:
            servers.kill(server)
        gates.open.set()
        await asyncio.sleep(1)  # long enough to meet a server that is not there
        for server in killed:
            await asyncio.to_thread(servers.start_again, server)
        tasks = list(await asyncio.gather(*(ended(service, task_id) for task_id in ids)))
        for index, task in enumerate(tasks):
            if task.status == "failed":
                assert task.error
                assert task.error.code in {"E_SOURCE", "E_DATABASE", "E_STORE"}, task.error
                # Without its database nobody can count.
                if task.error.code == "E_STORE":
                    assert task.retries == task.max_retries, "it was given up too early"
                await service.client.retry(task.id, created_by=USER)
                tasks[index] = await ended(service, task.id)
        assert [task.status for task in tasks] == ["done"] * len(tasks), killed
        everything += tasks
    files = [downloaded(task.download_url) for task in everything]
    assert files == [downloaded(task.download_url) for task in reference] * (len(files) // 2)
    await service.client.sweep()
    assert service.keys() == sorted(str(task.object_key) for task in everything)
    assert service.open_uploads() == []
    assert len(await service.client.list(created_by=USER, limit=1000)) == len(everything)

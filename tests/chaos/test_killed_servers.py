"""kill -9 of Temporal, of the database and of the object store, in each step of an export.

The worker is a process of its own and outlives the servers. Each export is held in one of its
steps while a server dies, and so is a sweep.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from bson import ObjectId
from temporalio.client import WorkflowFailureError

from exports import names
from exports.clock import now_ms
from exports.errors import ExportError
from exports.models import CancelRequest, TaskStatus
from exports.tasks.task import ExportTask
from tests.support.chaos.forms import LONG
from tests.support.chaos.gates import GATES, Gates
from tests.support.chaos.herd import Herd, environment_of
from tests.support.chaos.killable_servers import KillableServers
from tests.support.chaos.operations import Record
from tests.support.chaos.wires import SERVERS, corner
from tests.support.service import MONTH, USER, Service, downloaded, insert_orders, open_service

PATIENCE: Final = 400
"""Seconds: more than a sweep may take, so that only a hang takes so long."""
Request = tuple[str, dict[str, Any], str]
STATS: Final[Request] = ("statsMonthly", MONTH, "csv")
ROWS: Final[Request] = ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}, "ndjson")
MISFIT: Final[Request] = ("recordsDetail", {"from": "2027-01-01", "to": "2027-02-01"}, "csv")
"""Its period has an order that does not fit the report, so that it fails."""
ROUNDS: Final[list[tuple[str, ...]]] = [
    *((server,) for server in SERVERS),
    *([SERVERS] if LONG else []),
]
TIMES: Final = 5 if LONG else 1


@dataclass(frozen=True)
class Held:
    """An export: its request, the step in which it is held, and how it should end."""

    request: Request
    step: str
    ends: TaskStatus


THROUGHOUT: Final = [
    Held(request, step, TaskStatus.DONE)
    for step in (names.CLAIM, names.AGGREGATE, names.UPLOAD, names.WRITEBACK_DONE)
    for request in (STATS, ROWS)
    if (step, request) != (names.AGGREGATE, STATS)  # the claim stages its rows
]
FINAL_STEPS: Final = {
    "temporal": [Held(STATS, names.CLOSE_AS_CANCELED, TaskStatus.CANCELLED)],
    "mongo": [
        Held(MISFIT, names.WRITEBACK_FAILED, TaskStatus.FAILED),
        Held(ROWS, names.WRITEBACK_CANCELLED, TaskStatus.CANCELLED),
    ],
    "s3": [
        Held(STATS, names.DISCARD, TaskStatus.CANCELLED),
        Held(MISFIT, names.DISCARD, TaskStatus.FAILED),
    ],
}
"""The steps to hold, by the server that they need; the long form holds all for each server."""
SWEEP: Final = (names.SWEEP_DUE, names.SWEEP_LEFT_BEHIND, names.SWEEP_EXPIRED)
AWAY: Final = {"E_SOURCE", "E_DATABASE", "E_STORE"}
"""Error codes that are allowed if a server was away for too long."""


@dataclass(frozen=True)
class Ground:
    """A service on servers that may be killed, with its worker.

    Attributes:
        references: The file that each request gives.
        ids: Every task that there is.
    """

    servers: KillableServers
    service: Service
    gates: Gates
    herd: Herd
    references: dict[str, bytes]
    ids: list[str]

    async def inside(self, step: str, workflow: str) -> None:
        """Wait until the worker is inside a step of a workflow whose id has this prefix."""
        async with asyncio.timeout(PATIENCE):
            while not any(
                at.name == step and at.workflow.startswith(workflow) for _, at in self.herd.inside()
            ):
                await asyncio.sleep(0.05)

    async def asked(self, held: Held) -> str:
        """Ask for an export and wait until it is held."""
        key = str(ObjectId())
        task_id = names.task_id_for(self.service.settings.task_queue, USER, key)
        workflow = names.workflow_id(task_id)
        self.gates.shut(held.step, workflow)
        if held.ends is TaskStatus.CANCELLED:
            self.gates.shut(names.UPLOAD, workflow)  # so that there is something to discard
        kind, params, file_format = held.request
        task = await self.service.client.create(
            kind, params, created_by=USER, format=file_format, idempotency_key=key
        )
        assert task.id == task_id
        if held.ends is TaskStatus.CANCELLED:
            await self.inside(names.UPLOAD, workflow)
            await self.service.run_of(task_id).signal(
                names.CANCEL_SIGNAL, CancelRequest(reason="enough")
            )
        await self.inside(held.step, workflow)
        self.ids.append(task_id)
        return task_id

    async def ended(self, ids: list[str]) -> list[ExportTask]:
        """Sweep as the Schedule does, until the tasks have ended and their runs have closed."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._swept(ids)
        except TimeoutError:
            pytest.fail(f"Still open after {PATIENCE} s: {await self.open_steps()}")

    async def _swept(self, ids: list[str]) -> list[ExportTask]:
        while True:
            with suppress(ExportError):
                tasks = [await self.service.client.get(one, created_by=USER) for one in ids]
                if all(task.status.ended for task in tasks):
                    break
                await self.service.client.sweep()
            await asyncio.sleep(0.5)
        for task in tasks:
            with suppress(WorkflowFailureError):
                await self.service.run_of(task.id).result()
        return tasks

    async def open_steps(self) -> dict[str, list[str]]:
        """Return what Temporal says of each step of each run that is open."""
        queue, temporal = self.service.settings.task_queue, self.service.temporal
        running = f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'"
        return {
            run.id: [
                str(step)
                for step in (
                    await temporal.get_workflow_handle(run.id).describe()
                ).raw_description.pending_activities
            ]
            async for run in temporal.list_workflows(running)
        }


@pytest.fixture(scope="module")
def servers() -> Iterator[KillableServers]:
    with KillableServers() as servers:
        yield servers


@pytest.fixture
async def ground(servers: KillableServers, tmp_path: Path) -> AsyncIterator[Ground]:
    endpoints = servers.endpoints
    gates = Gates(tmp_path / "gates")
    # Each held step needs a slot.
    slots = {"max_concurrent_activities": 50, "max_concurrent_bulk_activities": 50}
    async with (
        corner(endpoints, **slots) as settings,
        open_service(settings, endpoints.temporal_address) as service,
    ):
        await insert_orders(service.database)
        await service.database["orders"].insert_one(
            {"createdAt": datetime(2027, 1, 10, tzinfo=UTC), "quantity": "two"}
        )
        environment = environment_of(settings, endpoints, **{GATES: str(gates.folder)})
        async with Herd(1, environment, tmp_path, Record(tmp_path / "record")) as herd:
            references: dict[str, bytes] = {}
            ids: list[str] = []
            for kind, params, file_format in (STATS, ROWS):
                task = await service.exported(kind, params=params, format=file_format)
                references[kind] = downloaded(task.download_url)
                ids.append(task.id)
            yield Ground(servers, service, gates, herd, references, ids)
            gates.open_all()


@dataclass(frozen=True)
class Sweep:
    """A sweep that is held in one of its parts, with one of everything that it looks after."""

    due: str
    left: str
    expired: str
    running: asyncio.Task[None]

    @classmethod
    async def held(cls, ground: Ground, part: str) -> "Sweep":
        service = ground.service
        expired = (await service.exported()).id
        ground.ids.append(expired)
        with suppress(WorkflowFailureError):
            await service.run_of(expired).result()
        await service.collection.documents.update_one(
            {"_id": ObjectId(expired)}, {"$set": {"purgeAt": now_ms() - 1}}
        )
        orphan = names.file_key(expired, "another-run", attempt="1-1", extension="csv")
        service.store.put(orphan, b"left by a zombie")
        ground.gates.shut(part)
        due, left = [await cls._stored(service, status) for status in ("pending", "running")]
        ground.ids.extend((due, left))

        async def sweep() -> None:
            with suppress(ExportError):  # the next sweep does it
                await service.client.sweep()

        running = asyncio.create_task(sweep())
        await ground.inside(part, "")
        return cls(due, left, expired, running)

    @staticmethod
    async def _stored(service: Service, status: str) -> str:
        task_id = ObjectId()
        await service.collection.documents.insert_one(
            {
                "_id": task_id,
                "type": "statsMonthly",
                "params": MONTH,
                "status": status,
                "retries": 0,
                "maxRetries": 3,
                "createdBy": USER,
                "createdAt": now_ms(),
            }
        )
        return str(task_id)


async def kill(ground: Ground, killed: tuple[str, ...]) -> None:
    """Kill servers, open all gates, and start the servers again."""
    for server in killed:
        ground.servers.kill(server)
    ground.gates.open_all()
    await asyncio.sleep(1)  # long enough to meet a server that is away
    for server in killed:
        await asyncio.to_thread(ground.servers.start_again, server)


async def check_done(ground: Ground, task: ExportTask) -> None:
    """Check that an export is done; run it again if its server was away for too long."""
    if task.status is TaskStatus.FAILED:
        assert task.error
        assert task.error.code in AWAY, task.error
        # Without the database no attempt can be counted.
        if task.error.code == "E_STORE":
            assert task.retries == task.max_retries, "it was given up too early"
        await ground.service.client.retry(task.id, created_by=USER)
        [task] = await ground.ended([task.id])
    assert task.status is TaskStatus.DONE
    assert downloaded(task.download_url) == ground.references[task.type]


async def check_all(ground: Ground) -> None:
    """Check, after one sweep, that the bucket has the files of the tasks, and nothing else."""
    service = ground.service
    await service.client.sweep()
    tasks = await service.client.list(created_by=USER, limit=1000)
    assert sorted(task.id for task in tasks) == sorted(ground.ids)
    done = [task for task in tasks if task.status is TaskStatus.DONE]
    assert service.keys() == sorted(str(task.object_key) for task in done)
    assert service.open_uploads() == []
    for task in done:
        assert downloaded(task.download_url) == ground.references[task.type]


@pytest.mark.timeout(3600 if LONG else 1200)
async def test_exports_and_sweeps_survive_killed_servers(
    ground: Ground,
) -> None:
    for number, killed in enumerate(ROUNDS * TIMES):
        of = SERVERS if LONG else killed
        exports = [*THROUGHOUT, *(held for server in of for held in FINAL_STEPS[server])]
        # First, because a gate of the sweep holds every sweep.
        sweep = await Sweep.held(ground, SWEEP[number % len(SWEEP)])
        ids = list(await asyncio.gather(*map(ground.asked, exports)))
        await kill(ground, killed)
        await sweep.running
        for held, task in zip(exports, await ground.ended(ids), strict=True):
            if held.ends is TaskStatus.DONE:
                await check_done(ground, task)
                continue
            assert task.status is held.ends, (held, killed)
            if held.ends is TaskStatus.FAILED:
                assert task.error
                assert task.error.code == "E_MISMATCH", held
            else:
                assert task.cancel_reason == "enough"
        for task in await ground.ended([sweep.due, sweep.left]):
            await check_done(ground, task)
        await ground.service.client.sweep()
        assert (await ground.service.client.get(sweep.expired, created_by=USER)).status == "expired"
    await check_all(ground)
    ground.herd.replace_dead()
    assert ground.herd.deaths == 0, "the worker died with a server"

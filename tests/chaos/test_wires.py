"""Connections that are slow, cut, silent, half open or refused while exports are made.

The workers are processes of their own, and only they use the disturbed connections.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from temporalio.client import WorkflowFailureError

from dev.endpoints import Endpoints
from exports.tasks.task import ExportTask
from tests.support.chaos.forked import Orders, forked
from tests.support.chaos.forms import LONG
from tests.support.chaos.herd import environment_of
from tests.support.chaos.proxy import BlackHole, Fault, HalfOpen, Latency, Proxy, Refused, Reset
from tests.support.chaos.wires import SERVERS, corner, wires_to
from tests.support.service import Service, downloaded, insert_orders, open_service

# Far more than any export needs: one that takes longer never ends.
PATIENCE: Final = 200
READ_TIMEOUT: Final = None if LONG else 6
SIDE_BY_SIDE: Final = 18
ASKED: Final = (
    ("statsMonthly", {"year": 2026, "month": 10}, "csv"),
    ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}, "ndjson"),
)
RESETS: Final = (
    [
        Reset(after, toward, times=3)
        for after in (0, 300, 700, 1_500, 3_000, 6_000, 12_000)
        for toward in ("server", "client")
    ]
    if LONG
    else [Reset(700, "server", times=3), Reset(3_000, "client", times=3)]
)
FAULTS: Final[list[Fault]] = [Latency(0.3), *RESETS, BlackHole(), HalfOpen(), Refused()]
PASSING: Final = 3.0
"""Seconds after which a server that could not be reached is back."""


@dataclass(frozen=True)
class Left:
    """What exports leave: their tasks and files, and the keys in the bucket."""

    tasks: list[ExportTask]
    files: list[bytes]
    keys: list[str]
    open_uploads: list[str]


async def asked(service: Service) -> list[str]:
    tasks = [
        await service.client.create(kind, params, created_by="u1", format=file_format)
        for kind, params, file_format in ASKED
    ]
    return [task.id for task in tasks]


async def ended(service: Service, ids: list[str]) -> list[ExportTask]:
    async def one(task_id: str) -> ExportTask:
        task = await service.client.wait(task_id, created_by=None)
        with suppress(WorkflowFailureError):
            await service.run_of(task_id).result()
        return task

    async with asyncio.timeout(PATIENCE):
        return list(await asyncio.gather(*map(one, ids)))


async def left(service: Service, tasks: list[ExportTask]) -> Left:
    """Sweep once and see what is there."""
    await service.client.sweep()
    return Left(
        tasks,
        [await asyncio.to_thread(downloaded, task.download_url) for task in tasks],
        service.keys(),
        service.open_uploads(),
    )


async def endured(sound: Service, wire: Proxy, fault: Fault) -> list[ExportTask]:
    """Ask for exports until the fault has happened, and wait until they end."""
    tasks: list[ExportTask] = []
    while not tasks or not wire.happened:
        ids = await asked(sound)
        if isinstance(fault, BlackHole | Refused):
            while not wire.happened:
                await asyncio.sleep(0.05)
            await asyncio.sleep(PASSING)
            wire.recover()
            return await ended(sound, ids)
        tasks += await ended(sound, ids)
    return tasks


async def suffered(
    endpoints: Endpoints, folder: Path, server: str, fault: Fault
) -> tuple[Left, Left]:
    """Return what exports leave without a fault, and what the same exports leave with it."""
    async with (
        corner(endpoints) as settings,
        open_service(settings, endpoints.temporal_address) as sound,
    ):
        await insert_orders(sound.database)
        with wires_to(endpoints) as wires:
            environment = environment_of(
                wires.settings(settings),
                endpoints,
                TEMPORAL_ADDRESS=wires.temporal.address,
                EXPORTS_S3_ENDPOINT_URL=f"http://{wires.s3.address}",
            )
            log = folder / settings.task_queue
            async with forked(Orders(environment, log, read_timeout=READ_TIMEOUT)):
                # It also opens the connections that are disturbed later.
                before = await left(sound, await ended(sound, await asked(sound)))
                wire = wires.suffer(server, fault)
                async with asyncio.timeout(PATIENCE):
                    tasks = await endured(sound, wire, fault)
                wire.recover()
                return before, await left(sound, [*before.tasks, *tasks])


SCENARIOS: Final[list[tuple[str, Fault]]] = [
    (server, fault)
    for server in SERVERS
    for fault in FAULTS
    # The SDK needs most of a minute to find out that a connection is dead.
    if LONG or server != "temporal" or not isinstance(fault, BlackHole | HalfOpen)
]


@pytest.mark.timeout(1800 if LONG else 600)
async def test_an_export_over_a_bad_connection_ends_as_over_a_good_one(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    free = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(server: str, fault: Fault) -> tuple[Left, Left]:
        async with free:
            return await suffered(endpoints, tmp_path, server, fault)

    results = await asyncio.gather(
        *(one(*scenario) for scenario in SCENARIOS), return_exceptions=True
    )
    for scenario, result in zip(SCENARIOS, results, strict=True):
        if isinstance(result, BaseException):
            result.add_note(str(scenario))
            raise result
        before, after = result
        assert [task.status for task in after.tasks] == ["done"] * len(after.tasks), scenario
        assert after.files == before.files * (len(after.files) // 2), scenario
        assert all(task.retries <= task.max_retries for task in after.tasks), scenario
        assert after.keys == sorted(str(task.object_key) for task in after.tasks), scenario
        assert after.open_uploads == [], scenario

"""Wires to the servers that are slow, cut, silent, half open or refused, while exports are made."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pytest
from temporalio.client import WorkflowFailureError

from dev.endpoints import Endpoints
from exports import s3
from exports.task import ExportTask
from tests.chaos.forms import LONG
from tests.chaos.proxy import BlackHole, Fault, HalfOpen, Latency, Refused, Reset
from tests.chaos.wires import SERVERS, behind_wires, corner
from tests.service import Service, downloaded, insert_orders, open_service, working

# Far more than any of it needs; what has not ended then never ends.
PATIENCE: Final = 150
ASKED: Final = (
    ("statsMonthly", {"year": 2026, "month": 10}, "csv"),
    ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}, "ndjson"),
)
RESETS: Final = [
    Reset(after, toward, times=3)
    for after in ((0, 300, 700, 1_500, 3_000, 6_000, 12_000) if LONG else (700, 3_000))
    for toward in ("server", "client")
]
FAULTS: Final[list[Fault]] = [Latency(0.3), *RESETS, BlackHole(), HalfOpen(), Refused()]
PASSING: Final = 3.0
"""Seconds after which a server that was not to be reached is there again."""


@dataclass(frozen=True)
class Left:
    """What is there after exports: their tasks and files, and the keys in the bucket."""

    tasks: list[ExportTask]
    files: list[bytes]
    keys: list[str]
    open_uploads: list[str]


@pytest.fixture(autouse=True)
async def many_threads() -> AsyncIterator[None]:
    """A store that says nothing holds a thread, and many services share one loop here."""
    with ThreadPoolExecutor(200) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        yield


@pytest.fixture(autouse=True)
def less_patience_with_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    if not LONG:
        monkeypatch.setattr(s3, "READ_TIMEOUT", 6)


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


async def suffered(endpoints: Endpoints, server: str, fault: Fault) -> tuple[Left, Left]:
    """Return what exports leave without a fault, and the same ones with it."""
    async with (
        corner(endpoints) as settings,
        open_service(settings, endpoints.temporal_address) as sound,
        behind_wires(settings, endpoints) as (disturbed, wires),
    ):
        await insert_orders(sound.database)
        async with working(disturbed):
            # It also opens the connections that are to suffer.
            before = await left(sound, await ended(sound, await asked(sound)))
            wire = wires.suffer(server, fault)
            ids = await asked(sound)
            if isinstance(fault, BlackHole | Refused):
                await asyncio.sleep(PASSING)
                wire.recover()
            tasks = await ended(sound, ids)
            wire.recover()
            return before, await left(sound, [*before.tasks, *tasks])


SCENARIOS: Final[list[tuple[str, Fault]]] = [
    (server, fault)
    for server in SERVERS
    for fault in FAULTS
    # The SDK needs most of a minute to find out that a connection is dead.
    if LONG or server != "temporal" or not isinstance(fault, BlackHole | HalfOpen)
]


@pytest.mark.timeout(600)
async def test_an_export_over_a_bad_wire_ends_as_over_a_good_one_and_leaves_nothing(
    endpoints: Endpoints,
) -> None:
    results = await asyncio.gather(
        *(suffered(endpoints, *scenario) for scenario in SCENARIOS), return_exceptions=True
    )
    for scenario, result in zip(SCENARIOS, results, strict=True):
        if isinstance(result, BaseException):
            result.add_note(str(scenario))
            raise result
        before, after = result
        assert [task.status for task in after.tasks] == 4 * ["done"], scenario
        assert after.files == [*before.files, *before.files], scenario
        assert all(task.retries <= task.max_retries for task in after.tasks), scenario
        assert after.keys == sorted(str(task.object_key) for task in after.tasks), scenario
        assert after.open_uploads == [], scenario

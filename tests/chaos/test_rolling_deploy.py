"""Three workers are replaced one after the other under load, and no export is affected."""

import asyncio
import signal
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from dev.endpoints import Endpoints
from exports.models import TaskStatus
from tests.support.chaos.deployed import attempts_of, deployed
from tests.support.paths import REPOSITORY
from tests.support.service import Service, downloaded, insert_orders

if TYPE_CHECKING:
    from temporalio.client import Client

    from exports.tasks.task import ExportTask

_COMPOSE: Final = REPOSITORY / "compose" / "temporal-dynamicconfig.yaml"
_LEAST: Final = 24
_AT_ONCE: Final = 4
_KINDS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("statsMonthly", {"year": 2026, "month": 10}),
    ("statsAnnual", {"year": 2026}),
)


class _Load:
    """People who keep asking for exports, a few at a time, until they are told to stop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kinds = cycle(_KINDS)
        self.ended: list[ExportTask] = []
        self.enough = asyncio.Event()

    async def goes_on(self) -> None:
        await asyncio.gather(*(self._asks(f"u{person}") for person in range(_AT_ONCE)))

    async def _asks(self, person: str) -> None:
        while len(self.ended) < _LEAST or not self.enough.is_set():
            kind, params = next(self._kinds)
            task = await self._service.create(kind, params=params, created_by=person)
            self.ended.append(await self._service.ended(task.id))


async def test_workers_are_replaced_one_after_the_other_and_every_export_is_done_at_first_try(
    idle_service: Service, endpoints: Endpoints, tmp_path: Path
) -> None:
    await insert_orders(idle_service.database)
    load = _Load(idle_service)
    started = (idle_service.settings, endpoints, tmp_path)
    async with AsyncExitStack() as running, asyncio.TaskGroup() as people:
        old = await asyncio.gather(
            *(running.enter_async_context(deployed(*started)) for _ in range(3))
        )
        people.create_task(load.goes_on())
        for before in old:
            await running.enter_async_context(deployed(*started))
            before.hears(signal.SIGTERM)
            assert await before.ended() == 0
        load.enough.set()
        while not len(load.ended) >= _LEAST:
            await asyncio.sleep(0.05)
    files: dict[str, set[bytes]] = {kind: set() for kind, _ in _KINDS}
    for task in load.ended:
        assert (task.status, task.retries) == (TaskStatus.DONE, 0), task.error
        files[task.type].add(downloaded(task.download_url))
        # Nothing was given back or retried. On a busy machine a worker may have been
        # taken for lost, which is not counted.
        outcomes = {each.outcome for each in await attempts_of(idle_service, task.id)}
        assert outcomes <= {"completed", "timed out: TIMEOUT_TYPE_HEARTBEAT"}
    assert {kind: len(contents) for kind, contents in files.items()} == dict.fromkeys(files, 1)


async def test_the_server_gives_no_step_to_a_worker_that_is_disconnecting(
    temporal_client: "Client",
) -> None:
    described = await temporal_client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=temporal_client.namespace)
    )
    assert described.namespace_info.capabilities.worker_poll_complete_on_shutdown
    of_compose = yaml.safe_load(_COMPOSE.read_text(encoding="utf-8"))
    assert of_compose["frontend.enableCancelWorkerPollsOnShutdown"] == [{"value": True}]

"""Old and new workers side by side, as versions of one worker deployment."""

import asyncio
import re
import shlex
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from dev.endpoints import Endpoints
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks.task import ExportTask
from tests.support.chaos.deployed import PATIENCE, Deployed, attempts_of, deployed
from tests.support.chaos.temporal_command import temporal, temporal_json
from tests.support.paths import REPOSITORY
from tests.support.service import Service, open_service

KINDS = ("held", "heldBulk")


class Deployment:
    """A worker deployment: its versions are processes, and one is current."""

    def __init__(self, service: Service, endpoints: Endpoints, folder: Path) -> None:
        self.service = service
        self.name = service.settings.task_queue
        self._endpoints = endpoints
        self._folder = folder
        self._running = AsyncExitStack()
        self._of: dict[str, Deployed] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def starts(self, build: str, takes: str = "all") -> Deployed:
        """Start a worker of a version."""
        worker = deployed(
            *(self.service.settings, self._endpoints, self.gate(build)),
            EXPORTS_DEPLOYMENT_NAME=self.name,
            EXPORTS_BUILD_ID=build,
            EXPORTS_WORKER_TAKES=takes,
            EXPORTS_SHUTDOWN_GRACE="1",
        )
        self._of[build] = await self._running.enter_async_context(worker)
        return self._of[build]

    async def stops(self, build: str) -> Deployed:
        """Stop the one worker of a version as soon as it holds an export."""
        worker = self._of[build]
        await worker.holds(self.gate(build))
        worker.hears(signal.SIGTERM)
        assert await worker.ended() == 0
        return worker

    def gate(self, build: str) -> Path:
        """Return where the workers of a version wait."""
        folder = self._folder / build
        folder.mkdir(exist_ok=True)
        return folder

    async def makes_current(self, build: str) -> None:
        """Make a version the current one, as soon as the server knows of its workers."""
        which = ("--deployment-name", self.name, "--build-id", build, "--yes")
        async with asyncio.timeout(150):
            while True:
                try:
                    await temporal(
                        self._endpoints, *("worker", "deployment", "set-current-version", *which)
                    )
                except AssertionError:
                    await asyncio.sleep(0.2)
                else:
                    return

    async def version_of(self, task: ExportTask) -> str:
        """Return the version that an export runs on."""
        found = await temporal_json(
            self._endpoints, *("workflow", "describe", "--workflow-id", f"export-{task.id}")
        )
        info = found["workflowExecutionInfo"]["versioningInfo"]
        assert info["behavior"] == "VERSIONING_BEHAVIOR_PINNED"
        return str(info["deploymentVersion"]["buildId"])

    async def workers_of(self, task: ExportTask) -> set[int]:
        """Return which processes had a step of an export."""
        return {each.worker for each in await attempts_of(self.service, task.id)}


@pytest.fixture
async def deployment(
    settings: Settings, temporal_address: str, endpoints: Endpoints, tmp_path: Path
) -> AsyncIterator[Deployment]:
    reports = tmp_path / "held.toml"
    reports.write_text(
        '[reports.held]\npython = "tests.support.held_report:HeldReport"\n'
        '[reports.heldBulk]\npython = "tests.support.held_report:HeldBulkReport"\n'
    )
    changed = settings.model_copy(update={"reports_file": reports})
    async with (
        open_service(changed, temporal_address) as service,
        Deployment(service, endpoints, tmp_path) as versions,
    ):
        yield versions


async def test_an_export_ends_on_the_version_that_it_began_on_while_new_ones_begin_on_the_next(
    deployment: Deployment,
) -> None:
    service = deployment.service
    old = await deployment.starts("1")
    await deployment.makes_current("1")
    begun = [await service.create(kind, params={}) for kind in KINDS]
    await old.holds(deployment.gate("1"), units=2)
    new = await deployment.starts("2")
    await deployment.makes_current("2")
    (deployment.gate("2") / "open").touch()
    later = [await service.create(kind, params={}) for kind in KINDS]
    for task in later:
        assert (await service.ended(task.id)).status is TaskStatus.DONE
        assert await deployment.version_of(task) == "2"
        assert await deployment.workers_of(task) == {new.pid}
    (deployment.gate("1") / "open").touch()
    for task in begun:
        ended = await service.ended(task.id)
        assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
        assert await deployment.version_of(task) == "1"
        assert await deployment.workers_of(task) == {old.pid}


async def test_workers_for_heavy_steps_are_part_of_the_version(deployment: Deployment) -> None:
    service = deployment.service
    old_small = await deployment.starts("1", takes="small")
    old_bulk = await deployment.starts("1", takes="bulk")
    await deployment.makes_current("1")
    begun = await service.create("heldBulk", params={})
    await old_bulk.holds(deployment.gate("1"))
    new_small = await deployment.starts("2", takes="small")
    new_bulk = await deployment.starts("2", takes="bulk")
    await deployment.makes_current("2")
    for build in ("1", "2"):
        (deployment.gate(build) / "open").touch()
    later = await service.create("heldBulk", params={})
    for task, small, bulk in ((begun, old_small, old_bulk), (later, new_small, new_bulk)):
        ended = await service.ended(task.id)
        assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
        await service.run_of(task.id).result()  # its last step ends a moment after the task does
        by = {(each.step, each.worker) for each in await attempts_of(service, task.id)}
        assert by == {
            *((step, small.pid) for step in ("claim", "writeback-done")),
            *((step, bulk.pid) for step in ("aggregate", "upload")),
        }


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield each `temporal` command of a page, as a shell would split it."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("temporal "):
                yield shlex.split(line, comments=True)[1:]


async def test_the_commands_of_the_page_on_changing_workflows_do_what_it_says(
    deployment: Deployment, endpoints: Endpoints
) -> None:
    service = deployment.service
    await deployment.starts("1.3.0")
    await deployment.makes_current("1.3.0")
    begun = await service.create("held", params={})
    old = await deployment.stops("1.3.0")
    new = await deployment.starts("1.4.0")
    (deployment.gate("1.4.0") / "open").touch()
    commands = list(_commands(REPOSITORY / "docs" / "changing-workflows.md"))
    for words in commands:
        own = [re.sub(r"^exports$|(?<=\")exports(?=:)", deployment.name, word) for word in words]
        async with asyncio.timeout(PATIENCE):
            while not await _accepted(endpoints, own):  # the server learns of workers with a delay
                await asyncio.sleep(0.5)
    assert len(commands) == 8
    ended = await service.ended(begun.id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
    assert (await deployment.workers_of(begun)) == {old.pid, new.pid}


async def _accepted(endpoints: Endpoints, command: list[str]) -> bool:
    try:
        await temporal(endpoints, *command)
    except AssertionError as refused:
        if "unknown" in str(refused) or "invalid" in str(refused):
            raise
        return False
    return True

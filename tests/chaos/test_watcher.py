"""Documents of another system, while the watcher and the database die: each is started once.

There are 200 of them, or 500 (`make chaos EXPORTS=500`).

No sweep runs. The runs only take their task, so that the starts are what is tested.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo.errors import BulkWriteError, ConnectionFailure
from temporalio import activity, workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from dev.endpoints import Endpoints
from exports import names
from tests.support.chaos.deployed import Deployed, deployed
from tests.support.chaos.forms import LONG
from tests.support.chaos.killable_servers import KillableDatabase
from tests.support.chaos.proxy import HalfOpen, Proxy, Refused, proxy_to
from tests.support.chaos.wires import corner
from tests.support.service import PATIENCE, Service, open_service
from tests.support.stored_tasks import TASK

INSERTS: Final = 500 if LONG else 200
AT_ONCE: Final = 10
PROGRAM: Final = ("-m", "tests.support.chaos.watching_entry")


@workflow.defn(name=names.EXPORT_WORKFLOW)
class TakenOnly:
    """A run that takes its task and ends, so that another start of it would be another run."""

    @workflow.run
    async def run(self, request: dict[str, Any]) -> None:
        await workflow.execute_local_activity(
            "take", request["taskId"], start_to_close_timeout=timedelta(minutes=1)
        )


@dataclass
class Watched:
    """A service whose documents are watched by worker processes.

    Attributes:
        wire: Between the processes and the database.
        running: The processes.
        inserted: How many documents there are for certain.
    """

    service: Service
    endpoints: Endpoints
    killable: KillableDatabase
    wire: Proxy
    folder: Path
    closing: AsyncExitStack
    running: list[Deployed] = field(default_factory=list[Deployed])
    inserted: int = 0

    @property
    def tasks(self) -> Any:
        return self.service.database["ExportTasks"]

    async def start(self) -> None:
        started = deployed(
            self.service.settings,
            self.endpoints,
            self.folder,
            PROGRAM,
            EXPORTS_MONGO_URI=f"mongodb://{self.wire.address}/?directConnection=true",
        )
        self.running.append(await self.closing.enter_async_context(started))

    async def holder(self) -> Deployed:
        """Wait until one of the processes watches; return it."""
        while True:
            found = await self.service.database["ExportWatch"].find_one() or {}
            for process in self.running:
                if str(found.get("holder")).startswith(f"{process.pid}@"):
                    return process
            await asyncio.sleep(0.1)

    async def insert(self, count: int) -> None:
        """Insert documents, a few at a time; those that are not there after a fault once more."""
        for _ in range(count // AT_ONCE):
            missing = {stored_id: {"_id": stored_id, **TASK} for stored_id in _ids(AT_ONCE)}
            while missing:
                with suppress(ConnectionFailure, BulkWriteError):
                    await self.tasks.insert_many([*missing.values()], ordered=False)
                with suppress(ConnectionFailure):
                    async for found in self.tasks.find({"_id": {"$in": [*missing]}}, {"_id": True}):
                        del missing[found["_id"]]
            self.inserted += AT_ONCE


def _ids(count: int) -> list[ObjectId]:
    return [ObjectId() for _ in range(count)]


@pytest.fixture
async def watched(endpoints: Endpoints, tmp_path: Path) -> AsyncGenerator[Watched]:
    async with AsyncExitStack() as closing:
        killable = closing.enter_context(KillableDatabase())
        uri = killable.endpoints.mongo_uri
        settings = await closing.enter_async_context(corner(endpoints, mongo_uri=SecretStr(uri)))
        service = await closing.enter_async_context(
            open_service(settings, endpoints.temporal_address)
        )
        wire = closing.enter_context(proxy_to(uri))
        made = Watched(service, endpoints, killable, wire, tmp_path, closing)

        @activity.defn
        async def take(task_id: str) -> None:
            run = activity.info().workflow_run_id
            await made.tasks.update_one(
                {"_id": ObjectId(task_id)},
                {"$set": {"status": "done", "runId": run}, "$addToSet": {"runs": run}},
            )

        await closing.enter_async_context(
            Worker(
                service.temporal,
                task_queue=settings.task_queue,
                workflows=[TakenOnly],
                activities=[take],
                workflow_runner=UnsandboxedWorkflowRunner(),
            )
        )
        yield made


@pytest.mark.timeout(300)
async def test_each_of_many_documents_is_started_once_whatever_dies_meanwhile(
    watched: Watched,
) -> None:
    await asyncio.gather(watched.start(), watched.start())
    first = await watched.holder()
    await watched.insert(INSERTS // 5)
    first.hears(signal.SIGKILL)
    await first.ended()
    watched.running.remove(first)
    await watched.insert(INSERTS // 5)
    await watched.holder()
    for fault in (Refused(), HalfOpen()):
        watched.wire.suffer(fault)
        await watched.insert(INSERTS // 5)
        watched.wire.recover()
    inserting = asyncio.create_task(watched.insert(INSERTS // 5))
    while watched.inserted < INSERTS * 9 // 10:
        await asyncio.sleep(0)
    watched.killable.kill("mongo")
    await asyncio.to_thread(watched.killable.start_again, "mongo")
    await inserting
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while await watched.tasks.count_documents({"status": "done"}) < INSERTS:
            await asyncio.sleep(0.2)
    runs = [len(task["runs"]) async for task in watched.tasks.find({}, {"runs": True})]
    assert runs == [1] * INSERTS

"""What other systems insert is started at once, by the rules of the sweep, and nothing is lost."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, OperationFailure
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode, ServiceClient
from temporalio.worker import Worker

import worker
from exports import names
from exports.clock import now_ms
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks.collection import TaskCollection
from exports.watcher import lease, watcher
from exports.watcher.watcher import Watcher
from tests.support.sent_commands import SentCommands
from tests.support.service import PATIENCE, Service, insert_orders
from tests.support.stored_tasks import TASK, insert_task

HISTORY_LOST = 286
STANDALONE = 40573


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watcher wait less."""
    for module, name, seconds in (
        (lease, "RENEWED_EVERY", 0.1),
        (watcher, "RENEWED_EVERY", 0.1),
        (lease, "FREE_AFTER", 1.0),
        (watcher, "_FIRST_PAUSE", 0.02),
        (watcher, "_SLOWEST", 0.1),
        (watcher, "_SLOWEST_WITHOUT", 0.1),
    ):
        monkeypatch.setattr(module, name, seconds)


def accepts(_: str) -> None:
    """Temporal starts it."""


def away(_: str) -> RPCStatusCode:
    """Temporal does not answer."""
    return RPCStatusCode.UNAVAILABLE


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> "Starts":
    """Temporal's answers to starts, which nothing but this test gives."""
    return Starts(monkeypatch)


class Starts:
    """Stands in for the start of workflows: which were started, and what fails.

    Attributes:
        ids: The workflows that were started, in their order.
        tried: The same, with those that were not started.
        held: If it is set, the next starts wait for it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: list[str] = []
        self.tried: list[str] = []
        self.held: asyncio.Event | None = None
        self.failing: Callable[[str], RPCStatusCode | None] = accepts
        self.healthy = True

        async def start(_: Client, __: str, ___: object, **named: Any) -> None:
            self.tried.append(named["id"])
            if self.held:
                await self.held.wait()
            if status := self.failing(named["id"]):
                raise RPCError("no", status, b"")
            if named["id"] in self.ids:
                raise WorkflowAlreadyStartedError(named["id"], names.EXPORT_WORKFLOW)
            self.ids.append(named["id"])

        async def health(*_: object, **__: object) -> bool:
            if not self.healthy:
                raise RPCError("no", RPCStatusCode.UNAVAILABLE, b"")
            return True

        monkeypatch.setattr(Client, "start_workflow", start)
        monkeypatch.setattr(ServiceClient, "check_health", health)

    async def are(self, *ids: str) -> None:
        """Wait until the workflows of these tasks were started, each once, and no others."""
        wanted = sorted(map(names.workflow_id, ids))
        await until(lambda: len(self.ids) >= len(wanted))
        assert sorted(self.ids) == wanted


class Watching:
    """A watcher with a client of its own, and the commands that it sends."""

    def __init__(self, service: Service) -> None:
        self.commands = SentCommands()
        uri = service.settings.mongo_uri.get_secret_value()
        self.mongo = AsyncMongoClient[dict[str, Any]](uri, event_listeners=[self.commands])
        tasks = TaskCollection(self.mongo[service.database.name], origin="1@host")
        self.watcher = Watcher(tasks, service.temporal, service.settings.task_queue)

    def streams(self) -> list[dict[str, Any]]:
        """The change streams that it has opened."""
        return [
            each["pipeline"][0]["$changeStream"]
            for each in self.commands.sent
            if "aggregate" in each
        ]

    def looks(self) -> int:
        """How often it has looked at all tasks."""
        return sum(
            each.get("find") == "ExportTasks"
            and "status" in each["filter"]
            and "_id" not in each["filter"]
            for each in self.commands.sent
        )


@asynccontextmanager
async def watching(service: Service) -> AsyncGenerator[Watching]:
    made = Watching(service)
    async with made.mongo, made.watcher.at_work():
        yield made


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not holds():
            await asyncio.sleep(0.01)


async def place(service: Service) -> Any:
    """The place that the holder of the lease has stored."""
    found = await service.database["ExportWatch"].find_one()
    return found and found.get("token")


async def renewed(service: Service) -> Any:
    """The place that the holder stores with its next renewal."""
    leases = service.database["ExportWatch"]
    before = await leases.find_one({}, {"beat": True})
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while await leases.find_one({}, {"beat": True}) == before:
            await asyncio.sleep(0.01)
    return await place(service)


async def has_place(service: Service) -> Any:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not (found := await place(service)):
            await asyncio.sleep(0.01)
    return found


async def failed(service: Service, stored_id: object) -> str:
    """Wait until a task has failed; return its code."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while True:
            found = await service.database["ExportTasks"].find_one({"_id": stored_id})
            assert found
            if found["status"] == "failed":
                return str(found["error"]["code"])
            await asyncio.sleep(0.02)


async def test_what_another_system_inserts_is_exported_without_any_sweep(
    service: Service,
) -> None:
    await insert_orders(service.database)
    waiting = await insert_task(service)  # since before the watcher
    async with watching(service) as made:
        await has_place(service)
        now = await insert_task(service, _id=f"任务/{ObjectId()} ?#")
        wrong = await insert_task(service, params={"year": 2026, "month": 13})
        for task_id in (waiting, now):
            assert (await service.ended(task_id)).status is TaskStatus.DONE
        failed = await service.ended(wrong)
        assert failed.error
        assert failed.error.code == "E_PARAMS"
        assert made.looks() == 1


async def test_nothing_is_started_that_is_not_due_or_that_others_start(
    idle_service: Service, started: Starts
) -> None:
    async with watching(idle_service):
        await has_place(idle_service)
        later = await insert_task(idle_service, nextRunAt=now_ms() + 60_000)
        await insert_task(idle_service, _id="a-clients", audit=[])
        await insert_task(idle_service, _id="taken", runId="r")
        await insert_task(idle_service, _id="done", status="done")
        draft = await insert_task(idle_service, status="draft")
        due = await insert_task(idle_service)
        await started.are(due)
        tasks = idle_service.database["ExportTasks"]
        await tasks.update_one({"_id": ObjectId(draft)}, {"$set": {"status": "pending"}})
        await tasks.update_one(
            {"_id": ObjectId(due)}, {"$set": {"status": "pending", "updatedAt": 1}}
        )
        await started.are(due, draft)
        assert started.tried.count(names.workflow_id(due)) == 1
        await tasks.replace_one({"_id": ObjectId(later)}, TASK)
        await started.are(due, draft, later)


async def test_documents_of_any_shape_are_refused_or_left_alone_and_hold_up_nobody(
    idle_service: Service, started: Starts
) -> None:
    odd: dict[Any, dict[str, Any]] = {
        17: {},
        "": {},
        "nextRunAt": {"nextRunAt": [0]},
        "workflowId": {"workflowId": "another"},
        "runStartedAt": {"runStartedAt": "soon"},
    }
    async with watching(idle_service):
        await has_place(idle_service)
        await insert_task(idle_service, _id={"a": {"$b": 1}}, status=["pending"], createdBy=[{}])
        for stored_id, changes in odd.items():
            await insert_task(idle_service, _id=stored_id, **changes)
        good = await insert_task(idle_service, _id="good")
        await started.are(good)
        for stored_id in odd:
            assert await failed(idle_service, stored_id) == "E_TASK"


async def test_of_two_workers_one_watches_and_the_other_takes_over(
    idle_service: Service, started: Starts
) -> None:
    async with AsyncExitStack() as first_stops, watching(idle_service) as other:
        first = await first_stops.enter_async_context(watching(idle_service))
        await until(lambda: bool(first.streams() or other.streams()))
        active, waiting = (first, other) if first.streams() else (other, first)
        await has_place(idle_service)
        one = await insert_task(idle_service)
        await started.are(one)
        assert (len(active.streams()), waiting.streams()) == (1, [])


async def test_who_comes_next_begins_where_the_last_one_was(
    idle_service: Service, started: Starts
) -> None:
    async with watching(idle_service):
        await has_place(idle_service)
    meanwhile = [await insert_task(idle_service) for _ in range(3)]
    async with watching(idle_service) as made:
        await started.are(*meanwhile)
    assert [*made.streams()[0]] == ["resumeAfter"]
    assert made.looks() == 0
    for command in made.commands.sent:
        if "aggregate" in command or "find" in command:
            assert command["readConcern"]["level"] == "majority"
        if "update" in command:
            assert command["writeConcern"]["w"] == "majority"


async def test_the_place_is_stored_only_after_temporal_has_acknowledged_the_starts(
    idle_service: Service, started: Starts
) -> None:
    async with watching(idle_service):
        await has_place(idle_service)
        started.held = asyncio.Event()
        task_id = await insert_task(idle_service)
        await until(lambda: bool(started.tried))
        before, later = [await renewed(idle_service) for _ in range(2)]
        assert before == later
        started.held.set()
        await started.are(task_id)
        while await place(idle_service) == before:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("lost", ["opening", "reading"])
async def test_if_the_place_is_lost_it_looks_for_what_is_due(
    idle_service: Service, started: Starts, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    if lost == "opening":
        async with watching(idle_service):
            await has_place(idle_service)
        task_id = await insert_task(idle_service)
        await idle_service.database["ExportWatch"].update_one({}, {"$set": {"token._data": "00"}})
        async with watching(idle_service) as made:
            await started.are(task_id)
    else:
        async with watching(idle_service) as made:
            await has_place(idle_service)
            read = AsyncChangeStream[Any].try_next
            with monkeypatch.context() as patched:

                async def lose(_: Any) -> Any:
                    raise OperationFailure("not in the oplog any more", HISTORY_LOST)

                patched.setattr(AsyncChangeStream, "try_next", lose)
                task_id = await insert_task(idle_service)
                await until(lambda: made.looks() > 2)
            assert AsyncChangeStream[Any].try_next is read
            await started.are(task_id)
    assert made.looks() > 0
    assert "resumeAfter" not in made.streams()[-1]


async def test_where_there_are_no_change_streams_it_says_so_once(
    idle_service: Service,
    started: Starts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[int] = []

    async def refuse(*_: object, **__: object) -> None:
        tries.append(1)
        raise OperationFailure("only supported on replica sets", STANDALONE)

    with monkeypatch.context() as patched, caplog.at_level(logging.INFO, "exports"):
        patched.setattr(AsyncCollection, "watch", refuse)
        async with watching(idle_service):
            await until(lambda: len(tries) > 3)
            [said] = [record.message for record in caplog.records]
            assert "the next sweep" in said
            assert "replica set" in said
            patched.undo()
            await has_place(idle_service)
            task_id = await insert_task(idle_service)
            await started.are(task_id)


async def test_that_there_are_no_change_streams_is_said_also_if_the_database_was_away_before(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [AutoReconnect("away"), OperationFailure("interrupted", 11601)]
    tries: list[int] = []

    async def refuse(*_: object, **__: object) -> None:
        tries.append(1)
        number = (len(tries) - 1) // 2
        raise answers[number] if number < len(answers) else OperationFailure("no", STANDALONE)

    monkeypatch.setattr(AsyncCollection, "watch", refuse)
    with caplog.at_level(logging.WARNING, "exports"):
        async with watching(idle_service):
            await until(lambda: len(tries) > 6)
    said = [record.message for record in caplog.records]
    assert ["replica set" in message for message in said] == [False, True]


@pytest.mark.parametrize("watch", [True, False])
async def test_a_worker_watches_unless_that_is_switched_off(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch, *, watch: bool
) -> None:
    watched: list[Watcher] = []

    @asynccontextmanager
    async def at_work(self: Watcher) -> AsyncGenerator[None]:
        watched.append(self)
        yield

    class StopsAtOnce:
        def __init__(self, _: timedelta) -> None:
            pass

        async def wait(self) -> None:
            pass

    def no_workers(*_: object) -> list[Worker]:
        return []

    monkeypatch.setattr(Watcher, "at_work", at_work)
    monkeypatch.setattr(worker, "StopSignals", StopsAtOnce)
    monkeypatch.setattr(worker, "create_workers", no_workers)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    await worker.run(settings.model_copy(update={"watch": watch}))
    assert bool(watched) is watch


async def test_while_temporal_is_away_it_waits_and_loses_nothing(
    idle_service: Service, started: Starts
) -> None:
    started.healthy, started.failing = False, away
    async with watching(idle_service):
        await has_place(idle_service)
        ids = [await insert_task(idle_service) for _ in range(20)]
        await until(lambda: bool(started.tried))
        await asyncio.sleep(0.3)
        assert len(started.tried) <= len(ids), "it does not ask again before Temporal is back"
        started.healthy, started.failing = True, accepts
        await started.are(*ids)


@pytest.mark.parametrize("status", [RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.INTERNAL])
async def test_a_document_that_temporal_refuses_is_left_to_the_sweep(
    idle_service: Service,
    started: Starts,
    caplog: pytest.LogCaptureFixture,
    status: RPCStatusCode,
) -> None:
    refused = names.workflow_id("refused")
    started.failing = lambda workflow: status if workflow == refused else None
    async with watching(idle_service):
        before = await has_place(idle_service)
        await insert_task(idle_service, _id="refused")
        await until(lambda: "left to the next sweep" in caplog.text)
        good = await insert_task(idle_service)
        await started.are(good)
        while await place(idle_service) == before:
            await asyncio.sleep(0.02)
    assert (await idle_service.document("refused"))["status"] == "pending"


async def test_a_watcher_that_is_stopped_while_it_takes_the_lease_gives_it_back(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, taken = lease.Lease.take, asyncio.Event()

    async def without_answer(self: lease.Lease) -> bool:
        await take(self)
        taken.set()
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(lease.Lease, "take", without_answer)
    async with watching(idle_service):
        await taken.wait()
    found = await idle_service.database["ExportWatch"].find_one()
    assert found is not None
    assert found["holder"] is None

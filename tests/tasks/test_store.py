"""Finding and storing tasks: the commands that are sent, and the error if none is answered."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import DatetimeMS, ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from exports.clock import now_ms
from exports.documents import MAJORITY_TIMEOUT, translated
from exports.errors import (
    DatabaseAccessError,
    DatabaseUnavailableError,
    ExportError,
    TaskInvalidError,
    TaskNotFoundError,
)
from exports.models import TaskStatus
from exports.tasks.indexes import task_indexes
from exports.tasks.listing import Wanted
from exports.tasks.task import ExportTask
from tests.support.sent_commands import SentCommands
from tests.support.task_steps import ME, REQUEST, TRANSITIONS, WHY, Tasks, done, insert

Database = AsyncDatabase[dict[str, Any]]

NOW = datetime(2026, 10, 5, tzinfo=UTC)
LAST = DatetimeMS(8_640_000_000_000_000)  # the last moment that a date of JavaScript can be


@pytest.mark.parametrize("task_id", [ObjectId(), "t1", "0" * 24, "12 bytes str", "任务/1", "a$b.c"])
async def test_a_task_is_found_whatever_kind_of_id_it_has(
    tasks: Tasks, collection: Any, task_id: object
) -> None:
    await insert(collection, _id=ObjectId(), createdBy="another")
    await insert(collection, _id=task_id)
    ref = ME.model_copy(update={"task_id": str(task_id)})
    assert (await tasks.client.get(str(task_id), created_by="u1")).id == str(task_id)
    assert await tasks.run.claim(ref, run_started_at=100) is not None
    assert (await done(tasks.run, ref)).result.task_id == str(task_id)
    assert set(await tasks.sweep.owners([str(task_id), "none"])) == {str(task_id)}


async def test_somebody_elses_task_does_not_exist(tasks: Tasks, collection: Any) -> None:
    await insert(collection)
    await insert(collection, _id="ownerless", createdBy=None)
    for task_id, asking in (("t1", "u2"), ("t1", ""), ("ownerless", ""), ("none", None)):
        with pytest.raises(TaskNotFoundError):
            await tasks.client.get(task_id, created_by=asking)
    assert (await tasks.client.get("t1", created_by=None)).created_by == "u1"


async def test_the_newest_tasks_come_first(tasks: Tasks, collection: Any) -> None:
    for number, owner in enumerate(["u1", "u2", "u1", "u1"]):
        await insert(collection, _id=str(number), createdAt=number, createdBy=owner)
    await insert(collection, _id="rubbish", status="on hold", createdAt=9)
    found = (await tasks.client.page(created_by="u1", limit=2)).items
    assert [task.id for task in found] == ["3", "2"]
    assert len((await tasks.client.page(created_by=None, limit=10)).items) == 4
    assert (
        await tasks.client.page(created_by=None, wanted=Wanted(TaskStatus.DONE), limit=10)
    ).items == []


async def test_the_document_of_a_run_is_created_once(tasks: Tasks, collection: Any) -> None:
    await tasks.run.create_for_run(REQUEST, ME)
    await tasks.run.claim(ME, run_started_at=100)
    await tasks.run.create_for_run(REQUEST, ME)
    [only] = await collection.find({}).to_list()
    assert (only["_id"], only["status"], only["maxRetries"]) == ("t1", "running", 3)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, {"a\0b": 1}])
async def test_what_the_database_can_not_store_is_refused_and_not_retried(
    tasks: Tasks, value: Any
) -> None:
    request = REQUEST.model_copy(update={"params": {"year": value}})
    for storing in (tasks.asked.create(request), tasks.run.create_for_run(request, ME)):
        with pytest.raises(TaskInvalidError) as refused:
            await storing
        assert refused.value.permanent
        assert str(value) not in refused.value.msg


def test_a_document_that_can_not_be_decoded_strictly_does_not_hide_the_others(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other drivers store these; the embedded server does not, so the decoding alone is tested.
    asked: dict[str, Any] = {}

    def get_collection(_: str, **how: Any) -> None:
        asked.update(how)

    monkeypatch.setattr(mongo_database, "get_collection", get_collection)
    Tasks(mongo_database)

    def read(field: str, stored: object, part: bytes, instead: bytes) -> ExportTask:
        encoded = bson.encode({"_id": "t1", "status": "pending", field: stored})
        assert encoded.count(part) == 1
        changed = encoded.replace(part, instead)
        decoded = bson.decode(changed, asked["codec_options"])
        return ExportTask.from_document(decoded)

    assert read("createdAt", NOW, _bytes(NOW), _bytes(LAST)).created_at == int(LAST)
    assert read("type", "Zstats", b"Zstats", b"\xffstats").type == "�stats"


def _bytes(moment: datetime | DatetimeMS) -> bytes:
    return bson.encode({"t": moment})[7:15]


async def test_writes_wait_for_the_majority_and_reads_see_what_it_holds(
    mongo_uri: str, mongo_database: Database
) -> None:
    commands = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[commands]) as client:
        tasks = Tasks(client[mongo_database.name])
        await task_indexes(tasks.collection).ensure()
        task = await tasks.asked.create(REQUEST)
        await tasks.run.create_for_run(REQUEST, ME)
        await tasks.run.claim(ME, run_started_at=100)
        for name in ("attempt started", "progress", "attempt failed", "failed"):
            await TRANSITIONS[name](tasks.run, ME)
        await tasks.asked.reset(await tasks.client.get("t1", created_by=None), asked_by=None)
        document = await tasks.collection.find(task.id)
        assert document is not None
        await tasks.sweep.close_failed(document, WHY)
        await tasks.client.page(created_by=None, limit=5)
        await tasks.sweep.owners([task.id])
        for pages in (tasks.sweep.due(now_ms()), tasks.sweep.taken(), tasks.sweep.expired(0)):
            async for _ in pages:
                pass
    reads = [command for command in commands.sent if "find" in command]
    writes = [
        command for command in commands.sent if {"insert", "update", "createIndexes"} & set(command)
    ]
    assert len(reads) >= 5
    assert len(writes) >= 10
    assert all(command["readConcern"] == {"level": "majority"} for command in reads)
    wait = {"w": "majority", "wtimeout": MAJORITY_TIMEOUT}
    assert all(command["writeConcern"] == wait for command in writes)


async def test_indexes_may_be_there_already(tasks: Tasks, collection: Any) -> None:
    await task_indexes(tasks.collection).ensure()
    first = await collection.index_information()
    await task_indexes(tasks.collection).ensure()
    assert await collection.index_information() == first
    assert {"purgeAt_1", "removeAt_1", "createdBy_1_createdAt_-1__id_-1"} < set(first)


async def _first_page(pages: AsyncIterator[object]) -> None:
    await anext(pages)


AWAY: dict[str, Callable[[Tasks], Awaitable[object]]] = {
    "create": lambda tasks: tasks.asked.create(REQUEST),
    "create for run": lambda tasks: tasks.run.create_for_run(REQUEST, ME),
    "find": lambda tasks: tasks.collection.find("s3cr3t-id"),
    "page": lambda tasks: tasks.client.page(created_by="u1", limit=1),
    "claim": lambda tasks: tasks.run.claim(ME, run_started_at=1),
    "due": lambda tasks: _first_page(tasks.sweep.due(1)),
    "taken": lambda tasks: _first_page(tasks.sweep.taken()),
    "expired": lambda tasks: _first_page(tasks.sweep.expired(1)),
    "owners": lambda tasks: tasks.sweep.owners(["t1"]),
    "ensure indexes": lambda tasks: task_indexes(tasks.collection).ensure(),
    "done": lambda tasks: done(tasks.run, ME, "https://s3cr3t"),
}


@pytest.mark.parametrize("name", AWAY)
async def test_the_error_of_a_database_that_is_away_repeats_no_value(name: str) -> None:
    uri = "mongodb://us3r:s3cr3t@%2Fnowhere.sock"
    async with AsyncMongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=50) as client:
        with pytest.raises(DatabaseUnavailableError) as away:
            await AWAY[name](Tasks(client["t"]))
    assert not away.value.permanent
    assert "s3cr3t" not in f"{away.value!r} {away.value.__cause__!r}"
    assert "ServerSelectionTimeoutError" in away.value.msg


@pytest.mark.parametrize(
    ("code", "error"),
    [(13, DatabaseAccessError), (18, DatabaseAccessError), (11600, DatabaseUnavailableError)],
)
def test_a_refusal_has_another_code_than_an_outage(code: int, error: type[ExportError]) -> None:
    with pytest.raises(error) as raised, translated():
        raise OperationFailure("not authorized on s3cr3t", code)
    assert "s3cr3t" not in raised.value.msg

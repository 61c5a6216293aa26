"""Whoever follows exports is told of every change, at the price of one change stream for all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from exports import documents
from exports.errors import DatabaseAccessError, TaskNotFoundError
from exports.models import AttemptBeat, Stage, TaskRef, TaskStatus
from exports.tasks import feed as tasks_feed
from exports.tasks.collection import TaskCollection
from exports.tasks.feed import NEWEST, TaskFeed
from exports.tasks.listener import MAX_WAITING, Listener
from exports.tasks.task import ExportTask
from tests.support.chaos.proxy import BlackHole, Fault, Refused, proxy_to
from tests.support.sent_commands import SentCommands
from tests.support.service import PATIENCE
from tests.support.task_steps import ME, WHY, Tasks, claimed, done, insert

STANDALONE = 40573
UNAUTHORIZED = 13
HISTORY_LOST = 286


class Followed:
    """A feed with a client of its own, and the commands that this client sends."""

    def __init__(self, uri: str, database: str) -> None:
        self.commands = SentCommands()
        self.client = AsyncMongoClient[dict[str, Any]](
            uri,
            event_listeners=[self.commands],
            directConnection=True,
            serverSelectionTimeoutMS=1000,
            connectTimeoutMS=1000,
            heartbeatFrequencyMS=500,
        )
        self.feed = TaskFeed(TaskCollection(self.client[database]))

    def sent(self, name: str) -> list[dict[str, Any]]:
        return [command for command in self.commands.sent if name in command]

    async def close(self) -> None:
        await self.feed.close()
        await self.client.close()


@pytest.fixture
async def followed(
    mongo_uri: str, mongo_database: AsyncDatabase[dict[str, Any]]
) -> AsyncIterator[Followed]:
    followed = Followed(mongo_uri, mongo_database.name)
    yield followed
    await followed.close()


@pytest.fixture
def feed(followed: Followed) -> TaskFeed:
    return followed.feed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the feed wait less between two tries."""
    monkeypatch.setattr(tasks_feed, "_POLL", 0.05)


@pytest.fixture
def no_stream(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the database refuse to open a change stream."""

    def refuse(code: int) -> None:
        async def watch(*_: object, **__: object) -> None:
            raise OperationFailure("no", code)

        monkeypatch.setattr(AsyncCollection, "watch", watch)

    return refuse


async def told(listener: Listener, is_it: Callable[[ExportTask], bool]) -> ExportTask:
    """Return the first state that is as described."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        async for task in listener:
            if is_it(task):
                return task
    raise AssertionError("the iteration has ended")


def has_rows(rows: int) -> Callable[[ExportTask], bool]:
    return lambda task: task.progress.rows >= rows


async def proceed(tasks: Tasks, rows: int, ref: TaskRef = ME) -> None:
    await tasks.run.progress(ref, AttemptBeat(stage=Stage.AGGREGATE, rows=rows))


async def ids_until(listener: Listener, last: str) -> list[str]:
    ids: list[str] = []
    while last not in ids:
        ids.append((await told(listener, lambda _: True)).id)
    return ids


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not holds():
            await asyncio.sleep(0.01)


async def test_fifty_people_who_follow_exports_share_one_change_stream(
    followed: Followed, tasks: Tasks, collection: Any
) -> None:
    refs = [
        TaskRef(task_id=f"t{number}", workflow_id=f"export-t{number}", run_id="r")
        for number in range(5)
    ]
    for ref in refs:
        await insert(collection, _id=ref.task_id)
        await tasks.run.claim(ref, run_started_at=1)
    async with AsyncExitStack() as leaving:
        listeners = [
            await leaving.enter_async_context(
                followed.feed.listen(task_id=f"t{number % 5}", created_by="u1")
            )
            for number in range(40)
        ]
        listeners += [
            await leaving.enter_async_context(followed.feed.listen(created_by=who))
            for who in ("u1", None) * 5
        ]
        for rows in (1, 2, 3):
            for ref in refs:
                await proceed(tasks, rows, ref)
            await asyncio.gather(*(told(listener, has_rows(rows)) for listener in listeners))
        [opened] = followed.sent("aggregate")
        assert opened["pipeline"][0] == {"$changeStream": {"fullDocument": "updateLookup"}}
        assert opened["pipeline"][1]["$project"]["fullDocument.audit"] == 0
        assert opened["readConcern"] == {"level": "majority"}
        assert len(followed.sent("find")) == len(listeners) + 1, "one each, and one for all"
    await until(lambda: followed.sent("killCursors") != [])
    asked = len(followed.commands.sent)
    await proceed(tasks, 4, refs[0])
    assert len(followed.commands.sent) == asked, "nobody listens, so nothing is asked"


async def test_whoever_listens_gets_the_export_as_it_is_and_then_until_its_end(
    feed: TaskFeed, tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    async with feed.listen(task_id="t1", created_by="u1") as listener:
        assert (await anext(listener)).status is TaskStatus.RUNNING
        await tasks.run.attempt_failed(ME, WHY, retries=1, next_run_at=5000)
        waiting = await told(listener, lambda task: task.status is TaskStatus.PENDING)
        assert (waiting.next_run_at, waiting.error) == (5000, WHY)
        await done(tasks.run, ME)
        finished = await told(listener, lambda task: task.status.ended)
    assert finished == await tasks.client.get("t1", created_by="u1")


async def test_a_quiet_stream_is_kept_if_answers_must_come_within_half_a_second(
    mongo_uri: str,
    mongo_database: AsyncDatabase[dict[str, Any]],
    tasks: Tasks,
    collection: Any,
) -> None:
    followed = Followed(f"{mongo_uri}/?timeoutMS=500", mongo_database.name)
    await claimed(tasks, collection)
    async with followed.feed.listen(task_id="t1", created_by="u1") as listener:
        await until(lambda: len(followed.sent("getMore")) > 4)
        await proceed(tasks, 1)
        await told(listener, has_rows(1))
    assert len(followed.sent("aggregate")) == 1
    await followed.close()


async def test_an_export_that_has_ended_needs_no_change_stream(
    followed: Followed, tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    await done(tasks.run, ME)
    async with followed.feed.listen(task_id="t1", created_by="u1") as listener:
        assert (await anext(listener)).status is TaskStatus.DONE
    assert followed.sent("aggregate") == []


async def test_nobody_misses_what_happens_while_the_stream_is_lost(
    followed: Followed, tasks: Tasks, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await claimed(tasks, collection)
    stream_class: Any = AsyncChangeStream
    read, lost = stream_class.try_next, asyncio.Event()

    async def lose(stream: Any) -> Any:
        if lost.is_set():
            return await read(stream)
        lost.set()
        for rows in (1, 2):
            await proceed(tasks, rows)
        raise OperationFailure("the resume point may no longer be in the oplog", HISTORY_LOST)

    monkeypatch.setattr(AsyncChangeStream, "try_next", lose)
    async with (
        followed.feed.listen(task_id="t1", created_by="u1") as mine,
        followed.feed.listen(created_by=None) as everybodys,
    ):
        for listener in (mine, everybodys):
            await told(listener, has_rows(2))
        await proceed(tasks, 3)
        for listener in (mine, everybodys):
            await told(listener, has_rows(3))
    streams = [command["pipeline"][0]["$changeStream"] for command in followed.sent("aggregate")]
    assert streams == [{"fullDocument": "updateLookup"}] * 2, "it does not resume"


@pytest.mark.parametrize("code", [STANDALONE, UNAUTHORIZED, 99_999])
async def test_without_change_streams_one_query_asks_for_all(
    followed: Followed,
    tasks: Tasks,
    collection: Any,
    no_stream: Callable[[int], None],
    code: int,
) -> None:
    no_stream(code)
    await claimed(tasks, collection)
    await insert(collection, _id="t2", createdBy="u2")
    async with AsyncExitStack() as leaving:
        listeners = [
            await leaving.enter_async_context(followed.feed.listen(task_id="t1", created_by="u1"))
            for _ in range(3)
        ]
        other = await leaving.enter_async_context(
            followed.feed.listen(task_id="t2", created_by="u2")
        )
        both = {"_id": {"$in": ["t1", "t2"]}}
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while both not in [query["filter"] for query in followed.sent("find")]:
                await asyncio.sleep(0.01)  # a query that began before may still be on its way
        at_the_beginning = len(followed.sent("find"))
        await proceed(tasks, 7)
        await collection.update_one({"_id": "t2"}, {"$set": {"status": "cancelled"}})
        await asyncio.gather(*(told(listener, has_rows(7)) for listener in listeners))
        await told(other, lambda task: task.status is TaskStatus.CANCELLED)
        queries = followed.sent("find")[at_the_beginning:]
        assert {str(query["filter"]) for query in queries} == {str(both)}
    assert followed.sent("aggregate") == []


async def test_without_change_streams_a_person_is_told_of_new_exports_and_changed_ones(
    feed: TaskFeed, tasks: Tasks, collection: Any, no_stream: Callable[[int], None]
) -> None:
    no_stream(STANDALONE)
    await claimed(tasks, collection)
    async with feed.listen(created_by="u1") as listener:
        await told(listener, lambda task: task.id == "t1")
        await insert(collection, _id="new")
        await insert(collection, _id="not mine", createdBy="u2")
        assert (await told(listener, lambda _: True)).id == "new"
        await done(tasks.run, ME)
        assert (await told(listener, lambda _: True)).status is TaskStatus.DONE


@pytest.mark.parametrize("streams", [True, False])
async def test_who_follows_a_deleted_export_is_told_that_there_is_none(
    feed: TaskFeed,
    tasks: Tasks,
    collection: Any,
    no_stream: Callable[[int], None],
    *,
    streams: bool,
) -> None:
    if not streams:
        no_stream(STANDALONE)
    await claimed(tasks, collection)
    async with feed.listen(task_id="t1", created_by="u1") as listener:
        await proceed(tasks, 1)
        await told(listener, has_rows(1))
        await collection.delete_one({"_id": "t1"})
        with pytest.raises(TaskNotFoundError):
            await told(listener, lambda _: False)


async def test_a_slow_reader_gets_the_newest_state_and_holds_no_more_than_that(
    feed: TaskFeed, tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    async with (
        feed.listen(task_id="t1", created_by="u1") as slow,
        feed.listen(task_id="t1", created_by="u1") as quick,
    ):
        for rows in range(1, 21):
            await proceed(tasks, rows)
        await told(quick, has_rows(20))
        assert (await anext(slow)).progress.rows == 20
        await proceed(tasks, 21)
        assert (await anext(slow)).progress.rows == 21


async def test_a_reader_who_is_too_slow_for_so_many_exports_is_let_go(
    feed: TaskFeed, collection: Any
) -> None:
    async with feed.listen(created_by=None) as slow, feed.listen(created_by="last") as quick:
        await collection.insert_many(
            [{"_id": f"t{n}", "status": "pending", "createdBy": "u"} for n in range(MAX_WAITING)]
        )
        await insert(collection, _id="last", createdBy="last")
        await told(quick, lambda _: True)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)


async def test_nobody_can_follow_somebody_elses_export(
    followed: Followed, tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    for task_id, who in (("t1", "u2"), ("none", "u2"), ("\ud800", "u2")):
        with pytest.raises(TaskNotFoundError, match=r"^There is no such task\.$"):
            async with followed.feed.listen(task_id=task_id, created_by=who):
                raise AssertionError
    assert followed.sent("aggregate") == []
    async with followed.feed.listen(created_by="u2") as theirs:
        await proceed(tasks, 1)
        await insert(collection, _id="theirs", createdBy="u2")
        assert (await told(theirs, lambda _: True)).id == "theirs"


async def test_a_person_begins_with_the_newest_exports_or_with_what_has_changed(
    feed: TaskFeed, collection: Any
) -> None:
    await collection.insert_many(
        [
            {
                "_id": f"t{n}",
                "status": "done",
                "createdBy": "u1",
                "createdAt": n,
                "updatedAt": 1000 - n,
            }
            for n in range(NEWEST + 5)
        ]
    )
    async with feed.listen(created_by="u1") as listener:
        first = [(await anext(listener)).id for _ in range(NEWEST)]
    assert first == [f"t{n}" for n in range(5, NEWEST + 5)]
    async with feed.listen(created_by="u1", since=998) as listener:
        changed = [(await anext(listener)).id for _ in range(3)]
    assert changed == ["t2", "t1", "t0"]


async def test_documents_of_any_shape_stop_nobody(
    feed: TaskFeed, tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    odd: list[dict[str, Any]] = [
        {"_id": 1, "status": "pending", "createdBy": "u1", "createdAt": [float("nan")]},
        {"_id": {"a": 1}, "status": {"a": 1}, "createdBy": ["u1"]},
        {"_id": "x", "status": ["pending"], "createdBy": {"$gt": 1}},
        {"_id": "y", "status": "pending", "createdBy": ["u1"], "progress": "half", "rows": "many"},
        {"_id": "z", "status": "unknown", "createdBy": "u1", "audit": 1},
    ]
    async with (
        feed.listen(task_id="t1", created_by="u1") as one,
        feed.listen(created_by="u1") as mine,
        feed.listen(created_by=None) as everybodys,
    ):
        await collection.insert_many(odd)
        await insert(collection, _id="last")
        await proceed(tasks, 1)
        await told(one, has_rows(1))
        assert await ids_until(mine, "last") == ["t1", "1", "last"]
        assert await ids_until(everybodys, "last") == ["t1", "1", "y", "last"]
        await collection.update_one({"_id": "t1"}, {"$set": {"createdBy": "u2"}})
        with pytest.raises(TaskNotFoundError):
            await told(one, lambda task: task.created_by == "u2")


async def test_an_id_that_two_documents_have_means_the_object_id(
    feed: TaskFeed, collection: Any
) -> None:
    stored_id = ObjectId()
    await insert(collection, _id=stored_id)
    await insert(collection, _id=str(stored_id), type="other")
    async with feed.listen(task_id=str(stored_id), created_by="u1") as listener:
        assert (await anext(listener)).type == "statsMonthly"
        await collection.update_one({"_id": str(stored_id)}, {"$set": {"retries": 2}})
        await collection.delete_one({"_id": str(stored_id)})
        await collection.update_one({"_id": stored_id}, {"$set": {"retries": 1}})
        assert (await told(listener, lambda task: task.retries > 0)).retries == 1


@pytest.mark.parametrize("fault", [Refused(), BlackHole()])
async def test_who_listens_waits_while_the_database_is_away(
    mongo_uri: str,
    mongo_database: AsyncDatabase[dict[str, Any]],
    tasks: Tasks,
    collection: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    monkeypatch.setattr(documents, "OPERATION_TIMEOUT", 2)
    await claimed(tasks, collection)
    with proxy_to(mongo_uri) as wire:
        followed = Followed(f"mongodb://{wire.address}", mongo_database.name)
        async with followed.feed.listen(task_id="t1", created_by="u1") as listener:
            await anext(listener)
            await proceed(tasks, 1)
            await told(listener, has_rows(1))
            wire.suffer(fault)
            await proceed(tasks, 2)
            await until(lambda: "as soon as possible" in caplog.text)
            wire.recover()
            await told(listener, has_rows(2))
        await followed.close()
    assert "E_" not in caplog.text
    assert "The database that holds the tasks" in caplog.text


async def test_who_listens_is_told_that_the_database_refuses_it(
    feed: TaskFeed,
    tasks: Tasks,
    collection: Any,
    no_stream: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_stream(UNAUTHORIZED)
    await claimed(tasks, collection)
    async with feed.listen(task_id="t1", created_by="u1") as listener:
        await anext(listener)

        async def to_list(*_: object) -> None:
            raise OperationFailure("not authorized", UNAUTHORIZED)

        with monkeypatch.context() as changed:
            changed.setattr(AsyncCursor, "to_list", to_list)
            with pytest.raises(DatabaseAccessError):
                await told(listener, lambda _: False)
    async with feed.listen(task_id="t1", created_by="u1") as listener:
        await proceed(tasks, 1)
        await told(listener, has_rows(1))

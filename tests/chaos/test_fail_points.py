"""The database fails a command once or always, or reports a failure of a write that it made."""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from bson import Decimal128, ObjectId
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from temporalio.client import WorkflowFailureError

from exports import connections
from exports.errors import DatabaseUnavailableError, ExportError
from exports.settings import Settings
from exports.source import database as source
from exports.tasks import feed
from exports.tasks.indexes import task_indexes
from exports.tasks.task import ExportTask
from tests.support.chaos.fail_points import FailingDatabase, failing_database
from tests.support.chaos.forms import LONG
from tests.support.service import USER, Service, downloaded, open_service, working
from workflows import policies

# The long form makes an export for each of a hundred batches, and dozens for each command.
pytestmark = pytest.mark.timeout(1800 if LONG else 300)

ROWS: Final = 303
PER_BATCH: Final = 60
FINE: Final = 3
"""Rows per batch, so that a cursor has a hundred batches to fail at."""
PATIENCE: Final = 100
ASKED: Final = (
    ("statsMonthly", {"year": 2026, "month": 10}, "csv"),
    ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}, "ndjson"),
)
READS: Final = ("find", "aggregate", "getMore")
QUESTIONS: Final = ("ping", "listCollections")
"""What the source is asked before it is read: its time, and what a collection is."""
WRITES: Final = ("insert", "update")
AT_LEAST: Final = {
    "find": 2,
    "aggregate": 1,
    "getMore": 4,
    "insert": 2,
    "update": 4,
    "ping": 2,
    "listCollections": 1,
}
"""Both exports send at least so many of each command: each of these is failed once."""
LATE: Final = 700
"""Milliseconds."""
# Codes: src/mongo/base/error_codes.yml of the server.
ONCE: Final[dict[str, dict[str, object]]] = {
    "an error that the driver does not retry": {"errorCode": 1},
    "an error that the driver retries": {"errorCode": 89},
    "out of time": {"errorCode": 50},
    "the connection is closed": {"closeConnection": True},
    "slow": {"blockConnection": True, "blockTimeMS": LATE},
}
# The write may have been applied, and here it was: the majority did not confirm it in time.
UNSURE: Final[dict[str, object]] = {
    "writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "timed out"}
}


class Heard(CommandListener):
    """The answers that the product's driver got, by the names of the commands.

    Attributes:
        sent: How many commands were sent.
        hit: How many of them failed, were not confirmed, or took as long as a fault makes them.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.hit: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.sent[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        late = event.duration_micros >= LATE * 1000
        self.hit[event.command_name] += late or "writeConcernError" in event.reply

    def failed(self, event: CommandFailedEvent) -> None:
        self.hit[event.command_name] += 1


@pytest.fixture(scope="module")
def database() -> Iterator[FailingDatabase]:
    with failing_database() as database:
        yield database


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(
        connections,
        "AsyncMongoClient",
        functools.partial(AsyncMongoClient, event_listeners=[heard]),
    )
    return heard


@pytest.fixture(autouse=True)
def polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests wait without a change stream, whose commands would fail in place of an export's."""

    async def watch(*_: object, **__: object) -> None:
        raise OperationFailure("only on replica sets", 40573)

    monkeypatch.setattr(AsyncCollection, "watch", watch)
    monkeypatch.setattr(feed, "_POLL", 0.2)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "FIRST_DELAY", timedelta(seconds=0.2))
    monkeypatch.setattr(source, "ROWS_PER_BATCH", PER_BATCH)


@pytest.fixture
async def failing(
    settings: Settings, temporal_address: str, database: FailingDatabase, heard: Heard
) -> AsyncIterator[Service]:
    """A service with a worker, whose tasks and orders are in the database that fails."""
    assert not heard.sent
    elsewhere = settings.model_copy(update={"mongo_uri": SecretStr(database.uri)})
    async with open_service(elsewhere, temporal_address) as service:
        await task_indexes(service.collection).ensure()
        await service.database["orders"].insert_many(
            {
                "_id": ObjectId(f"{index:024x}"),
                "createdAt": datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=index // 2),
                "uid": f"u{index % 5}",
                "category": "图书",
                "quantity": index,
                "amount": Decimal128("0.10"),
            }
            for index in range(ROWS)
        )
        async with working(service):
            yield service
            database.recover()
        await service.connections.mongo.drop_database(service.database.name)


async def answered(call: Callable[[], Awaitable[ExportTask]]) -> ExportTask:
    """Repeat a call until it is answered, as people do."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except DatabaseUnavailableError:  # and nothing else
                await asyncio.sleep(0.1)


async def asked(service: Service, kind: str, params: dict[str, Any], file_format: str) -> str:
    key = str(ObjectId())  # one per request, however often it is repeated
    task = await answered(
        lambda: service.client.create(
            kind, params, created_by=USER, format=file_format, idempotency_key=key
        )
    )
    return task.id


async def ended(service: Service, task_id: str) -> ExportTask:
    """Wait for the end, with sweeps as often as the Schedule would make them."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(2)
            with suppress(ExportError):
                await service.client.sweep()

    sweeping = asyncio.create_task(sweep())
    task = await answered(lambda: service.client.wait(task_id, created_by=USER))
    sweeping.cancel()
    try:
        await service.run_of(task_id).result()
    except WorkflowFailureError:
        assert task.status != "done", "the run of a done task must not close as failed"
    return task


async def exported(service: Service) -> list[ExportTask]:
    ids = await asyncio.gather(*(asked(service, *request) for request in ASKED))
    return list(await asyncio.gather(*(ended(service, task_id) for task_id in ids)))


def files(tasks: list[ExportTask]) -> list[bytes]:
    return [downloaded(task.download_url) for task in tasks]


async def check_nothing_else(service: Service, tasks: list[ExportTask]) -> None:
    await service.client.sweep()
    assert service.keys() == sorted(str(task.object_key) for task in tasks)
    assert service.open_uploads() == []
    assert len(await service.client.list(created_by=USER)) == len(tasks), "nothing is there twice"


async def test_these_are_the_commands_that_an_export_sends(failing: Service, heard: Heard) -> None:
    heard.sent.clear()
    await exported(failing)
    assert {*heard.sent} == {*AT_LEAST} == {*READS, *QUESTIONS, *WRITES}
    assert heard.sent >= Counter(AT_LEAST)


def once(command: str) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield which command of its name fails, and how."""
    short = (ONCE["an error that the driver does not retry"], ONCE["the connection is closed"])
    for how in ONCE.values() if LONG else short:
        for skip in range(AT_LEAST[command] if LONG else 1):
            yield skip, how
    if command in WRITES:
        for skip in range(AT_LEAST[command]):  # the claims and the final writes of both exports
            yield skip, UNSURE


@pytest.mark.parametrize("command", [*READS, *QUESTIONS, *WRITES])
async def test_a_command_that_fails_once_changes_nothing_in_the_end(
    failing: Service, database: FailingDatabase, heard: Heard, command: str
) -> None:
    reference = await exported(failing)
    everything = [*reference]
    for skip, how in once(command):
        heard.hit.clear()
        database.fail(command, {"skip": skip, "times": 1}, **how)
        tasks = await exported(failing)
        database.recover()
        assert heard.hit[command], (how, skip)
        assert [task.status for task in tasks] == ["done", "done"], (how, skip)
        assert files(tasks) == files(reference), (how, skip)
        everything += tasks
    await check_nothing_else(failing, everything)


@pytest.mark.parametrize("command", [*READS, *WRITES])
async def test_while_a_command_always_fails_nothing_is_lost_and_people_are_told_why(
    failing: Service, database: FailingDatabase, heard: Heard, command: str
) -> None:
    reference = await exported(failing)
    everything = [*reference]
    kinds = [*ONCE.values()] if LONG else [ONCE["an error that the driver does not retry"]]
    for how in [*kinds, *([UNSURE] if command in WRITES else [])]:
        heard.hit.clear()
        database.fail(command, "alwaysOn", **how)
        running = asyncio.create_task(exported(failing))
        async with asyncio.timeout(PATIENCE):
            while not heard.hit[command]:
                await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        database.recover()
        tasks = await running
        for index, task in enumerate(tasks):
            if task.status == "failed":
                assert task.error
                assert task.error.code in {"E_SOURCE", "E_DATABASE"}, (how, task.error)
                await failing.client.retry(task.id, created_by=USER)
                tasks[index] = await ended(failing, task.id)
        assert [task.status for task in tasks] == ["done", "done"], how
        assert files(tasks) == files(reference), how
        everything += tasks
    await check_nothing_else(failing, everything)


OF_NO_SERVER: Final[dict[str, object]] = {"errorCode": 1}  # InternalError


async def test_rows_are_neither_lost_nor_doubled_wherever_their_cursor_breaks(
    failing: Service, database: FailingDatabase, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "ROWS_PER_BATCH", FINE)
    [_, reference] = await exported(failing)
    assert reference.rows == ROWS
    kinds: list[dict[str, object]] = [
        {"errorCode": 43},  # CursorNotFound
        {"closeConnection": True},
        {"errorCode": 237},  # CursorKilled
        OF_NO_SERVER,
    ]
    offsets = range(100) if LONG else (0, 1, 50, 99)
    for offset in offsets:
        heard.hit.clear()
        database.fail("getMore", {"skip": offset, "times": 1}, **kinds[offset % len(kinds)])
        task = await ended(failing, await asked(failing, *ASKED[1]))
        assert heard.hit["getMore"], offset
        # What says nothing of a server that is away costs an attempt; the rest is gone on with.
        attempts = int(kinds[offset % len(kinds)] == OF_NO_SERVER)
        assert (task.status, task.retries) == ("done", attempts), (offset, task.error)
        assert (task.rows, task.sha256) == (ROWS, reference.sha256), offset
        assert downloaded(task.download_url) == downloaded(reference.download_url), offset

"""The database's users: one may only read and write tasks, one may only read for reports.

The embedded database here requires a login. It grants our role on a whole database, where MongoDB
grants it on one collection. That part is compared with the script that Compose runs.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from dev.endpoints import Endpoints
from dev.mongo_users import READER, SOURCE_DATABASE, TASKS, TASKS_ACTIONS, TASKS_ROLE
from exports import connections
from exports.connections import open_source
from exports.documents import Stored
from exports.errors import DatabaseAccessError, SourceAccessError
from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.source.database import Source
from exports.tasks.collection import TaskCollection
from exports.tasks.feed import TaskFeed
from exports.tasks.indexes import task_indexes
from exports.tokens import TokenStore
from exports.watcher.watcher import Watcher
from tests.support.lone_servers import LoneDatabase
from tests.support.paths import REPOSITORY
from tests.support.service import Service, insert_orders, open_service
from tests.support.stored_tasks import insert_task
from worker import at_work, create_workers

REFUSED = 13  # Unauthorized


@pytest.fixture(scope="module")
def guarded() -> Iterator[Endpoints]:
    with LoneDatabase() as servers:
        yield servers.endpoints


@pytest.fixture
async def admin(guarded: Endpoints) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](guarded.admin_uri) as client:
        yield client
        for name in (guarded.mongo_database, SOURCE_DATABASE):
            await client.drop_database(name)


@pytest.fixture
def least(settings: Settings, guarded: Endpoints) -> Settings:
    """Settings of a worker with the two users."""
    return settings.model_copy(
        update={
            "mongo_uri": SecretStr(guarded.tasks_uri),
            "mongo_database": guarded.mongo_database,
            "source_uri": SecretStr(guarded.source_uri),
            "source_database": guarded.source_database,
        }
    )


class _Commands(CommandListener):
    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


READS = {"aggregate", "find", "getMore", "killCursors", "listCollections"}
SESSION = {"ping", "endSessions", "hello", "saslStart", "saslContinue"}


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("statsMonthly", {"year": 2026, "month": 10}),
        ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}),
    ],
)
async def test_the_two_users_have_all_permissions_that_an_export_needs(
    least: Settings,
    admin: AsyncMongoClient[dict[str, Any]],
    temporal_address: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    params: dict[str, Any],
) -> None:
    await insert_orders(admin[SOURCE_DATABASE])
    seen = _Commands()

    def watched(uri: str, **how: Any) -> AsyncMongoClient[Stored]:
        listeners = [seen] if READER in uri else []
        return AsyncMongoClient(uri, event_listeners=listeners, **how)

    monkeypatch.setattr(connections, "AsyncMongoClient", watched)
    async with open_service(least, temporal_address) as service, _at_work(service):
        created = await service.client.create(kind, params, created_by="u1")
        task = await service.ended(created.id)
        assert (task.status, task.rows, task.error) == (TaskStatus.DONE, 3, None)
        await service.client.renew(task.id, created_by="u1")
        assert await service.client.audit(task.id, created_by="u1")
        await service.client.sweep()
        watcher = Watcher(service.collection, service.temporal, service.settings.task_queue)
        async with watcher.at_work():
            bare = await insert_task(service, type=kind, params=params)
            assert (await service.ended(bare)).status is TaskStatus.DONE
        lease = {"_id": service.settings.task_queue}
        found = await service.database["ExportWatch"].find_one(lease, {"_id": 0, "holder": 1})
        assert found == {"holder": None}
        tokens = TokenStore(service.database)
        await tokens.indexes.ensure()
        text, token = await tokens.create("u1")
        assert await tokens.find(text) == token
        await tokens.revoke(token.id)
    assert "ExportTasks" not in await admin[SOURCE_DATABASE].list_collection_names()
    assert "aggregate" in seen.sent or "find" in seen.sent
    assert set(seen.sent) <= READS | SESSION, "the source is only read"


@asynccontextmanager
async def _at_work(service: Service) -> AsyncGenerator[None]:
    async with AsyncExitStack() as closing:
        database = await open_source(service.settings, service.connections, closing)
        source = Source(database, service.settings.query_timeout)
        await task_indexes(service.collection).ensure()
        reports = load_reports(service.settings.reports_file)
        async with at_work(create_workers(service.settings, reports, service.connections, source)):
            yield


async def _is_refused(work: Any) -> bool:
    try:
        await work
    except OperationFailure as error:
        return error.code == REFUSED
    return False


async def test_the_reader_writes_nothing_and_sees_no_task(
    guarded: Endpoints, admin: AsyncMongoClient[dict[str, Any]]
) -> None:
    await insert_orders(admin[SOURCE_DATABASE])
    await admin[guarded.mongo_database]["ExportTasks"].insert_one({"_id": "t", "downloadUrl": "x"})
    async with AsyncMongoClient[dict[str, Any]](guarded.source_uri) as client:
        orders = client[SOURCE_DATABASE]["orders"]
        assert await orders.count_documents({}) == 3
        for name, work in {
            "insert": orders.insert_one({}),
            "update": orders.update_one({}, {"$set": {"amount": 0}}),
            "delete": orders.delete_many({}),
            "out": _all(orders, [{"$out": "copy"}]),
            "out elsewhere": _all(orders, [{"$out": {"db": "other", "coll": "copy"}}]),
            "merge": _all(orders, [{"$merge": {"into": "copy"}}]),
            "index": orders.create_index("amount"),
            "drop": orders.drop(),
            "create": client[SOURCE_DATABASE].create_collection("new"),
            "drop database": client.drop_database(SOURCE_DATABASE),
            "tasks": client[guarded.mongo_database]["ExportTasks"].find_one({}),
            "user": client["admin"].command("createUser", "me", pwd="x", roles=["root"]),
        }.items():
            assert await _is_refused(work), name
    assert await admin[SOURCE_DATABASE].list_collection_names() == ["orders"]


async def _all(collection: Any, pipeline: list[dict[str, Any]]) -> list[Any]:
    return [item async for item in await collection.aggregate(pipeline)]


async def test_the_user_of_the_tasks_removes_none_and_sees_no_row(
    guarded: Endpoints, admin: AsyncMongoClient[dict[str, Any]]
) -> None:
    await insert_orders(admin[SOURCE_DATABASE])
    await admin[guarded.mongo_database]["ExportTasks"].insert_one({"_id": "t"})
    async with AsyncMongoClient[dict[str, Any]](guarded.tasks_uri) as client:
        tasks = client[guarded.mongo_database]["ExportTasks"]
        assert await tasks.find_one({})
        for name, work in {
            "delete": tasks.delete_many({}),
            "drop": tasks.drop(),
            "drop index": tasks.drop_indexes(),
            "drop database": client.drop_database(guarded.mongo_database),
            "rows": client[SOURCE_DATABASE]["orders"].find_one({}),
            "write a row": client[SOURCE_DATABASE]["orders"].insert_one({}),
            "user": client["admin"].command("createUser", "me", pwd="x", roles=["root"]),
        }.items():
            assert await _is_refused(work), name


async def test_the_user_of_the_tasks_follows_them_and_the_reader_does_not(
    guarded: Endpoints, admin: AsyncMongoClient[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "exports.tasks.feed")
    tasks = admin[guarded.mongo_database]["ExportTasks"]
    await tasks.insert_one({"_id": "t", "status": "pending"})
    async with AsyncMongoClient[dict[str, Any]](guarded.tasks_uri) as client:
        feed = TaskFeed(TaskCollection(client[guarded.mongo_database]))
        async with feed.listen(task_id="t", created_by=None) as listener:
            assert (await anext(listener)).retries == 0
            await tasks.update_one({"_id": "t"}, {"$set": {"retries": 1}})
            assert (await anext(listener)).retries == 1
        await feed.close()
    assert caplog.text == "", "it needs no query a second"
    async with AsyncMongoClient[dict[str, Any]](guarded.source_uri) as client:
        assert await _is_refused(client[guarded.mongo_database]["ExportTasks"].watch())


async def test_without_a_password_everything_is_refused(guarded: Endpoints) -> None:
    async with AsyncMongoClient[dict[str, Any]](guarded.mongo_uri) as client:
        assert await _is_refused(client[guarded.mongo_database]["ExportTasks"].find_one({}))
        assert await _is_refused(client[SOURCE_DATABASE]["orders"].find_one({}))
    wrong = guarded.source_uri.replace(f"{READER}:", f"{READER}:0")
    async with AsyncMongoClient[dict[str, Any]](wrong) as client:
        with pytest.raises(OperationFailure):
            await client[SOURCE_DATABASE]["orders"].find_one({})


async def test_a_user_without_permission_has_another_code_than_an_outage(
    guarded: Endpoints, admin: AsyncMongoClient[dict[str, Any]]
) -> None:
    await insert_orders(admin[SOURCE_DATABASE])
    async with AsyncMongoClient[dict[str, Any]](guarded.tasks_uri) as client:
        with pytest.raises(SourceAccessError):
            await Source(client[SOURCE_DATABASE], timedelta(minutes=1)).aggregate("orders", [])
    async with AsyncMongoClient[dict[str, Any]](guarded.source_uri) as client:
        with pytest.raises(DatabaseAccessError):
            await TaskCollection(client[guarded.mongo_database]).find("t")


def _called(function: str) -> list[dict[str, Any]]:
    """Return the arguments of a function in the script of Compose, read as YAML."""
    script = (REPOSITORY / "compose" / "mongo-users.js").read_text(encoding="utf-8")
    call = re.compile(rf"admin\.{function}\((\{{.*?^\}})\);", re.DOTALL | re.MULTILINE)
    return [yaml.safe_load(text) for text in call.findall(script)]


def test_compose_creates_the_same_users_and_its_role_is_for_our_collections() -> None:
    [role] = _called("createRole")
    assert role == {
        "role": TASKS_ROLE,
        "privileges": [
            {"resource": {"db": "exports", "collection": collection}, "actions": actions}
            for collection, actions in TASKS_ACTIONS.items()
        ],
        "roles": [],
    }
    users = {user["user"]: user["roles"] for user in _called("createUser")}
    assert users == {
        TASKS: [{"role": TASKS_ROLE, "db": "admin"}],
        READER: [{"role": "read", "db": "process.env.SOURCE_DATABASE"}],
    }

"""Each fault of the tasks' database is named by the check that is for it, and by no other."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from dev.endpoints import Endpoints
from dev.mongo_users import TASKS_ACTIONS, TASKS_ROLE
from exports import clock
from exports.doctor.mongo import MongoDoctor, replica_set
from exports.names import TASKS_COLLECTION
from exports.settings import Settings
from tests.support.doctor import wrong
from tests.support.lone_servers import LoneDatabase


async def _wrong(settings: Settings, *, fix: bool = False) -> dict[str, str]:
    async with AsyncExitStack() as closing:
        return await wrong(MongoDoctor(settings, closing).server(), fix=fix)


async def test_indexes_that_are_missing_or_different_are_named_and_made(
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = mongo_database[TASKS_COLLECTION]
    assert await _wrong(settings) == {"indexes": "failed"}, "no worker has ever run"
    assert await _wrong(settings, fix=True) == {}
    made = await tasks.index_information()
    assert await _wrong(settings, fix=True) == {}
    assert await tasks.index_information() == made
    await tasks.drop_index("askedWith_1")
    assert await _wrong(settings) == {"indexes": "failed"}
    await tasks.create_index("askedWith")
    assert await _wrong(settings, fix=True) == {"indexes": "failed"}, "a person has to drop it"
    await tasks.drop_index("askedWith_1")
    assert await _wrong(settings, fix=True) == {}
    assert await tasks.count_documents({}) == 0
    wechat = {"wechat_appid": "a", "wechat_secret": SecretStr("b"), "wechat_templates": "no JSON"}
    assert await _wrong(settings.model_copy(update=wechat)) == {"channels": "failed"}
    there = clock.now_ms
    monkeypatch.setattr(clock, "now_ms", lambda: there() + 90_000)
    assert await _wrong(settings) == {"clock": "failed"}


@pytest.mark.parametrize("uri", ["mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100", "nonsense"])
async def test_a_database_that_is_away_is_named_once(settings: Settings, uri: str) -> None:
    away = settings.model_copy(update={"mongo_uri": SecretStr(uri)})
    assert await _wrong(away) == {"reachable": "failed"}


@pytest.mark.parametrize(
    ("hello", "outcome"),
    [
        ({"isWritablePrimary": True, "setName": "rs0", "hosts": ["a:1", "b:1", "c:1"]}, "ok"),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, "ok"),
        ({"isWritablePrimary": True}, "warning"),
        ({"isWritablePrimary": False, "secondary": True, "setName": "rs0"}, "failed"),
    ],
)
def test_a_replica_set_is_told_from_a_single_server_and_from_a_secondary(
    hello: dict[str, Any], outcome: str
) -> None:
    assert replica_set(hello).outcome == outcome


@pytest.fixture(scope="module")
def guarded() -> Iterator[Endpoints]:
    with LoneDatabase() as servers:
        yield servers.endpoints


@pytest.fixture
async def admin(guarded: Endpoints) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](guarded.admin_uri) as client:
        yield client


async def test_rights_that_are_missing_are_named_one_by_one(
    settings: Settings, guarded: Endpoints, admin: AsyncMongoClient[dict[str, Any]]
) -> None:
    least = settings.model_copy(
        update={
            "mongo_uri": SecretStr(guarded.tasks_uri),
            "mongo_database": guarded.mongo_database,
        }
    )

    async def allow(*, but: str) -> None:
        # The embedded database grants the actions on the whole database.
        actions = {name for names in TASKS_ACTIONS.values() for name in names} - {but}
        resource = {"db": guarded.mongo_database, "collection": ""}
        privileges = [{"resource": resource, "actions": [*actions, "killCursors"]}]
        await admin.admin.command("updateRole", TASKS_ROLE, privileges=privileges)

    assert await _wrong(least, fix=True) == {}, "this user may do all"
    # The embedded database lets whoever may find follow the changes too.
    for action in ("createIndex", "insert", "update", "find"):
        await allow(but=action)
        assert await _wrong(least) == {"rights": "failed"}, action
    await allow(but="listIndexes")
    assert await _wrong(least) == {"rights": "warning"}, "only the doctor needs it"
    assert await admin[guarded.mongo_database][TASKS_COLLECTION].count_documents({}) == 0
    wrong_password = guarded.tasks_uri.replace("exports:", "exports:0")
    refused = least.model_copy(update={"mongo_uri": SecretStr(wrong_password)})
    assert await _wrong(refused) == {"reachable": "failed"}

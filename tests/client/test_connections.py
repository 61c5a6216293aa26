"""Connections to the database: their timeouts, the member that is read, and closing them."""

import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import AsyncMongoClient

from exports.connections import Connections, mongo_client, open_source
from exports.errors import UnreachableError, VersionError
from exports.settings import Settings
from tests.support.mongo_stand_in import Member
from tests.support.service import Service


@pytest.mark.parametrize(
    ("query", "selection", "connect"),
    [
        ("", 5, 5),
        ("?connecttimeoutms=90000", 5, 90),
        ("?serverSelectionTimeoutMS=9000&tls=false", 9, 5),
    ],
)
async def test_the_driver_gives_up_in_seconds_unless_the_uri_says_otherwise(
    query: str, selection: int, connect: int
) -> None:
    async with mongo_client(SecretStr(f"mongodb://127.0.0.1:1/{query}")) as client:
        assert client.options.server_selection_timeout == selection
        assert client.options.pool_options.connect_timeout == connect


@pytest.mark.parametrize("setting", ["mongo_uri", "source_uri"])
@pytest.mark.parametrize(
    "query", ["", "?readPreference=secondaryPreferred", "?directConnection=true"]
)
async def test_a_report_is_read_from_any_member_of_the_replica_set(
    idle_service: Service, setting: str, query: str
) -> None:
    uri = SecretStr(f"{idle_service.settings.mongo_uri.get_secret_value()}/{query}")
    await _opened(idle_service, idle_service.settings.model_copy(update={setting: uri}))


async def test_a_database_that_is_too_old_is_named_with_the_version_that_it_should_have(
    idle_service: Service,
) -> None:
    async with Member([], applied=1, version=8).listening() as uri:  # MongoDB 4.2
        old = idle_service.settings.model_copy(update={"source_uri": SecretStr(uri)})
        with pytest.raises(VersionError, match=r"127\.0\.0\.1:\d+ is too old: MongoDB 4\.4 or"):
            await _opened(idle_service, old)


async def _opened(service: Service, settings: Settings) -> None:
    async with AsyncExitStack() as closing:
        mongo = await closing.enter_async_context(mongo_client(settings.mongo_uri))
        connections = Connections(temporal=service.temporal, mongo=mongo, store=service.store)
        assert (await open_source(settings, connections, closing)).name


async def test_when_one_server_refuses_nobody_waits_for_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"mongodb://127.0.0.1:{silent.getsockname()[1]}"
        away = settings.model_copy(update={"mongo_uri": SecretStr(address)})
        async with AsyncExitStack() as closing:
            with pytest.raises(UnreachableError, match="Temporal"):
                await Connections.open(away, closing)
            # One that fails later would be reported with a traceback when the program ends.
            left = [repr(task.get_coro()) for task in asyncio.all_tasks()]
            assert not [coroutine for coroutine in left if "check_" in coroutine]


@pytest.mark.parametrize("turns", range(12))
async def test_a_client_that_is_closed_while_it_connects_leaves_no_socket(turns: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/?connectTimeoutMS=300"
        client = AsyncMongoClient[dict[str, Any]](address)
        asking = asyncio.create_task(client.admin.command("ping"))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        del asking, client
        gc.collect()  # with a socket among the garbage, its warning would fail this test

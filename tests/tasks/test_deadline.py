"""A database that takes a write and never answers, as if its majority were away."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from exports.errors import DatabaseUnavailableError
from exports.tasks.asking import AskingStore
from exports.tasks.collection import TaskCollection
from exports.tasks.transitions import RunTransitions
from tests.support.task_steps import ME, REQUEST

HANGS = 60  # seconds: a call that takes longer counts as one that never ends


@pytest.fixture
async def silent_uri(mongo_uri: str) -> AsyncIterator[str]:
    """A stand-in for such a server: the real one, with each write lost on the way to it."""
    address = mongo_uri.removeprefix("mongodb://").partition("/")[0]
    host, _, port = address.partition(":")

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        back, there = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_copy(reader, there, lossy=True), _copy(back, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    yield f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}/?directConnection=true"
    server.close()


async def _copy(source: StreamReader, target: StreamWriter, *, lossy: bool = False) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            if not lossy or not any(name in data for name in (b"\2insert\0", b"\2update\0")):
                target.write(data)
                await target.drain()
    target.close()


async def test_a_write_that_is_not_answered_ends_and_may_have_been_applied(
    silent_uri: str, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    async with AsyncMongoClient[dict[str, Any]](silent_uri, timeoutMS=1000) as client:
        tasks = TaskCollection(client[mongo_database.name])
        for write in (
            AskingStore(tasks).create(REQUEST),
            RunTransitions(tasks).claim(ME, run_started_at=1),
        ):
            with pytest.raises(DatabaseUnavailableError, match="may have been applied"):
                await asyncio.wait_for(write, HANGS)


async def test_every_operation_has_a_deadline_even_if_the_uri_sets_none(
    silent_uri: str,
    mongo_database: AsyncDatabase[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("exports.documents.OPERATION_TIMEOUT", 1.0)
    async with AsyncMongoClient[dict[str, Any]](silent_uri) as client:
        store = AskingStore(TaskCollection(client[mongo_database.name]))
        with pytest.raises(DatabaseUnavailableError, match="may have been applied"):
            await asyncio.wait_for(store.create(REQUEST), HANGS)

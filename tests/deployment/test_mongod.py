"""A `mongod` on the PATH is the database of `make demo`, `make dev` and the tests."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from secantus.transactions import TransactionRegistry

from dev import binaries, database, secantusd
from tests.support.lone_servers import LoneDatabase
from tests.support.mongo_stand_in import Member

STAND_IN = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path

here = Path(__file__).parent
given = sys.argv[1:]
with (here / "given").open("a") as log:
    log.write(json.dumps(given) + "\\n")
options = dict(zip(given, given[1:]))
(here / "empty.toml").touch()
program = {binaries.embedded_mongo()!r}
os.execv(sys.executable, [
    sys.executable, "-P", program, "--config", str(here / "empty.toml"), "--log-level", "WARNING",
    "--host", options["--bind_ip"], "--port", options["--port"],
    "--storage-path", options["--dbpath"], *(["--auth"] if "--auth" in given else []),
])
"""
"""Takes the options of `mongod`, notes them, and becomes the embedded server."""


def test_a_mongod_on_the_path_is_started_as_a_replica_set_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mongod"
    program.write_text(STAND_IN, encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with (
        LoneDatabase() as servers,
        MongoClient[dict[str, Any]](servers.endpoints.admin_uri) as client,
    ):
        assert client["any"]["any"].insert_one({}).acknowledged
        assert database.users_file(servers.directory).name == "mongod-users.json"
    first, second = map(json.loads, (tmp_path / "given").read_text().splitlines())
    for given in (first, second):
        assert given[given.index("--replSet") + 1] == "exports"
        assert given[given.index("--bind_ip") + 1] == "127.0.0.1"
    assert "--auth" not in first, "its users are created first"
    assert "--auth" in second
    assert "--keyFile" in second


def test_without_a_mongod_the_embedded_server_is_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    assert Path(binaries.mongo()).name == "secantusd.py"


@pytest.mark.parametrize("before", [None, "127.0.0.1:1"])
async def test_a_new_or_moved_mongod_becomes_the_primary_of_its_replica_set(
    before: str | None,
) -> None:
    member = Member([], applied=1, host=before, primary=False)
    async with member.listening() as uri:
        address = uri.partition("://")[2].partition("/")[0]
        assert not await asyncio.to_thread(database.is_primary, uri, 5)
        assert member.host == address
        assert await asyncio.to_thread(database.is_primary, uri, 5)


def test_the_embedded_server_keeps_answers_for_as_long_as_a_driver_may_ask_again() -> None:
    now = 0.0
    kept = TransactionRegistry(time_func=lambda: now)
    kept.record_retryable(b"session", 1, b"an update", {"ok": 1.0, "n": 1})
    now = secantusd.KEPT_SECONDS - 1
    assert kept.retryable_reply(b"session", 1, b"an update") == {"ok": 1.0, "n": 1}
    # Longer makes each write slower: docs/upstream/secantusdb-repeated-writes.md
    now = secantusd.KEPT_SECONDS + 1
    assert kept.retryable_reply(b"session", 1, b"an update") is None

"""What an operator sees of `exports doctor`: one line for each check, and an exit code."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.client import Client

from exports.settings import Settings
from tests.support.command_line import CommandLine, environment_of
from tests.support.doctor import polled
from tests.support.service import insert_orders, write_reports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SERVERS = ["settings", "temporal", "mongodb", "bucket", "reports"]


@pytest.fixture
def own_bucket(s3_client: "S3Client", task_queue: str) -> Iterator[str]:
    """A bucket of this test's own, because rules are for all who use one."""
    s3_client.create_bucket(Bucket=task_queue)
    yield task_queue
    s3_client.delete_bucket(Bucket=task_queue)


@pytest.fixture
async def installation(
    settings: Settings,
    own_bucket: str,
    temporal_client: Client,
    temporal_address: str,
    mongo_database: AsyncDatabase[dict[str, Any]],
    tmp_path: Path,
) -> AsyncIterator[dict[str, str]]:
    """The environment of an installation that has all that a person has to provide."""
    await insert_orders(mongo_database)
    await mongo_database["orders"].create_index("createdAt")
    reports = await asyncio.to_thread(write_reports, tmp_path / "reports.toml")
    own = settings.model_copy(update={"s3_bucket": own_bucket, "reports_file": reports})
    async with polled(temporal_client, settings.task_queue):
        yield environment_of(own, temporal_address)


def _wrong(found: dict[str, Any]) -> dict[str, str]:
    return {
        f"{server}: {check['name']}": check["outcome"]
        for server, checks in found["checks"].items()
        for check in checks
        if check["outcome"] != "ok"
    }


async def test_an_installation_is_completed_and_then_all_is_well(
    installation: dict[str, str],
) -> None:
    doctor = CommandLine(installation)
    first = await doctor.run("doctor", "--json")
    assert (first.code, list(first.json["checks"])) == (1, SERVERS)
    assert _wrong(first.json) == {
        "temporal: schedule": "failed",
        "mongodb: indexes": "failed",
        "bucket: lifecycle": "warning",
    }
    mended = await doctor.run("doctor", "--fix")
    assert mended.code == 0
    assert mended.out.count("Mended.") == 3
    after = await doctor.run("doctor", "--fix")
    assert (after.code, after.err) == (0, "")
    assert "Mended." not in after.out
    assert "0 warning, 0 failed: exports work." in after.out
    lines = after.out.splitlines()
    assert [line for line in lines if not line.startswith(" ")][:-1] == SERVERS


async def test_servers_that_never_answer_are_named_and_the_others_are_looked_at(
    installation: dict[str, str],
) -> None:
    with ExitStack() as stack:
        ports = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(3)
        ]
        secret = "s3cr3t"
        silent = await CommandLine(installation).run(
            "doctor",
            "--json",
            TEMPORAL_ADDRESS=f"127.0.0.1:{ports[0]}",
            EXPORTS_MONGO_URI=f"mongodb://u:{secret}@127.0.0.1:{ports[1]}",
            EXPORTS_SOURCE_URI=installation["EXPORTS_MONGO_URI"],
            EXPORTS_S3_ENDPOINT_URL=f"http://127.0.0.1:{ports[2]}",
            EXPORTS_S3_SECRET_ACCESS_KEY=secret,
        )
    assert (silent.code, silent.err) == (1, "")
    assert secret not in silent.out
    for server in ("temporal", "mongodb", "bucket"):
        reached, *others = silent.json["checks"][server]
        assert (reached["name"], reached["outcome"]) == ("reachable", "failed")
        assert "can't be reached" in reached["what"]
        assert reached["mend"]
        assert others
        assert {(item["outcome"], item["what"]) for item in others} == {("failed", "not reached")}
    assert {check["outcome"] for check in silent.json["checks"]["reports"]} == {"ok"}


async def test_with_a_setting_that_is_wrong_no_server_is_asked(
    installation: dict[str, str],
) -> None:
    doctor = CommandLine(installation)
    wrong = await doctor.run("doctor", EXPORTS_URL_TTL="soon")
    assert wrong.code == 1
    assert "The servers were not asked: correct the settings first." in wrong.out
    only = await doctor.run("doctor", "--json", EXPORTS_URL_TTL="soon")
    assert _wrong(only.json) == {"settings: EXPORTS_URL_TTL": "failed"}

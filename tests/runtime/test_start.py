"""A worker that can't start says why in one line; one that can starts, and stops cleanly."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from exports import connections
from exports.names import SEARCH_ATTRIBUTES
from exports.settings import Settings
from tests.support.command_line import environment_of
from tests.support.service import PATIENCE, write_reports
from tests.support.worker_process import ended_by_itself, no_server, silence, started

Environment = dict[str, str]
Away = Callable[[str], Environment]

SERVERS: dict[str, tuple[str, Away]] = {
    "Temporal": (
        "Temporal can't be reached at {address}.",
        lambda address: {"TEMPORAL_ADDRESS": address},
    ),
    "MongoDB": (
        "MongoDB can't be reached at {address}.",
        lambda address: {"EXPORTS_MONGO_URI": f"mongodb://us3r:s3cr3t@{address}/?authSource=admin"},
    ),
    "source": (
        "MongoDB can't be reached at {address}.",
        lambda address: {"EXPORTS_SOURCE_URI": f"mongodb://us3r:s3cr3t@{address}/"},
    ),
    "S3": (
        "The object store can't be reached at http://{address}.",
        lambda address: {"EXPORTS_S3_ENDPOINT_URL": f"http://{address}"},
    ),
}


@pytest.fixture
def environment(settings: Settings, temporal_address: str) -> Environment:
    return environment_of(settings, temporal_address) | {"AWS_EC2_METADATA_DISABLED": "true"}


async def _said(environment: Environment, cwd: Path, code: int) -> str:
    ended = await ended_by_itself(environment, cwd)
    assert ended.code == code, ended.lines
    assert ended.out == ""
    [line] = ended.lines
    for name in ("EXPORTS_S3_ACCESS_KEY_ID", "EXPORTS_S3_SECRET_ACCESS_KEY"):
        assert (environment.get(name) or "no key") not in line
    assert "s3cr3t" not in line
    return line


async def test_without_any_settings_it_says_which_are_missing(tmp_path: Path) -> None:
    bare = {"PATH": os.defpath}
    assert await _said(bare, tmp_path, 2) == (
        "E_SETTINGS: These settings are needed and not set: EXPORTS_MONGO_URI, EXPORTS_S3_BUCKET."
    )


async def test_a_mistake_in_the_reports_file_is_reported_with_its_key(
    environment: Environment, tmp_path: Path
) -> None:
    reports = write_reports(tmp_path / "reports.toml", timezone='"Mars/Olympus"')
    environment["EXPORTS_REPORTS_FILE"] = str(reports)
    line = await _said(environment, tmp_path, 2)
    assert line.startswith(f"E_REPORTS: {reports}: reports.statsMonthly.timezone: ")


async def test_a_reports_file_that_does_not_exist(environment: Environment, tmp_path: Path) -> None:
    environment["EXPORTS_REPORTS_FILE"] = "nowhere.toml"
    line = await _said(environment, tmp_path, 2)
    assert line.startswith("E_REPORTS: ")
    assert "nowhere.toml" in line


def test_no_server_is_waited_for_longer_than_ten_seconds() -> None:
    # How long a process takes from its start to its end is a matter of the machine.
    assert vars(connections)["_CONNECT_TIMEOUT"] < 10


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_that_is_away_is_named(
    environment: Environment, tmp_path: Path, server: str
) -> None:
    message, away = SERVERS[server]
    with no_server() as address:
        line = await _said(environment | away(address), tmp_path, 3)
    assert line == f"E_UNREACHABLE: {message.format(address=address)}"


@pytest.mark.parametrize("server", ["Temporal", "MongoDB", "S3"])
async def test_a_server_that_never_answers_is_named(
    environment: Environment, tmp_path: Path, server: str
) -> None:
    message, away = SERVERS[server]
    with silence() as address:
        line = await _said(environment | away(address), tmp_path, 3)
    assert line == f"E_UNREACHABLE: {message.format(address=address)}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"EXPORTS_S3_BUCKET": "no-such-bucket"}, "E_BUCKET: There is no bucket named"),
        ({"EXPORTS_S3_ACCESS_KEY_ID": "s3cr3t"}, "E_STORE_ACCESS: The object store refused"),
        ({"EXPORTS_S3_SECRET_ACCESS_KEY": "s3cr3t"}, "E_STORE_ACCESS: The object store refused"),
        (
            {"EXPORTS_S3_ACCESS_KEY_ID": "", "EXPORTS_S3_SECRET_ACCESS_KEY": "", "HOME": "/none"},
            "E_STORE_ACCESS: There are no credentials for the object store",
        ),
        ({"EXPORTS_S3_REGION": "not a region"}, "E_SETTINGS: The settings of the object store"),
        ({"EXPORTS_S3_ENDPOINT_URL": "s3.example.com"}, "E_SETTINGS: Settings are wrong: EXPORTS_"),
        ({"EXPORTS_MONGO_URI": "http://us3r:s3cr3t@db"}, "E_SETTINGS: The MongoDB URI can't be"),
        ({"EXPORTS_MONGO_URI": "s3cr3t"}, "E_SETTINGS: The MongoDB URI can't be"),
        (
            {"EXPORTS_MONGO_URI": "mongodb://us3r:s3cr3t@db/?tls=true&tlsCAFile=/none.pem"},
            "E_SETTINGS: The MongoDB URI names a TLS file that can't be read.",
        ),
        ({"TEMPORAL_ADDRESS": "not an address"}, "E_SETTINGS: Temporal's settings can't be used"),
        ({"TEMPORAL_NAMESPACE": "nowhere"}, "E_SETTINGS: Temporal has no namespace 'nowhere'."),
        ({"TEMPORAL_PROFILE": "none"}, "E_SETTINGS: Temporal's settings can't be read: Profile"),
        (
            {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/none.pem"},
            "E_SETTINGS: Temporal's settings can't be read: [Errno 2] No such file",
        ),
        (
            {
                "TEMPORAL_TLS_CLIENT_CERT_PATH": "rubbish.pem",
                "TEMPORAL_TLS_CLIENT_KEY_PATH": "rubbish.pem",
            },
            "E_SETTINGS: Temporal's TLS certificate or key can't be read.",
        ),
        ({"TEMPORAL_CONFIG_FILE": "rubbish.pem"}, "E_SETTINGS: Temporal's settings can't be read"),
    ],
)
async def test_what_a_server_refuses_and_wrong_settings_are_reported_in_one_line(
    environment: Environment, tmp_path: Path, changes: Environment, said: str
) -> None:
    (tmp_path / "rubbish.pem").write_text('[profile.default]\napi_key = "s3cr3t\n')
    line = await _said(environment | changes, tmp_path, 2)
    assert line.startswith(said)


async def test_a_database_that_refuses_the_credentials(
    environment: Environment, tmp_path: Path, settings: Settings
) -> None:
    address = settings.mongo_uri.get_secret_value().removeprefix("mongodb://")
    environment["EXPORTS_MONGO_URI"] = f"mongodb://us3r:s3cr3t@{address}"
    assert await _said(environment, tmp_path, 2) == (
        f"E_DATABASE_ACCESS: MongoDB at {address} refused the credentials."
    )


async def test_a_worker_registers_the_search_attributes_if_they_are_missing(
    environment: Environment, tmp_path: Path, temporal_client: Client, task_queue: str
) -> None:
    await temporal_client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=task_queue,
            workflow_execution_retention_period=Duration(seconds=86400),
        )
    )
    environment["TEMPORAL_NAMESPACE"] = task_queue
    for _ in ("they are missing", "they are there"):
        async with started(environment, tmp_path) as worker:
            await worker.says("Worker is ready")
            worker.signal(signal.SIGTERM)
            assert (await worker.ended()).code == 0
        found = await temporal_client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=task_queue)
        )
        assert set(SEARCH_ATTRIBUTES) <= set(found.custom_attributes)


@pytest.mark.parametrize(("signum", "watch"), [(signal.SIGTERM, "on"), (signal.SIGINT, "off")])
async def test_a_worker_that_is_told_to_stop_ends_with_0_and_watches_no_longer(
    environment: Environment,
    tmp_path: Path,
    task_queue: str,
    mongo_database: AsyncDatabase[dict[str, Any]],
    signum: signal.Signals,
    watch: str,
) -> None:
    watches, environment["EXPORTS_WATCH"] = mongo_database["ExportWatch"], watch
    async with started(environment, tmp_path) as worker:
        await worker.says(f"Worker is ready on task queue {task_queue}")
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while watch == "on" and await watches.find_one() is None:
                await asyncio.sleep(0.02)
        worker.signal(signum)
        ended = await worker.ended()
    assert ended.code == 0
    found = await watches.find_one({}, {"holder": True})
    assert found == ({"_id": task_queue, "holder": None} if watch == "on" else None)
    assert ended.out == ""
    own = [line.partition("exports.worker: ")[2] for line in ended.lines if "exports." in line]
    assert own == [
        f"Worker is ready on task queue {task_queue}",
        "Worker is stopping; it finishes its work",
    ]
    # The SDK's core gives its slots a second, which a busy machine may exceed. It says so and ends.
    slow = "Waiting for all slot permits to release took too long"
    assert not [line for line in ended.lines if " INFO " not in line and slow not in line]

"""Shared by all tests: one set of real servers per run, and a part of it for each test.

With xdist, the controller starts the servers before its workers, which find them through an
environment variable. Without xdist they start when the first test needs them.
"""

import asyncio
import gc
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.client import Client

from dev import object_store
from dev.endpoints import Endpoints
from dev.servers import Servers
from exports.settings import Settings
from exports.temporal.converter import data_converter
from tests.support import driver, leaks, protections
from tests.support.service import Service, open_service, working
from tests.support.settings import settings_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An example may take long on a busy machine. A hang is stopped by the timeout of its test.
hypothesis.settings.register_profile("exports", deadline=None)
hypothesis.settings.load_profile("exports")

_SHARED = "EXPORTS_TEST_SERVERS"
_MONGO = "EXPORTS_TEST_MONGO_URI"
"""A database that the tests use instead of one of their own: a URI without a path and options."""
_SERVERS = pytest.StashKey[Servers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let several runs share their servers."""
    parser.addoption(
        "--servers",
        type=Path,
        metavar="FILE",
        help="endpoints of running servers; they are not stopped and not searched for leaks",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Remove the developer's own settings from the environment."""
    # Each collection of garbage goes through all modules and tests again: by default, that takes a
    # tenth of the processor time.
    gc.set_threshold(20_000, 50, 100)
    driver.close_abandoned_sockets()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs with SIGINT ignored, and the tests' programs inherit this.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if _is_xdist_worker(config):
        if leaks.LOGS in os.environ:
            leaks.keep_ours()
        return
    for name in list(os.environ):
        if name.startswith(("EXPORTS_", "TEMPORAL_", "AWS_")) and name != _MONGO:
            del os.environ[name]
    if (running := config.getoption("servers")) is not None:
        os.environ[_SHARED] = running.read_text(encoding="utf-8")


@pytest.hookimpl(tryfirst=True)  # before xdist starts its workers, which inherit the variable
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    many = config.getoption("dist", "no") != "no"
    if many and not _is_xdist_worker(config) and not config.option.collectonly:
        _shared_endpoints(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests."""
    # If one of them began last, everything would wait for it.
    items.sort(key=_timeout_of, reverse=True)
    # xdist gives each worker a block of neighbours to begin with. Dealt out like cards, the longest
    # tests do not all go to one worker.
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [item for first in range(workers) for item in items[first::workers]]


def pytest_runtest_setup(item: pytest.Item) -> None:
    protections.check(item)


def _timeout_of(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark else 0


def pytest_collection_finish() -> None:
    """Spare each collection of garbage the modules and tests, which stay until the end."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before the summary is written
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that has left a row, a link or a secret in Temporal or in a log."""
    if _SERVERS not in session.config.stash:
        return
    servers = session.config.stash[_SERVERS]
    began = time.monotonic()
    found, searched = asyncio.run(leaks.search_everything(servers.endpoints, servers.directory))
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if terminal is not None:
        terminal.write_line("")
        terminal.write_line(f"{searched}: {len(found)} found, {time.monotonic() - began:.1f} s")
        for leak in found:
            terminal.write_line(f"LEAK of {leak.what} in {leak.where}", red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SERVERS in config.stash:
        config.stash[_SERVERS].stop()


def _is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _shared_endpoints(config: pytest.Config) -> Endpoints:
    if _SHARED not in os.environ:
        servers = config.stash[_SERVERS] = Servers(mongo_uri=os.environ.get(_MONGO))
        logs = servers.directory / "tests"
        logs.mkdir()
        os.environ[leaks.LOGS] = str(logs)
        leaks.keep_ours()
        os.environ[_SHARED] = servers.start().to_json()
    return Endpoints.model_validate_json(os.environ[_SHARED])


@pytest.fixture(scope="session")
def endpoints(request: pytest.FixtureRequest) -> Endpoints:
    """The addresses of the servers of this run."""
    return _shared_endpoints(request.config)


@pytest.fixture
def mongo_uri(endpoints: Endpoints) -> str:
    return endpoints.mongo_uri


@pytest.fixture(scope="session")
def mongo(endpoints: Endpoints) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the database; it is safe to share, other than an asynchronous one."""
    with MongoClient[dict[str, Any]](endpoints.mongo_uri) as client:
        yield client


@pytest.fixture
async def mongo_database(
    endpoints: Endpoints, mongo: MongoClient[dict[str, Any]]
) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """A database for this test, dropped afterwards."""
    async with AsyncMongoClient[dict[str, Any]](endpoints.mongo_uri) as client:
        name = f"t_{secrets.token_hex(8)}"
        yield client[name]
    mongo.drop_database(name)


@pytest.fixture(scope="session")
def s3_client(endpoints: Endpoints) -> Iterator["S3Client"]:
    """A client of the object store; boto3's clients are safe to share."""
    client = object_store.connect(endpoints)
    yield client
    client.close()


@pytest.fixture
def bucket(endpoints: Endpoints) -> str:
    """The only bucket; each test uses its own `s3_prefix`."""
    return endpoints.s3_bucket


@pytest.fixture
def s3_prefix() -> str:
    """A prefix for this test. What is left there goes with the servers."""
    return f"t-{secrets.token_hex(8)}/"


@pytest.fixture
async def temporal_client(endpoints: Endpoints) -> Client:
    return await Client.connect(endpoints.temporal_address, data_converter=data_converter())


@pytest.fixture
def task_queue() -> str:
    return f"t-{secrets.token_hex(8)}"


@pytest.fixture
def settings(
    endpoints: Endpoints,
    mongo_database: AsyncDatabase[dict[str, Any]],
    s3_prefix: str,
    task_queue: str,
) -> Settings:
    """Settings for this test: its own database, prefix and task queue on the shared servers."""
    return settings_of(
        endpoints, database=mongo_database.name, prefix=s3_prefix, task_queue=task_queue
    )


@pytest.fixture
def temporal_address(endpoints: Endpoints) -> str:
    return endpoints.temporal_address


@pytest.fixture
async def idle_service(settings: Settings, temporal_address: str) -> AsyncIterator[Service]:
    """A service whose worker does not run yet."""
    async with open_service(settings, temporal_address) as service:
        yield service


@pytest.fixture
async def service(idle_service: Service) -> AsyncIterator[Service]:
    """A service with a worker at work."""
    async with working(idle_service):
        yield idle_service

"""The embedded servers, worker processes as in production, and a client, for one benchmark."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from temporalio.client import Client, WorkflowFailureError

from dev.process import Process
from dev.servers import Servers
from dev.stack import REPOSITORY, inherited
from exports import names
from exports.client import ExportClient
from exports.connections import Connections
from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.reports.report import ReportCatalog
from exports.runtime.process import keep_temporal_off_stdout
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.tasks.task import ExportTask

USER: Final = "bench"
READY: Final = "Worker is ready"
REPLAY_WORKER: Final = ("-m", "benchmarks.replay_worker")
_PATIENCE: Final = 60.0  # seconds
_LOOK: Final = 0.05  # seconds
_numbers = count(1)


@dataclass(frozen=True)
class Bench:
    """What a benchmark works with.

    Attributes:
        servers: The embedded servers, of this benchmark alone.
        settings: The settings of the workers and the client.
        connections: The connections of the client.
        client: Asks for exports.
        reports: The configured reports.
    """

    servers: Servers
    settings: Settings
    connections: Connections
    client: ExportClient
    reports: ReportCatalog

    @property
    def temporal(self) -> Client:
        """The Temporal client."""
        return self.connections.temporal

    @property
    def store(self) -> ObjectStore:
        """The object store."""
        return self.connections.store

    @property
    def database(self) -> AsyncDatabase[dict[str, Any]]:
        """The database that holds the tasks, and the orders if a benchmark loads any."""
        return self.connections.mongo[self.settings.mongo_database]

    @property
    def directory(self) -> Path:
        """A directory for recordings and other files; removed at the end."""
        return self.servers.directory

    @contextmanager
    def process(
        self, *arguments: str, ready: str = READY, nice: int = 0, **variables: str
    ) -> Generator[Process]:
        """Start a Python program that uses the servers, and wait until it is ready.

        Args:
            arguments: Arguments of the interpreter.
            ready: What it writes when it is ready.
            nice: Its priority as `nice` takes it: 0 is normal, 19 is the lowest.
            variables: Its environment variables, in addition to those that name the servers.

        Raises:
            CrashError: It ended before it was ready.
            TimeoutError: It was not ready in time.
        """
        process = Process(
            " ".join(arguments[:2]),
            ["nice", "-n", str(nice), sys.executable, *arguments],
            log=self.directory / f"process-{next(_numbers)}.log",
            environment=dict(os.environ) | variables,
            cwd=REPOSITORY,
        )
        try:
            deadline = time.monotonic() + _PATIENCE
            while ready not in process.log.read_text("utf-8", errors="replace"):
                process.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{process.name} is not ready.{process.tail()}")
                time.sleep(_LOOK)
            yield process
        finally:
            process.stop()

    async def finished(self, task: ExportTask) -> ExportTask:
        """Wait until the workflow of an export has closed; return the finished task.

        Raises:
            RuntimeError: The export is not done.
        """
        handle = self.temporal.get_workflow_handle(names.workflow_id(task.id))
        with suppress(WorkflowFailureError):  # the task says why
            await handle.result()
        ended = await self.client.get(task.id, created_by=None)
        if ended.status is not TaskStatus.DONE:
            raise RuntimeError(f"The export is {ended.status}: {ended.error}")
        return ended


@asynccontextmanager
async def opened(**variables: str) -> AsyncGenerator[Bench]:
    """Start servers of our own, and point this process and its children at them.

    Args:
        variables: Other environment variables.
    """
    keep_quiet()
    async with AsyncExitStack() as closing:
        servers = Servers()
        closing.callback(servers.stop)
        await asyncio.to_thread(servers.start)
        os.environ |= {
            # Otherwise the user's own Temporal profile could add a namespace or TLS.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_NAMESPACE": "default",
            "EXPORTS_REPORTS_FILE": str(REPOSITORY / "exports.toml"),
            # One person asks for all exports, many of them equal.
            "EXPORTS_JOIN_WITHIN": "0",
            "EXPORTS_QUOTA_OPEN": "0",
            "EXPORTS_QUOTA_PER_DAY": "0",
            **servers.endpoints.environment(),
            **variables,
        }
        settings = Settings.load()
        reports = load_reports(settings.reports_file)
        connections = await Connections.open(settings, closing)
        client = ExportClient(connections=connections, settings=settings, reports=reports)
        yield Bench(servers, settings, connections, client, reports)


@cache
def keep_quiet() -> None:
    """Keep the log of Temporal's core off the terminal; may be called several times."""
    keep_temporal_off_stdout()


def forget_the_shell() -> None:
    """Remove the settings of the shell, which would change what is measured."""
    for name in os.environ.keys() - inherited().keys():
        del os.environ[name]
    # As in an image: without bytecode, the workflow's sandbox compiles its modules for each run.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

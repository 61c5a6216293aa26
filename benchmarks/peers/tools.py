"""How to start a worker of each tool, and how to ask each tool for an export."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Final

import redis
from celery import Celery
from dbos import DBOSClient, EnqueueOptions
from procrastinate import App, PsycopgConnector
from temporalio.client import Client

from benchmarks.peers import sample
from benchmarks.peers.servers import PeerServers
from dev.ports import LOOPBACK
from exports import names
from exports.settings import Settings
from exports.temporal.start import start_export

OURS: Final = "Temporal (ours)"
_QUEUE: Final = "exports"


class Tool(ABC):
    """One way to run the same export.

    Attributes:
        name: Its name for people.
        ready: What its worker writes when it is ready.
        recovery: How it notices that a worker is lost.
        notices_within: Seconds that this takes at most.
    """

    name: str
    ready: str = "Worker is ready"
    recovery: str
    notices_within: float

    @abstractmethod
    def command(self, concurrency: int) -> list[str]:
        """Return what starts a worker, without the interpreter's own `python`."""

    @abstractmethod
    def environment(self, concurrency: int) -> Mapping[str, str]:
        """Return its worker's environment variables, without those that name our servers."""

    @abstractmethod
    async def open(self, closing: AsyncExitStack) -> None:
        """Connect; called after its worker was ready."""

    @abstractmethod
    async def submit(self, task_id: str) -> None:
        """Ask for the export of a stored task."""

    @abstractmethod
    async def held(self, task_ids: set[str]) -> set[str]:
        """Return which of these tasks the tool still has in its queue or is working on."""


class Temporal(Tool):
    """Ours."""

    name = OURS
    recovery = "no heartbeat for 12 s"
    notices_within = 12

    def __init__(self, settings: Settings, temporal: Client) -> None:
        self._settings = settings
        self._temporal = temporal

    def command(self, concurrency: int) -> list[str]:  # noqa: ARG002 -- it is in the settings
        """See `Tool.command`."""
        return ["-m", "benchmarks.peers.temporal_worker"]

    def environment(self, concurrency: int) -> Mapping[str, str]:
        """See `Tool.environment`."""
        return {"EXPORTS_MAX_CONCURRENT_ACTIVITIES": str(concurrency)}

    async def open(self, closing: AsyncExitStack) -> None:
        """See `Tool.open`."""

    async def submit(self, task_id: str) -> None:
        """See `Tool.submit`."""
        request = sample.REQUEST.model_copy(update={"task_id": task_id})
        await start_export(self._temporal, request, task_queue=self._settings.task_queue)

    async def held(self, task_ids: set[str]) -> set[str]:
        """See `Tool.held`."""
        running = self._temporal.list_workflows("ExecutionStatus = 'Running'")
        return {names.task_id_of(found.id) async for found in running} & task_ids


class CeleryTool(Tool):
    """Celery with Redis as broker and for results.

    Args:
        servers: Where Redis is.
        pool: Celery's name for how a worker runs tasks side by side.
        database: Redis's number of a database; the next one is for the results.
    """

    recovery = "visibility timeout of 30 s, looked at every 10 s"
    notices_within = 40

    def __init__(self, servers: PeerServers, pool: str, database: int) -> None:
        self.name = f"Celery + Redis ({pool})"
        self._pool = pool
        self._port = servers.redis_port
        self._database = database
        self._broker = f"redis://{LOOPBACK}:{self._port}/{database}"
        self._results = f"redis://{LOOPBACK}:{self._port}/{database + 1}"

    def command(self, concurrency: int) -> list[str]:
        """See `Tool.command`."""
        return [
            *("-m", "celery", "--app", "benchmarks.peers.celery_worker", "worker"),
            *("--pool", self._pool, "--concurrency", str(concurrency), "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle"),
        ]

    def environment(self, concurrency: int) -> Mapping[str, str]:  # noqa: ARG002 -- in its command
        """See `Tool.environment`."""
        return {"PEERS_CELERY_BROKER": self._broker, "PEERS_CELERY_RESULTS": self._results}

    @cached_property
    def _app(self) -> Celery:
        app = Celery("peers", broker=self._broker, backend=self._results)
        app.conf.update(task_default_queue=_QUEUE)
        return app

    async def open(self, closing: AsyncExitStack) -> None:
        """See `Tool.open`."""
        closing.callback(self._app.close)

    async def submit(self, task_id: str) -> None:
        """See `Tool.submit`."""
        await asyncio.to_thread(self._app.send_task, "export", (task_id,), task_id=task_id)

    async def held(self, task_ids: set[str]) -> set[str]:
        """See `Tool.held`."""
        messages = await asyncio.to_thread(self._messages)
        return {task_id for task_id in task_ids if task_id in messages}

    def _messages(self) -> str:
        with redis.Redis(port=self._port, db=self._database, decode_responses=True) as client:
            found = [*client.lrange(_QUEUE, 0, -1), *client.hvals("unacked")]
        return "\n".join(map(str, found))


class Dbos(Tool):
    """DBOS with PostgreSQL."""

    name = "DBOS + PostgreSQL"
    recovery = "at once, when a worker of the same id starts"
    notices_within = 0

    def __init__(self, servers: PeerServers) -> None:
        self._database = servers.create_database("dbos")

    def command(self, concurrency: int) -> list[str]:  # noqa: ARG002 -- told by its environment
        """See `Tool.command`."""
        return ["-m", "benchmarks.peers.dbos_worker"]

    def environment(self, concurrency: int) -> Mapping[str, str]:
        """See `Tool.environment`."""
        return {"PEERS_DBOS_DATABASE": self._database, "PEERS_CONCURRENCY": str(concurrency)}

    @cached_property
    def _client(self) -> DBOSClient:
        return DBOSClient(system_database_url=self._database, application_name="peers", lazy=True)

    async def open(self, closing: AsyncExitStack) -> None:
        """See `Tool.open`."""
        closing.callback(self._client.destroy)

    async def submit(self, task_id: str) -> None:
        """See `Tool.submit`."""
        options: EnqueueOptions = {
            "workflow_name": "export",
            "queue_name": _QUEUE,
            "workflow_id": task_id,
        }
        await self._client.enqueue_async(options, task_id)

    async def held(self, task_ids: set[str]) -> set[str]:
        """See `Tool.held`."""
        found = await self._client.list_workflows_async(status=["PENDING", "ENQUEUED"])
        return {workflow.workflow_id for workflow in found} & task_ids


class Procrastinate(Tool):
    """Procrastinate with PostgreSQL."""

    name = "procrastinate + PostgreSQL"
    recovery = "no heartbeat for 30 s, looked at every 10 s"
    notices_within = 40

    def __init__(self, servers: PeerServers) -> None:
        self._database = servers.create_database("procrastinate")
        self._app = App(connector=PsycopgConnector(conninfo=self._database))
        self._made = False

    def command(self, concurrency: int) -> list[str]:  # noqa: ARG002 -- told by its environment
        """See `Tool.command`."""
        return ["-m", "benchmarks.peers.procrastinate_worker"]

    def environment(self, concurrency: int) -> Mapping[str, str]:
        """See `Tool.environment`."""
        return {
            "PEERS_PROCRASTINATE_DATABASE": self._database,
            "PEERS_CONCURRENCY": str(concurrency),
        }

    async def prepare(self) -> None:
        """Create its tables, because its worker does not create them."""
        async with self._app.open_async():
            await self._app.schema_manager.apply_schema_async()

    async def open(self, closing: AsyncExitStack) -> None:
        """See `Tool.open`."""
        await closing.enter_async_context(self._app.open_async())

    async def submit(self, task_id: str) -> None:
        """See `Tool.submit`."""
        await self._app.configure_task("export", queue=_QUEUE).defer_async(task_id=task_id)

    async def held(self, task_ids: set[str]) -> set[str]:
        """See `Tool.held`."""
        jobs = [
            job
            for status in ("todo", "doing")
            for job in await self._app.job_manager.list_jobs_async(status=status, task="export")
        ]
        return {str(job.task_kwargs["task_id"]) for job in jobs} & task_ids

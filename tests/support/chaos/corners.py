"""Several services in one test, each with its own task queue, tasks and prefix."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from exports.client import ExportClient
from exports.connections import Connections
from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.source.database import Source
from exports.storage.bucket import ObjectStore
from exports.tasks.collection import TaskCollection
from exports.tasks.task import ExportTask
from tests.support.service import PATIENCE, Service, downloaded
from worker import at_work, create_workers

CLOSED = {
    TaskStatus.DONE: WorkflowExecutionStatus.COMPLETED,
    TaskStatus.CANCELLED: WorkflowExecutionStatus.CANCELED,
}


@asynccontextmanager
async def corner(base: Service, name: str, **changes: Any) -> AsyncGenerator[Service]:
    """Open a service that reads the same source database and shares nothing else."""
    settings = base.settings.model_copy(
        update={
            "source_database": base.settings.source[1],
            "mongo_database": f"{base.settings.mongo_database}_{name}",
            "s3_prefix": f"{base.settings.s3_prefix}{name}/",
            "task_queue": f"{base.settings.task_queue}-{name}",
            "shutdown_grace": timedelta(seconds=2),  # a step that still runs at the end has failed
            **changes,
        }
    )
    store = ObjectStore(settings)
    connections = Connections(temporal=base.temporal, mongo=base.connections.mongo, store=store)
    database = connections.mongo[settings.mongo_database]
    try:
        yield replace(
            base,
            settings=settings,
            connections=connections,
            client=ExportClient(
                connections=connections,
                settings=settings,
                reports=load_reports(settings.reports_file),
            ),
            collection=TaskCollection(database),
            database=database,
        )
    finally:
        store.close()
        await connections.mongo.drop_database(settings.mongo_database)


async def closed(service: Service, task_id: str) -> None:
    """Wait until the run of a task has closed, with any status."""
    try:
        await service.run_of(task_id).result(rpc_timeout=PATIENCE * 2)
    except WorkflowFailureError:
        return


@dataclass(frozen=True)
class Reference:
    """How an export ends without faults."""

    status: TaskStatus
    content: bytes | None

    @classmethod
    def of(cls, task: ExportTask) -> "Reference":
        """Take an export that ended as it should."""
        return cls(task.status, downloaded(task.download_url) if task.download_url else None)

    async def check(self, service: Service, task_id: str) -> None:
        """Compare another export, after one sweep, with this one.

        Raises:
            AssertionError: They differ; says in what.
        """
        document = await service.document(task_id)
        assert (document["status"], document["retries"]) == (self.status, 0)
        if self.content is None:
            assert "downloadUrl" not in document
            assert service.keys() == []
        else:
            assert downloaded(document["downloadUrl"]) == self.content
            assert service.keys() == [document["objectKey"]]
        assert service.open_uploads() == []
        described = await service.run_of(task_id).describe()
        assert described.status is CLOSED[self.status]
        assert described.history_length < 200


@asynccontextmanager
async def working(service: Service) -> AsyncGenerator[None]:
    """Run a worker in this process, on the source database that the settings name."""
    settings, connections = service.settings, service.connections
    source = Source(connections.mongo[settings.source[1]], settings.query_timeout)
    reports = load_reports(settings.reports_file)
    async with at_work(create_workers(settings, reports, connections, source)):
        yield

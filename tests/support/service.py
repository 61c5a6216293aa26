"""A service for one test: a worker on the test's own queue, and a client."""

import urllib.request
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from bson import Decimal128
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.client import Client, WorkflowHandle

from exports import names
from exports.client import ExportClient
from exports.connections import Connections, mongo_client
from exports.messages.channel import Channel
from exports.reports.file import load_reports
from exports.reports.report import ReportCatalog
from exports.settings import Settings
from exports.source.database import Source
from exports.storage.bucket import ObjectStore
from exports.tasks.asking import AskingStore
from exports.tasks.collection import TaskCollection
from exports.tasks.store import TaskStore
from exports.tasks.task import ExportTask
from exports.temporal.converter import data_converter
from tests.support.leaks import CANARY
from tests.support.paths import REPORTS
from worker import at_work, create_workers

USER = "u1"
MONTH = {"year": 2026, "month": 10}
OF_ROWS: dict[str, Any] = {
    "kind": "recordsDetail",
    "params": {"from": "2026-10-01", "to": "2026-11-01"},
}
"""What `create` takes for an export whose rows are staged by a step of their own."""
PATIENCE = timedelta(seconds=150)
"""How long a test waits at most. Only a test that hangs takes so long, on any machine."""


@dataclass(frozen=True)
class Service:
    """The parts of a service that tests use."""

    settings: Settings
    connections: Connections
    client: ExportClient
    collection: TaskCollection
    database: AsyncDatabase[dict[str, Any]]

    @property
    def temporal(self) -> Client:
        return self.connections.temporal

    @property
    def tasks(self) -> TaskStore:
        return TaskStore(self.collection)

    @property
    def asked(self) -> AskingStore:
        return AskingStore(self.collection)

    @property
    def store(self) -> ObjectStore:
        return self.connections.store

    async def create(self, kind: str = "statsMonthly", **given: Any) -> ExportTask:
        params = {"year": 2026} if kind == "statsAnnual" else MONTH
        return await self.client.create(
            kind, given.pop("params", params), created_by=given.pop("created_by", USER), **given
        )

    async def ended(self, task_id: str) -> ExportTask:
        return await self.client.wait(task_id, created_by=None, timeout=PATIENCE)

    async def exported(self, kind: str = "statsMonthly", **given: Any) -> ExportTask:
        return await self.ended((await self.create(kind, **given)).id)

    async def document(self, task_id: str) -> dict[str, Any]:
        found = await self.collection.find(task_id)
        assert found is not None
        return found

    def run_of(self, task_id: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(names.workflow_id(task_id))

    def keys(self) -> list[str]:
        """The objects in the bucket, but for the preview that each file has beside it."""
        roots = (names.STAGING, names.FILES)
        found = {item.key for root in roots for item in self.store.objects(root)}
        files = {key for key in found if not key.endswith("/preview.json")}
        return sorted(found - {names.preview_key(key) for key in files})

    def open_uploads(self) -> list[str]:
        roots = (names.STAGING, names.FILES)
        return sorted(item.key for root in roots for item in self.store.open_uploads(root))


@cache
def _ours() -> ReportCatalog:
    return load_reports(REPORTS)


def reports_of(path: Path) -> ReportCatalog:
    """Return the reports of a file; those of ours are read once."""
    return _ours() if path == REPORTS else load_reports(path)


@asynccontextmanager
async def open_service(
    settings: Settings, temporal_address: str, *, temporal: Client | None = None
) -> AsyncGenerator[Service]:
    """Open the connections of a service; no worker runs yet."""
    async with AsyncExitStack() as closing:
        mongo = mongo_client(settings.mongo_uri)
        closing.push_async_callback(mongo.close)
        store = ObjectStore(settings)
        closing.callback(store.close)
        temporal = temporal or await Client.connect(
            temporal_address, data_converter=data_converter(settings.encryption_keys)
        )
        connections = Connections(temporal=temporal, mongo=mongo, store=store)
        database = connections.mongo[settings.mongo_database]
        reports = reports_of(settings.reports_file)
        yield Service(
            settings=settings,
            connections=connections,
            client=ExportClient(connections=connections, settings=settings, reports=reports),
            collection=TaskCollection(database),
            database=database,
        )


@asynccontextmanager
async def working(
    service: Service, *, channels: Mapping[str, Channel] | None = None
) -> AsyncGenerator[None]:
    """Run a worker for the service, with these channels for messages."""
    reports = reports_of(service.settings.reports_file)
    source = Source(service.database, service.settings.query_timeout)
    async with at_work(
        create_workers(service.settings, reports, service.connections, source, channels or {})
    ):
        yield


async def insert_orders(
    database: AsyncDatabase[dict[str, Any]], amounts: Sequence[str] = ("10.10", "20.20", "-0.30")
) -> None:
    """Insert an order a day from 1 October 2026 on, at noon in Shanghai."""
    await database["orders"].insert_many(
        [
            {
                "uid": f"{CANARY}-buyer-{index % 2}",
                "category": "图书",
                "amount": Decimal128(amount),
                "createdAt": datetime(2026, 10, 1, 4, tzinfo=UTC) + timedelta(days=index),
            }
            for index, amount in enumerate(amounts)
        ]
    )


def downloaded(url: str | None) -> bytes:
    assert url is not None
    with urllib.request.urlopen(url, timeout=150) as answer:
        content: bytes = answer.read()
        return content


def write_reports(path: Path, **changes: str) -> Path:
    """Write a reports file with one report, statsMonthly of orders, some of its lines changed."""
    lines = {
        "collection": '"orders"',
        "time_field": '"createdAt"',
        "timezone": '"Asia/Shanghai"',
    } | changes
    table = "\n".join(f"{key} = {value}" for key, value in lines.items())
    path.write_text(
        f"[reports.statsMonthly]\n{table}\n"
        '[reports.statsMonthly.measures]\norders = { op = "count" }\n'
        'revenue = { op = "sum", field = "amount" }\n',
        encoding="utf-8",
    )
    return path

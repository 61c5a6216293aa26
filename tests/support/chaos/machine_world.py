"""What the state machine drives: a client, workers and the servers, in an event loop of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from bson import ObjectId

from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.chaos import evidence
from tests.support.chaos.client_record import RecordedUser
from tests.support.chaos.evidence import Content
from tests.support.chaos.herd import Herd, environment_of
from tests.support.chaos.operations import Record, asked_for
from tests.support.chaos.verdict import findings
from tests.support.chaos.worker_entry import HEARTBEAT
from tests.support.service import Service, insert_orders, open_service, write_reports

_OCTOBER: Final = {"year": 2026, "month": 10}
_BROKEN: Final = """
[reports.brokenMonthly]
collection = "nothing"
time_field = "createdAt"
period = "month"
measures = { orders = { op = "count" } }
"""
GOOD: Final = ("statsMonthly", "csv"), ("statsMonthly", "xlsx")
BROKEN: Final = ("brokenMonthly", "csv")
_MAY_FAIL: Final = {asked_for("brokenMonthly", _OCTOBER, "csv"): "E_COLLECTION"}
_SILENCE: Final = "2"
_WORKERS: Final = 2
_PATIENCE: Final = timedelta(minutes=3)

_T = TypeVar("_T")


class World:
    """The service and its workers, for a test that is not asynchronous.

    Args:
        settings: The settings of the service.
        endpoints: The servers.
        servers: Where the evidence is.
        folder: For reports, logs and records.
    """

    def __init__(
        self, settings: Settings, endpoints: Endpoints, servers: evidence.Servers, folder: Path
    ) -> None:
        self.record = Record(folder / "record.jsonl")
        self._settings = settings
        self._endpoints = endpoints
        self._servers = servers
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._closing = AsyncExitStack()
        self._examples = 0
        self._spoiled = False  # left by an example that failed
        self._references: dict[str, Content] = {}

    @contextmanager
    def open(self) -> Generator["World"]:
        """Start workers, and make the references."""
        self._thread.start()
        try:
            self._do(self._open())
            yield self
        finally:
            self._do(self._closing.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def begin(self) -> None:
        """Begin an example, with its own record and users."""
        if self._spoiled:
            self._do(self._clear())
        self._spoiled = True
        self._examples += 1
        self.record = Record(self._folder / f"record-{self._examples:04}.jsonl")
        self._herd.record = self.record
        self._servers = replace(self._servers, since=datetime.now(UTC).isoformat())

    def end(self) -> list[str]:
        """Sweep once, remove everything, and return what the checker finds."""
        found = self._do(self._judged())
        self._spoiled = False
        return found

    def user(self, name: str) -> "BlockingUser":
        """Return a user of this example."""
        user = RecordedUser(f"{name}-{self._examples}", self._service.client, self.record)
        return BlockingUser(user, self.record, self._loop)

    def crash(self) -> None:
        """Kill a worker, preferably one at work."""
        self._do(self._crash())

    def sweep(self) -> None:
        """Sweep now."""
        self._do(self._service.client.sweep())

    def time_is_over(self, task: str) -> None:
        """Let the retention time of a task's file be over."""
        self._do(
            self._service.database["ExportTasks"].update_one(
                {"_id": ObjectId(task)}, {"$set": {"purgeAt": 1}}
            )
        )

    def reference(self, form: str) -> Content:
        """Return the file of a valid report, made without faults."""
        return self._references[asked_for("statsMonthly", _OCTOBER, form)]

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    async def _open(self) -> None:
        reports = write_reports(self._folder / "reports.toml", about="false")
        with reports.open("a", encoding="utf-8") as file:
            file.write(_BROKEN)
        settings = self._settings.model_copy(update={"reports_file": reports})
        self._service: Service = await self._closing.enter_async_context(
            open_service(settings, self._endpoints.temporal_address)
        )
        await insert_orders(self._service.database)
        environment = environment_of(settings, self._endpoints, **{HEARTBEAT: _SILENCE})
        self._herd = await self._closing.enter_async_context(
            Herd(_WORKERS, environment, self._folder, self.record)
        )
        user = RecordedUser("reference", self._service.client, self.record)
        for kind, form in GOOD:
            task = await user.wait(await user.create(kind, _OCTOBER, form), _PATIENCE)
            assert task is not None
            assert task.download_url is not None
            link = await asyncio.to_thread(evidence.downloaded, task.download_url)
            self._references[asked_for(kind, _OCTOBER, form)] = link
        await evidence.settled_runs(self._servers)
        await self._clear()

    async def _crash(self) -> None:
        self._herd.crash()

    async def _judged(self) -> list[str]:
        await evidence.settled_runs(self._servers)
        await self._service.client.sweep()
        found = await evidence.gather(
            self._servers, self.record.operations, self._references, _MAY_FAIL
        )
        await self._clear()
        return findings(found)

    async def _clear(self) -> None:
        await self._service.database["ExportTasks"].delete_many({})
        await asyncio.to_thread(self._remove_all_objects)

    def _remove_all_objects(self) -> None:
        store = self._service.store
        store.remove_all([item.key for item in store.objects("")])


class BlockingUser:
    """A recorded user for blocking code; returns the status, or the code of the error."""

    def __init__(self, user: RecordedUser, record: Record, loop: asyncio.AbstractEventLoop) -> None:
        self.name = user.name
        self._user = user
        self._record = record
        self._loop = loop

    def create(self, kind: str, form: str) -> str:
        return self._do(self._user.create(kind, _OCTOBER, form))

    def does(self, what: str, task: str) -> str:
        """Do one of `get`, `cancel`, `retry`, `renew`."""
        return self._told(getattr(self._user, what)(task))

    def wait(self, task: str) -> str:
        return self._told(self._user.wait(task, _PATIENCE))

    def file(self, task: str) -> Content:
        """Follow the link of a task that is done."""
        found = self._do(self._user.get(task))
        assert found is not None
        assert found.download_url is not None
        return evidence.downloaded(found.download_url)

    def _told(self, work: Coroutine[Any, Any, Any]) -> str:
        told = self._do(work)
        return told.status.value if told is not None else self._record.operations[-1].code

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

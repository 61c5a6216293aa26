"""What every part of `ExportClient` has."""

from contextlib import AsyncExitStack

from temporalio.service import RPCError

from exports import names
from exports.client.polled import PolledQueues
from exports.connections import Connections
from exports.errors import ExportError
from exports.reports.report import ReportCatalog
from exports.server_errors.temporal import temporal_error
from exports.settings import Settings
from exports.tasks.asking import AskingStore
from exports.tasks.collection import TaskCollection
from exports.tasks.feed import TaskFeed
from exports.tasks.indexes import unique_indexes
from exports.tasks.store import TaskStore


class ClientPart:
    """The connections, the settings and the reports of a client."""

    def __init__(
        self,
        *,
        connections: Connections,
        settings: Settings,
        reports: ReportCatalog,
        closing: AsyncExitStack | None = None,
        origin: str = names.FROM_CLIENT,
    ) -> None:
        self._temporal = connections.temporal
        self._store = connections.store
        self._database = connections.mongo[settings.mongo_database]
        self._settings = settings
        self._take_origin(origin)
        self._feed = TaskFeed(TaskCollection(self._database))
        self._reports = reports
        self._closing = closing or AsyncExitStack()
        self._closing.push_async_callback(self._feed.close)
        self._polled = PolledQueues(self._temporal)
        self._unique_indexes = unique_indexes(TaskCollection(self._database))

    @property
    def reports(self) -> ReportCatalog:
        """The reports that can be asked for."""
        return self._reports

    def _take_origin(self, origin: str) -> None:
        tasks = TaskCollection(self._database, origin=origin, kept=self._settings.tasks_kept)
        self._origin = origin
        self._tasks = TaskStore(tasks)
        self._asked = AskingStore(tasks)

    def _translate(self, error: RPCError) -> ExportError:
        address = self._temporal.service_client.config.target_host
        return temporal_error(error.status, f"Temporal at {address}")

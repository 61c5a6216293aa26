"""Composition root of the worker: settings, clients, activities, worker, drain. No logic.

`python worker.py` and `exports worker` are the same.
"""

import asyncio
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import timedelta

from pymongo.asynchronous.database import AsyncDatabase
from temporalio.worker import Worker

from activities.aggregate import AggregateActivities
from activities.boundary import Attempts
from activities.claim import ClaimActivities
from activities.cleanup import CleanupActivities
from activities.purge import PurgeActivities
from activities.sweep import SweepActivities
from activities.upload import UploadActivities
from activities.writeback import WritebackActivities
from exports.connections import Connections, open_source
from exports.errors import ExportError
from exports.process import configure_logging, end, keep_temporal_off_stdout
from exports.reports import ReportCatalog
from exports.reports_file import load_reports
from exports.search_attributes import ensure_search_attributes
from exports.settings import Settings
from exports.task_collection import Stored
from exports.tasks import TaskStore
from workflows.admission import Admission
from workflows.export import ExportWorkflow
from workflows.sandbox import sandboxed
from workflows.sweep import SweepWorkflow

_log = logging.getLogger("exports.worker")


def create_worker(
    settings: Settings,
    reports: ReportCatalog,
    connections: Connections,
    source: AsyncDatabase[Stored],
) -> Worker:
    """Wire everything together; the worker is not running yet."""
    tasks = TaskStore(connections.mongo[settings.mongo_database])
    attempts = Attempts(tasks)
    store, temporal = connections.store, connections.temporal
    claim = ClaimActivities(tasks, reports)
    aggregate = AggregateActivities(
        attempts=attempts,
        reports=reports,
        source=source,
        store=store,
        query_timeout=settings.query_timeout,
    )
    upload = UploadActivities(attempts=attempts, store=store)
    writeback = WritebackActivities(
        attempts=attempts,
        tasks=tasks,
        store=store,
        url_ttl=settings.url_ttl,
        retention=settings.retention,
    )
    cleanup = CleanupActivities(tasks=tasks, store=store, temporal=temporal)
    sweep = SweepActivities(tasks=tasks, temporal=temporal)
    purge = PurgeActivities(tasks=tasks, store=store, retention=settings.retention)
    return Worker(
        temporal,
        task_queue=settings.task_queue,
        workflows=[ExportWorkflow, SweepWorkflow],
        activities=[
            claim.claim,
            aggregate.aggregate,
            upload.upload,
            writeback.done,
            writeback.failed,
            writeback.cancelled,
            cleanup.discard,
            cleanup.close_as_canceled,
            sweep.due,
            sweep.left_behind,
            purge.expired,
        ],
        interceptors=[Admission()],
        workflow_runner=sandboxed(),
        max_concurrent_activities=settings.max_concurrent_activities,
        # The SDK holds heartbeats back for most of the heartbeat timeout, and a cancel request
        # comes with the answer to one.
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=settings.shutdown_grace,
    )


async def run(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM, then let it finish what it is at.

    Raises:
        ExportError: A setting, a report or a server is not as it should be.
    """
    reports = load_reports(settings.reports_file)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(settings.max_concurrent_activities + 4, "step"))
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    async with AsyncExitStack() as closing:
        connections = await Connections.open(settings, closing)
        source = await open_source(settings, connections, closing)
        await TaskStore(connections.mongo[settings.mongo_database]).ensure_indexes()
        await ensure_search_attributes(connections.temporal)
        async with create_worker(settings, reports, connections, source):
            _log.info("Worker is ready on task queue %s", settings.task_queue)
            await stopping.wait()
            _log.info("Worker is stopping; it finishes what it is at")


def serve() -> None:
    """Run a worker as this process says: with its environment, its signals and its log.

    Raises:
        ExportError: A setting, a report or a server is not as it should be.
    """
    configure_logging()
    keep_temporal_off_stdout(logging.getLogger("temporalio.core"))
    asyncio.run(run(Settings.load()))


def main() -> int:
    """Run a worker; return the exit code of the process."""
    try:
        serve()
    except ExportError as error:
        print(f"{error.code}: {error.msg}", file=sys.stderr)  # noqa: T201 -- for whoever started it
        return error.exit_code
    return 0


if __name__ == "__main__":
    end(main())

"""Composition root of the worker: makes its parts from the settings, and runs them.

`python worker.py` and `exports worker` are the same.
"""

import os

# Arrow reads this when it is loaded: see `exports.runtime.memory`.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from types import MappingProxyType
from typing import Final, Unpack

from pymongo.asynchronous.database import AsyncDatabase
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerConfig, WorkerDeploymentConfig

from activities.aggregate import AggregateActivities
from activities.attempts import Attempts
from activities.claim import ClaimActivities
from activities.cleanup import CleanupActivities
from activities.counting import Counting
from activities.deliver import DeliveryActivities, MessageSweep
from activities.orphans import Orphans
from activities.patience import Outages
from activities.purge import PurgeActivities
from activities.sweep import SweepActivities
from activities.upload import UploadActivities
from activities.writeback import WritebackActivities
from exports import names
from exports.connections import Connections, open_source
from exports.documents import Stored
from exports.errors import ExportError
from exports.messages.channel import Channel
from exports.messages.channels import open_channels
from exports.messages.deliveries import DeliveryStore
from exports.messages.handover import Messenger
from exports.messages.people import PeopleStore
from exports.messages.starting import DeliveryStarter
from exports.recurring.runs import RecurringRuns
from exports.recurring.schedules import RecurringSchedules
from exports.recurring.store import RecurringStore
from exports.reports.file import load_reports
from exports.reports.report import ReportCatalog
from exports.runtime.liveness import LivenessFile
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging, logged_as_json
from exports.runtime.memory import set_up_memory
from exports.runtime.metrics import start_temporal
from exports.runtime.process import end
from exports.runtime.stopping import StopSignals
from exports.runtime.threads import in_own_thread
from exports.settings import Settings
from exports.source.database import Source
from exports.staging.cache import PartCache
from exports.storage.features import check_features
from exports.tasks.bucket_pass import BucketPasses
from exports.tasks.collection import TaskCollection
from exports.tasks.indexes import task_indexes
from exports.tasks.sweep import SweepStore
from exports.tasks.transitions import RunTransitions
from exports.temporal.search_attributes import KnownSearchAttributes, ensure_search_attributes
from exports.temporal.server import check_temporal_version
from exports.watcher.watcher import Watcher
from workflows.admission import Admission
from workflows.delivery import DeliveryWorkflow
from workflows.export import ExportWorkflow
from workflows.sandbox import workers_runner
from workflows.sweep import SweepWorkflow

_log = logging.getLogger("exports.worker")
_VERSION: Final = version("temporal-exports")

Activity = Callable[..., Awaitable[object]]
SourceMaker = Callable[[AsyncDatabase[Stored], timedelta], Source]
_NO_CHANNELS: Final[Mapping[str, Channel]] = MappingProxyType({})
_WORKFLOW_TASKS: Final = 16
"""Workflow tasks that a worker runs at a time.

They are Python code, of which one thread runs at a time: the more tasks take turns, the longer
each one takes, and with it its export.
"""
_DEADLOCK_AFTER: Final = 60
"""Seconds after which a workflow task counts as deadlocked.

The SDK's limit of 2 seconds can't be changed by an option
(https://github.com/temporalio/sdk-python/issues/1050). A task on a busy machine may need longer.
The SDK then raises an exception in the task's thread, wherever that is, and a run that is broken
in this way may never leave its worker, so that it stands still until that worker ends.
"""


def create_workers(
    settings: Settings,
    reports: ReportCatalog,
    connections: Connections,
    source: Source,
    channels: Mapping[str, Channel] = _NO_CHANNELS,
) -> list[Worker]:
    """Return a worker for each task queue that this process polls. They are not running yet."""
    database = connections.mongo[settings.mongo_database]
    deliveries = DeliveryStore(database)
    messenger = Messenger(
        database=database,
        reports=reports,
        channels=channels,
        starter=DeliveryStarter(
            connections.temporal, task_queue=settings.task_queue, store=deliveries
        ),
        people=PeopleStore(database),
        public_url=settings.public_url,
    )
    activities = _activities(settings, reports, connections, source, messenger)
    workers = [
        _worker(
            settings,
            connections,
            VersioningBehavior.PINNED,  # an export takes minutes, at most hours
            task_queue=queue,
            workflows=[ExportWorkflow, SweepWorkflow] if queue == settings.task_queue else [],
            activities=activities,
            interceptors=[Admission(), Counting()],
            max_concurrent_activities=slots,
        )
        for queue, slots in _activity_slots(settings).items()
    ]
    if settings.worker_takes != "bulk":
        sending = DeliveryActivities(channels=channels, store=deliveries)
        workers.append(
            _worker(
                settings,
                connections,
                VersioningBehavior.AUTO_UPGRADE,  # a delivery takes up to three days
                task_queue=names.messages_task_queue(settings.task_queue),
                workflows=[DeliveryWorkflow],
                activities=[sending.deliver, sending.record],
                max_concurrent_activities=settings.max_concurrent_deliveries,
                # There is little to do here: the fewest pollers that the SDK allows.
                max_concurrent_workflow_task_polls=2,
                max_concurrent_activity_task_polls=1,
            )
        )
    for worker in workers:
        # Not public; a test shows that it has an effect.
        if (workflow_tasks := vars(worker)["_workflow_worker"]) is not None:
            vars(workflow_tasks)["_deadlock_timeout_seconds"] = _DEADLOCK_AFTER
    return workers


def _worker(
    settings: Settings,
    connections: Connections,
    behavior: VersioningBehavior,
    **own: Unpack[WorkerConfig],
) -> Worker:
    """Return a worker with the options that all of them share, and its own."""
    options: WorkerConfig = {
        "client": connections.temporal,
        "workflow_runner": workers_runner(),
        "max_concurrent_workflow_tasks": _WORKFLOW_TASKS,
        # Without a limit, the SDK holds heartbeats back for 80 percent of their timeout. A cancel
        # comes with the answer to a heartbeat, so a step would be stopped that much later.
        "default_heartbeat_throttle_interval": settings.heartbeat / 2,
        "max_heartbeat_throttle_interval": settings.heartbeat / 2,
        "graceful_shutdown_timeout": settings.shutdown_grace,
        "deployment_config": _version(settings, behavior),
        "build_id": _build_id(settings),
        **own,
    }
    return Worker(**options)


def _activities(
    settings: Settings,
    reports: ReportCatalog,
    connections: Connections,
    source: Source,
    messenger: Messenger,
) -> list[Activity]:
    store, temporal = connections.store, connections.temporal
    collection = TaskCollection(
        connections.mongo[settings.mongo_database],
        origin=temporal.identity,
        kept=settings.tasks_kept,
    )
    tasks, swept = RunTransitions(collection), SweepStore(collection)
    outages = Outages(
        settings.outage_patience,
        {"database": connections.mongo, "source": source.database.client},
    )
    attempts = Attempts(tasks, store, outages)
    cache = PartCache()
    recurring = RecurringRuns(
        tasks=collection,
        store=RecurringStore(collection.documents.database),
        schedules=RecurringSchedules(temporal, task_queue=settings.task_queue),
        reports=reports,
        settings=settings,
    )
    aggregate = AggregateActivities(
        attempts=attempts, reports=reports, source=source, store=store, cache=cache
    )
    claim = ClaimActivities(
        tasks=tasks,
        recurring=recurring,
        reports=reports,
        source=source,
        store=store,
        settings=settings,
        search_attributes=KnownSearchAttributes(temporal),
        outages=outages,
        aggregate=aggregate.aggregate,
    )
    upload = UploadActivities(attempts=attempts, store=store, cache=cache)
    writeback = WritebackActivities(
        attempts=attempts,
        tasks=tasks,
        store=store,
        url_ttl=settings.url_ttl,
        retention=settings.retention,
        messenger=messenger,
        outages=outages,
    )
    cleanup = CleanupActivities(tasks=tasks, store=store, temporal=temporal, outages=outages)
    sweep = SweepActivities(tasks=swept, temporal=temporal)
    orphans = Orphans(
        tasks=swept,
        store=store,
        passes=BucketPasses(collection.documents.database, store.fingerprint),
        retention=settings.retention,
        every=settings.orphans_every,
    )
    purge = PurgeActivities(tasks=swept, store=store, orphans=orphans)
    return [
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
        MessageSweep(messenger).messages,
    ]


def _activity_slots(settings: Settings) -> dict[str, int]:
    """Return the task queues that this process polls, and how many steps of each run at a time."""
    slots: dict[str, int] = {}
    if settings.worker_takes != "bulk":
        slots[settings.task_queue] = settings.max_concurrent_activities
    if settings.worker_takes != "small":
        bulk = names.bulk_task_queue(settings.task_queue)
        slots[bulk] = settings.max_concurrent_bulk_activities
    # If two suspect steps ran in one process, it would not be clear which one kills it.
    slots[names.suspect_task_queue(settings.task_queue)] = 1
    return slots


def _version(settings: Settings, behavior: VersioningBehavior) -> WorkerDeploymentConfig | None:
    if settings.deployment_name is None or settings.build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment_name, settings.build_id),
        use_worker_versioning=True,
        # Here and not for each workflow, because the server accepts it from versioned workers only.
        default_versioning_behavior=behavior,
    )


def _build_id(settings: Settings) -> str | None:
    """Return what Temporal shows as the build of a worker that is not part of a deployment."""
    # By default, the SDK reads the bytecode of all imported modules and hashes it: half of the time
    # that a worker takes to start, and seconds where Python may not keep its bytecode.
    return None if settings.deployment_name else _VERSION


@asynccontextmanager
async def at_work(workers: Sequence[Worker]) -> AsyncGenerator[None]:
    """Run workers until the block is left, then let all of them finish their work."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield
        # All at once, so that a stop takes one grace period and not one for each.
        await asyncio.gather(*(worker.shutdown() for worker in workers))


async def run(settings: Settings, make_source: SourceMaker = Source) -> None:
    """Run a worker until SIGINT or SIGTERM, then let it finish its work; see `StopSignals`.

    Args:
        settings: Of this worker.
        make_source: Makes what the reports read, from a database and the query timeout.

    Raises:
        ExportError: A setting or a report is wrong, or a server can't be used.
    """
    set_up_memory()
    reports = load_reports(settings.reports_file)
    stop = StopSignals(settings.shutdown_grace)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_threads(settings), "step"))
    async with AsyncExitStack() as closing:
        liveness = LivenessFile(settings.task_queue, settings.worker_takes)
        await closing.enter_async_context(liveness.touched())
        connections = await Connections.open(settings, closing)
        await in_own_thread(partial(check_features, settings), "check-features")
        database = await open_source(settings, connections, closing)
        source = make_source(database, settings.query_timeout)
        temporal = connections.temporal
        tasks_database = connections.mongo[settings.mongo_database]
        await check_temporal_version(temporal)
        tasks = TaskCollection(tasks_database, origin=temporal.identity, kept=settings.tasks_kept)
        await task_indexes(tasks).ensure()
        await DeliveryStore(tasks_database).indexes.ensure()
        await ensure_search_attributes(temporal)
        channels = open_channels(settings, tasks_database, reports)
        watcher = Watcher(tasks, temporal, settings.task_queue)
        async with (
            at_work(create_workers(settings, reports, connections, source, channels)),
            watcher.at_work() if settings.watch else nullcontext(),
        ):
            if settings.deployment_name:
                version = (settings.deployment_name, settings.build_id)
                _log.info("Worker is version %s:%s; new exports go to the current one", *version)
            _log.info("Worker is ready on task queue %s", settings.task_queue)
            await stop.wait()
            _log.info("Worker is stopping; it finishes its work")


def _threads(settings: Settings) -> int:
    # A step may decode in one thread while it writes a part in another and looks up a name.
    return settings.max_concurrent_activities * 3 + settings.max_concurrent_bulk_activities * 3 + 4


def serve() -> None:
    """Run a worker with the environment, the signals and the log of this process.

    Raises:
        ExportError: A setting or a report is wrong, or a server can't be used.
    """
    configure_logging(LogSettings.load())
    settings = Settings.load()
    start_temporal(logging.getLogger("temporalio.core"), metrics_listen=settings.metrics_listen)
    asyncio.run(run(settings))


def main() -> int:
    """Run a worker; return the exit code of the process."""
    try:
        serve()
    except ExportError as error:
        if not logged_as_json(error):
            print(f"{error.code}: {error.msg}", file=sys.stderr)  # noqa: T201 -- for the person who started it
        return error.exit_code
    return 0


if __name__ == "__main__":
    end(main())

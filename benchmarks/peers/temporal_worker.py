"""Our worker, as `worker.py` runs it; it also notes which steps ran to their end.

python -m benchmarks.peers.temporal_worker
"""

import os

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as in worker.py

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from temporalio import activity, client, worker

from benchmarks.peers.steps import Step, ran_to_its_end
from exports import names
from exports.connections import Connections
from exports.reports.file import load_reports
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging
from exports.runtime.metrics import start_temporal
from exports.runtime.process import end
from exports.settings import Settings
from exports.source.database import Source
from exports.tasks.collection import TaskCollection
from exports.tasks.indexes import task_indexes
from exports.temporal.search_attributes import ensure_search_attributes
from worker import at_work, create_workers

READY: Final = "Worker is ready"
_STEPS: Final[dict[str, Step]] = {
    names.CLAIM: "aggregate",  # of a small export; one that is repeated without rows counts, too
    names.UPLOAD: "upload",
    names.WRITEBACK_DONE: "done",
}


class _Noting(client.Interceptor, worker.Interceptor):
    """Puts itself around every activity."""

    def intercept_activity(
        self,
        next: worker.ActivityInboundInterceptor,  # noqa: A002 -- the SDK's name
    ) -> worker.ActivityInboundInterceptor:
        return _NotingActivity(next)


class _NotingActivity(worker.ActivityInboundInterceptor):
    async def execute_activity(
        self,
        input: worker.ExecuteActivityInput,  # noqa: A002 -- the SDK's name
    ) -> Any:  # noqa: ANN401 -- the result of any activity
        answer = await super().execute_activity(input)
        info = activity.info()
        step = _STEPS.get(info.activity_type)
        if step is not None and info.workflow_id is not None:
            ran_to_its_end(names.task_id_of(info.workflow_id), step)
        return answer


async def run(settings: Settings) -> None:
    """Run a worker until SIGTERM."""
    reports = load_reports(settings.reports_file)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(settings.max_concurrent_activities * 3, "step"))
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with AsyncExitStack() as closing:
        connections = await Connections.open(settings, closing)
        database = connections.mongo[settings.mongo_database]
        await task_indexes(TaskCollection(database)).ensure()
        await ensure_search_attributes(connections.temporal)
        config = connections.temporal.config()
        config["interceptors"] = [_Noting()]
        noted = replace(connections, temporal=client.Client(**config))
        source = Source(database, settings.query_timeout)
        async with at_work(create_workers(settings, reports, noted, source)):
            print(READY, flush=True)
            await stopping.wait()


def main() -> int:
    """Run a worker; return the exit code of the process."""
    configure_logging(LogSettings())
    logging.getLogger().setLevel(logging.WARNING)
    start_temporal(logging.getLogger("temporalio.core"), metrics_listen=None)
    asyncio.run(run(Settings.load()))
    return 0


if __name__ == "__main__":
    end(main())

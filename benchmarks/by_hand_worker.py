"""A worker for the export by hand: `python -m benchmarks.by_hand_worker DIRECTORY [--promises]`."""

import argparse
import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from temporalio.worker import Worker

from benchmarks.bench import READY, USER
from benchmarks.by_hand import QUEUE, HandActivities, HandWorkflow
from benchmarks.month import MONTH, REPORT
from benchmarks.replay import ReplaySource
from exports.connections import Connections
from exports.reports.file import load_reports
from exports.reports.stats.report import StatsReport
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging
from exports.runtime.metrics import start_temporal
from exports.runtime.process import end
from exports.settings import Settings
from workflows.sandbox import workers_runner


async def run(settings: Settings, directory: Path, *, promises: bool) -> None:
    """Run a worker until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    report = load_reports(settings.reports_file).named(REPORT)
    if not isinstance(report, StatsReport):
        raise TypeError(f"{REPORT} is not a statistics report.")
    params = report.check_params(MONTH)
    (unit,) = report.units(params)
    async with AsyncExitStack() as closing:
        connections = await Connections.open(settings, closing)
        database = connections.mongo[settings.mongo_database]
        work = HandActivities(
            settings,
            database,
            ReplaySource(database, settings.query_timeout, directory=directory),
            collection=report.collection,
            pipeline=report.pipeline(unit, USER, params),
            promises=promises,
        )
        await work.prepare()
        async with Worker(
            connections.temporal,
            task_queue=QUEUE,
            workflows=[HandWorkflow],
            activities=[work.aggregate, work.upload, work.write_back],
            workflow_runner=workers_runner(),
            max_concurrent_activities=settings.max_concurrent_activities,
        ):
            logging.getLogger(__name__).info(READY)
            await stopping.wait()


def main() -> int:
    """Run a worker; return the exit code of the process."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.by_hand_worker", description=__doc__
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--promises", action="store_true")
    options = parser.parse_args()
    configure_logging(LogSettings())
    start_temporal(logging.getLogger("temporalio.core"), metrics_listen=None)
    asyncio.run(run(Settings.load(), options.directory, promises=options.promises))
    return 0


if __name__ == "__main__":
    end(main())

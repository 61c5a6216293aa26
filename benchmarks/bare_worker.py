"""A worker for the bare workflow, set up like `worker.py`: `python -m benchmarks.bare_worker`."""

import asyncio
import logging
import signal

from temporalio.worker import Worker

from benchmarks.bare import QUEUE, BareWorkflow, nothing
from benchmarks.bench import READY
from exports.connections import connect_temporal
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging
from exports.runtime.metrics import start_temporal
from exports.runtime.process import end
from exports.settings import Settings
from workflows.sandbox import workers_runner


async def run(settings: Settings) -> None:
    """Run a worker until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Worker(
        await connect_temporal(settings.encryption_keys),
        task_queue=QUEUE,
        workflows=[BareWorkflow],
        activities=[nothing],
        workflow_runner=workers_runner(),
        max_concurrent_activities=settings.max_concurrent_activities,
    ):
        logging.getLogger(__name__).info(READY)
        await stopping.wait()


def main() -> int:
    """Run a worker; return the exit code of the process."""
    configure_logging(LogSettings())
    start_temporal(logging.getLogger("temporalio.core"), metrics_listen=None)
    asyncio.run(run(Settings.load()))
    return 0


if __name__ == "__main__":
    end(main())

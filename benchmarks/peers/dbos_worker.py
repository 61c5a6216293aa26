"""The export on DBOS with PostgreSQL: a durable workflow of four steps, from a queue.

python -m benchmarks.peers.dbos_worker
"""

import logging
import os
import signal
import threading
from types import FrameType
from typing import Final

from dbos import DBOS, DBOSConfig

from benchmarks.peers.job import ATTEMPTS, Encoded, Job, Stored, settings_of_worker
from exports.models import ExportRequest

QUEUE: Final = "exports"
WORKFLOW: Final = "export"
APPLICATION: Final = "peers"
READY: Final = "Worker is ready"
_CONCURRENCY: Final = int(os.environ["PEERS_CONCURRENCY"])
# DBOS polls its queues, every second by default. Every export would wait half a second on average,
# and a worker with eight slots would start at most eight exports a second.
_POLL_EVERY: Final = 0.05  # seconds

_job: Final = Job(settings_of_worker())
_CONFIG: Final[DBOSConfig] = {
    "name": APPLICATION,
    "system_database_url": os.environ["PEERS_DBOS_DATABASE"],
    # A new worker continues the workflows of the worker before it that had the same id.
    "executor_id": "worker-1",
    "application_version": "1",
    "console_log_level": "WARNING",
}
DBOS(config=_CONFIG)


@DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=2, backoff_rate=2)
def begin(task_id: str) -> ExportRequest | None:
    """Move the task to `running`."""
    return _job.begin(task_id)


@DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=2, backoff_rate=2)
def aggregate(task_id: str, request: ExportRequest) -> Encoded:
    """Read the rows. They are kept in DBOS's database, so that an upload is retried by itself."""
    return _job.aggregate(task_id, request)


@DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=2, backoff_rate=2)
def upload(task_id: str, file: Encoded) -> Stored:
    """Put the file into the bucket."""
    return _job.upload(task_id, file)


@DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=2, backoff_rate=2)
def done(task_id: str, file: Stored) -> None:
    """Move the task to `done`."""
    _job.done(task_id, file)


@DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=2, backoff_rate=2)
def failed(task_id: str, error: Exception) -> None:
    """Move the task to `failed`."""
    _job.failed(task_id, error)


@DBOS.workflow(name=WORKFLOW)
def export(task_id: str) -> None:
    """Run one export."""
    try:
        request = begin(task_id)
        if request is not None:
            done(task_id, upload(task_id, aggregate(task_id, request)))
    except Exception as error:
        failed(task_id, error)
        raise


def main() -> None:
    """Work until SIGTERM."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    logging.basicConfig(level=logging.WARNING)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=_CONCURRENCY, polling_interval_sec=_POLL_EVERY)
    print(READY, flush=True)
    stopping.wait()
    DBOS.destroy()


if __name__ == "__main__":
    main()

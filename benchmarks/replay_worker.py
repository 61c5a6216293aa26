"""A worker as `worker.py` runs it, with a source that replays recordings.

    python -m benchmarks.replay_worker DIRECTORY [--rows N] [--delay S] [--store-delay S]

Its settings come from the environment, like those of a worker. At its end it prints its peak
memory.
"""

import os

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as in worker.py

import argparse
import asyncio
import logging
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

import boto3

from benchmarks.replay import ReplaySource
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging
from exports.runtime.metrics import start_temporal
from exports.runtime.process import end
from exports.settings import Settings
from worker import run

PEAK: Final = "Most memory held, in bytes:"


def peak_memory() -> int:
    """Return the peak memory of this process, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> int:
    """Run a worker; return the exit code of the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay_worker", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rows", type=int, default=0, help="rows of a row-level report")
    parser.add_argument("--delay", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--store-delay", type=float, default=0, help="seconds before each request")
    options = parser.parse_args()
    configure_logging(LogSettings())
    start_temporal(logging.getLogger("temporalio.core"), metrics_listen=None)
    if options.store_delay:
        _slow_down_requests(float(options.store_delay))
    make_source = partial(
        ReplaySource, directory=options.directory, rows=options.rows, delay=options.delay
    )
    asyncio.run(run(Settings.load(), make_source))
    print(PEAK, peak_memory(), flush=True)
    return 0


def _slow_down_requests(seconds: float) -> None:
    def wait(**_: object) -> None:
        time.sleep(seconds)

    session = boto3.session.Session()
    session.events.register("before-send.s3", wait)
    # `boto3.client` uses this session from now on.
    boto3.DEFAULT_SESSION = session


if __name__ == "__main__":
    end(main())

"""What the benchmarks of row-level exports share."""

import re
from typing import Final

from benchmarks import month
from benchmarks.bench import REPLAY_WORKER, USER, Bench
from benchmarks.replay import RecordingSource, record
from benchmarks.replay_worker import PEAK
from benchmarks.rows import END_DAY, FIRST_DAY
from dev import orders
from dev.process import Process
from exports.tasks.task import ExportTask

REPORT: Final = "recordsDetail"
YEAR: Final[dict[str, object]] = {"from": FIRST_DAY, "to": END_DAY}


async def record_rows(bench: Bench) -> None:
    """Load the sample orders and record some of the rows that the report reads.

    What small exports read is recorded too.
    """
    await orders.load(bench.database)
    recording = RecordingSource(bench.database, bench.settings.query_timeout)
    asked = {REPORT: YEAR, month.REPORT: month.MONTH}
    await record(recording, bench.reports, asked, bench.directory)


def replaying(bench: Bench, rows: int) -> tuple[str, ...]:
    """Return the arguments of a worker whose source has so many rows."""
    return (*REPLAY_WORKER, str(bench.directory), "--rows", str(rows))


async def exported(bench: Bench, file_format: str, *, rows: int) -> ExportTask:
    """Export all rows, wait until the workflow has closed, and return the task.

    Raises:
        RuntimeError: The file has not as many rows as it should.
    """
    task = await bench.client.create(REPORT, YEAR, created_by=USER, format=file_format)
    task = await bench.finished(task)
    if task.rows != rows:
        raise RuntimeError(f"There are {task.rows:,} rows in the file instead of {rows:,}.")
    return task


def peak_of(process: Process) -> int:
    """Return the peak memory of a worker that has been stopped, in bytes."""
    found = re.search(rf"{re.escape(PEAK)} (\d+)", process.log.read_text("utf-8"))
    if found is None:
        raise RuntimeError(f"The worker did not say what it has held.{process.tail()}")
    return int(found[1])

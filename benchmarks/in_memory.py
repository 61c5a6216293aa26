"""The same rows to a file in memory, in one process: what no worker can be faster than."""

import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.bench import USER, Bench
from benchmarks.bulk import REPORT, YEAR
from benchmarks.replay import ReplaySource
from exports.formats import format_named
from exports.tables.warnings import WarningCounts

if TYPE_CHECKING:
    from pyarrow import RecordBatch


async def encoded(bench: Bench, name: str, rows: int) -> float:
    """Decode and encode all rows with the product's own code; return the seconds that it takes.

    There is no workflow, no staging, no hash and no object store.
    """
    source = ReplaySource(bench.database, timedelta(0), directory=bench.directory, rows=rows)
    report = bench.reports.named(REPORT)
    params = report.check_params(dict(YEAR))
    began = time.perf_counter()
    units = deque(report.units(params))
    batches: list[RecordBatch] = []
    while units:
        reading = report.read(source, units.popleft(), params=params, created_by=USER)
        async for found in reading:
            batches.append(found.batch)
            units.extend(found.rest)
    pieces = format_named(name).encode(batches[0].schema, batches, WarningCounts())
    deque(pieces, maxlen=0)
    took = time.perf_counter() - began
    if sum(batch.num_rows for batch in batches) != rows:
        raise RuntimeError("There are not as many rows as there should be.")
    return took

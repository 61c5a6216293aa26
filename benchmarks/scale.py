"""More worker processes, on a slow database and a slow object store.

Row-level exports to csv, always ten per worker, which is more than it can run at once. Each batch
of rows takes two seconds, and each request to the object store 50 ms more, by a fixed delay in the
worker. So workers wait, as they do in production, and two cores are enough for four of them. The
figure is the number of rows of the exports that ended within a window of time, which begins when
the workers have been busy for a while.
"""

import asyncio
import time
from contextlib import ExitStack
from typing import Final

from benchmarks.bench import USER, Bench, opened
from benchmarks.bulk import REPORT, YEAR, record_rows, replaying
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from exports.client import ExportClient

_ROWS: Final = 30_000
_EXPORTS_PER_WORKER: Final = 10
_DELAY: Final = "2.0"  # seconds
_STORE_DELAY: Final = "0.05"
_GOALS: Final = {2: 1.9, 4: 3.6}


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    busy, window = plan.pick(full=(25.0, 60.0), quick=(25.0, 30.0), smoke=(20.0, 15.0))
    rows = {
        workers: Row(
            what=f"{workers} workers",
            unit="rows/s",
            ours=[],
            reference=[],
            reference_name="1 worker",
            goal=Goal(side="at least", bound=goal),
        )
        for workers, goal in _GOALS.items()
    }
    async with opened() as bench:
        await record_rows(bench)
        for number in range(plan.runs):
            one = await _pace(bench, 1, f"scale-1-{number}", busy, window)
            for workers, row in rows.items():
                row.reference.append(one)
                row.ours.append(
                    await _pace(bench, workers, f"scale-{workers}-{number}", busy, window)
                )
    return Outcome(rows=list(rows.values()))


async def _pace(bench: Bench, workers: int, queue: str, busy: float, window: float) -> float:
    """Return how many rows a second this number of workers exports.

    Exports that are not finished at the end stay in the queue, which no worker polls any more.
    """
    settings = bench.settings.model_copy(update={"task_queue": queue})
    client = ExportClient(connections=bench.connections, settings=settings, reports=bench.reports)
    ends: list[float] = []

    async def keep_on() -> None:
        while True:
            task = await client.create(REPORT, YEAR, created_by=USER)
            await bench.finished(task)
            ends.append(time.perf_counter())

    command = (*replaying(bench, _ROWS), "--delay", _DELAY, "--store-delay", _STORE_DELAY)
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(bench.process(*command, EXPORTS_TASK_QUEUE=queue))
        keeping = [asyncio.create_task(keep_on()) for _ in range(workers * _EXPORTS_PER_WORKER)]
        await asyncio.sleep(busy)
        began = time.perf_counter()
        await asyncio.sleep(window)
        ended = time.perf_counter()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
    finished = sum(began <= end < ended for end in ends)
    if not finished:
        raise RuntimeError(f"{workers} workers finished nothing within {window:.0f} s.")
    return finished * _ROWS / (ended - began)

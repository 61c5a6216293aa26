"""Peak memory of a worker process, by the number of rows that it exports.

Each figure is that of a worker process that made this one export and nothing else. It includes the
interpreter, the libraries and both ends of the pipeline (`ru_maxrss`). The source is replayed.
"""

import time
from typing import Final

from benchmarks.bench import Bench, opened
from benchmarks.bulk import exported, peak_of, record_rows, replaying
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from exports import names

_FORMATS: Final = ("csv", "ndjson", "parquet", "xlsx")
_MIB: Final = 1 << 20


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    sizes = plan.pick(
        full=(100_000, 1_000_000, 10_000_000),
        quick=(100_000, 500_000, 1_000_000),
        smoke=(5_000, 10_000, 20_000),
    )
    rows: list[Row] = []
    pace: list[str] = []
    async with opened() as bench:
        await record_rows(bench)
        for name in _FORMATS:
            found: list[list[float]] = [[] for _ in sizes]
            took = 0.0
            for _ in range(plan.runs):
                for peaks, size in zip(found, sizes, strict=True):
                    peak, took = await _peak(bench, name, size)
                    peaks.append(peak)
            rows += _rows(name, sizes, found)
            pace.append(f"{name} {took:,.0f} s")
    note = f"The largest exports took, the last time: {', '.join(pace)}."
    return Outcome(rows=rows, notes=[note])


async def _peak(bench: Bench, name: str, rows: int) -> tuple[float, float]:
    """Return the peak memory of the worker, in MiB, and how many seconds the export took."""
    began = time.perf_counter()
    with bench.process(*replaying(bench, rows)) as worker:
        task = await exported(bench, name, rows=rows)
    took = time.perf_counter() - began
    # So that the disk is not full when the next export runs.
    if task.object_key is not None:
        bench.store.remove_all([task.object_key, names.preview_key(task.object_key)])
    return peak_of(worker) / _MIB, took


def _rows(name: str, sizes: tuple[int, int, int], found: list[list[float]]) -> list[Row]:
    least, some, most = sizes
    return [
        Row(
            what=f"{name}, {some:,} rows",
            unit="MiB",
            ours=found[1],
            reference=found[0],
            reference_name=f"{least:,} rows",
        ),
        Row(
            what=f"{name}, {most:,} rows",
            unit="MiB",
            ours=found[2],
            reference=found[1],
            reference_name=f"{some:,} rows",
            goal=Goal(side="at most", bound=1),
        ),
        Row(
            what=f"{name}, {most:,} rows, as such",
            unit="MiB",
            ours=found[2],
            goal=Goal(side="at most", bound=300, of="figure"),
        ),
    ]

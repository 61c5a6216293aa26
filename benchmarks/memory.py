"""Peak memory of a worker process, by the number of rows that it exports.

Each figure is that of a worker process that made these exports and nothing else. It includes the
interpreter, the libraries and both ends of the pipeline (`ru_maxrss`). The source is replayed.

A peak is the largest of many moments, and the more there are, the larger it is. So the largest
exports are also compared with as many rows in ten exports, one after the other, in one worker.
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
_TEN: Final = 10


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    most = plan.pick(full=10_000_000, quick=1_000_000, smoke=20_000)
    rows: list[Row] = []
    pace: list[str] = []
    async with opened() as bench:
        await record_rows(bench)
        for name in _FORMATS:
            whole, tenth, ten = (list[float]() for _ in range(3))
            took = 0.0
            for _ in range(plan.runs):
                tenth.append(await _peak(bench, name, most // _TEN, exports=1))
                ten.append(await _peak(bench, name, most // _TEN, exports=_TEN))
                began = time.perf_counter()
                whole.append(await _peak(bench, name, most, exports=1))
                took = time.perf_counter() - began
            rows += _rows(f"{name}, {most:,} rows", most // _TEN, whole, tenth, ten)
            pace.append(f"{name} {took:,.0f} s")
    note = f"The largest exports took, the last time: {', '.join(pace)}."
    return Outcome(rows=rows, notes=[note])


async def _peak(bench: Bench, name: str, rows: int, *, exports: int) -> float:
    """Return the peak memory of a worker that makes some exports, in MiB."""
    with bench.process(*replaying(bench, rows)) as worker:
        for _ in range(exports):
            task = await exported(bench, name, rows=rows)
            # So that the disk is not full when the next export runs.
            if task.object_key is not None:
                bench.store.remove_all([task.object_key, names.preview_key(task.object_key)])
    return peak_of(worker) / _MIB


def _rows(
    what: str, fewer: int, whole: list[float], tenth: list[float], ten: list[float]
) -> list[Row]:
    return [
        Row(
            what=what,
            unit="MiB",
            ours=whole,
            reference=tenth,
            reference_name=f"{fewer:,} rows",
            goal=Goal(side="at most", bound=1),
        ),
        Row(
            what=f"{what}, and as many in ten exports",
            unit="MiB",
            ours=whole,
            reference=ten,
            reference_name=f"ten exports of {fewer:,} rows",
        ),
        Row(
            what=f"{what}, as such",
            unit="MiB",
            ours=whole,
            goal=Goal(side="at most", bound=300, of="figure"),
        ),
    ]

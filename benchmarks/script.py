"""Many rows to a file, compared with the script that a good engineer writes.

The rows come from batches of BSON that were recorded from the real database, so that it is not the
limit; the object store is the real one. Our time is that of the whole service: from asking until
the workflow has closed, with staged parts and their removal. There are two worker processes on two
processors, as docs/production.md advises, because a Python process uses about one of them. The
script (`benchmarks/plain.py`) decodes batches that hold only the ten fields that are written, with
`bson.decode_all`. It writes a file with the csv module, `json.dumps`, pyarrow from Python lists or
xlsxwriter in its mode of constant memory, and calls `upload_file`. Its start and its imports are
not counted. Making the batches takes the same time for both, and is part of both figures.

The second reference is the shortest program that takes the same way through the bucket on as many
processors, without Temporal, hashes and any promise (`benchmarks/shortest.py`): what is left of our
time above it is what the promises cost.
"""

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from typing import Final, cast

from benchmarks import processes
from benchmarks.bench import Bench, opened
from benchmarks.bulk import exported, record_rows, replaying
from benchmarks.plain import FIELDS, RECORDED
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from dev import orders
from dev.stack import REPOSITORY
from exports.source.database import ROWS_PER_BATCH

_GOALS: Final = {"csv": 7.0, "ndjson": 7.0, "parquet": 8.0, "xlsx": 10.0}
_REFERENCE_NAMES: Final = {
    "csv": "csv module",
    "ndjson": "json.dumps",
    "parquet": "pyarrow from lists",
    "xlsx": "xlsxwriter",
}
_WORKERS: Final = 2
_COST_GOALS: Final = {"csv": Goal(side="at most", bound=2.5, of="figure")}


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    rows = plan.pick(full=1_000_000, quick=200_000, smoke=20_000)
    found: list[Row] = []
    async with opened() as bench:
        await record_rows(bench)
        await _record_documents(bench)
        for name, goal in _GOALS.items():
            row = Row(
                what=f"{name}, {rows:,} rows",
                unit="rows/s",
                ours=[],
                reference=[],
                reference_name=_REFERENCE_NAMES[name],
                goal=Goal(side="at least", bound=goal),
            )
            floor = Row(
                what=f"{name}, {rows:,} rows, without promises",
                unit="rows/s",
                ours=[],
                reference=[],
                reference_name="shortest program",
            )
            cost = Row(
                what=f"{name}, {rows:,} rows: processor time of the workers",
                unit="s",
                ours=[],
                reference=[],
                reference_name="shortest program",
                goal=_COST_GOALS.get(name),
            )
            found += [row, floor, cost]
            with ExitStack() as working:
                for _ in range(_WORKERS):
                    working.enter_context(bench.process(*replaying(bench, rows)))
                await exported(bench, name, rows=rows)
                for _ in range(plan.runs):
                    [took] = await _run(bench, name, rows, "plain")
                    row.reference.append(rows / took)
                    used, began = processes.cpu_seconds()["worker"], time.perf_counter()
                    await exported(bench, name, rows=rows)
                    row.ours.append(rows / (time.perf_counter() - began))
                    cost.ours.append(processes.cpu_seconds()["worker"] - used)
                    # The first time, it opens its connections and imports what it needs.
                    took, spent = await _run(bench, name, rows, "shortest", "2")
                    floor.reference.append(rows / took)
                    cost.reference.append(spent)
            floor.ours.extend(row.ours)
    return Outcome(rows=found)


async def _record_documents(bench: Bench) -> None:
    cursor = bench.database[orders.COLLECTION].find_raw_batches(
        {}, dict.fromkeys(FIELDS, 1), sort=[("createdAt", 1)], limit=ROWS_PER_BATCH
    )
    batches = await cursor.to_list()
    # The driver types a raw batch as a document.
    (bench.directory / RECORDED).write_bytes(b"".join(cast("list[bytes]", batches)))


async def _run(bench: Bench, name: str, rows: int, program: str, *more: str) -> list[float]:
    """Run another program on the same rows, and return the figures that it printed at its end."""
    asked = (f"benchmarks.{program}", str(bench.directory), str(rows), name, *more)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *asked),
        cwd=REPOSITORY,
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{program}.py ended with exit code {process.returncode}.")
    return [float(figure) for figure in output.splitlines()[-1].split()]

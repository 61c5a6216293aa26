"""Many rows to a file, compared with the script that a good engineer writes.

The rows come from batches of BSON that were recorded from the real database, so that it is not the
limit; the object store is the real one. Our time is that of the whole service: from asking until
the workflow has closed, with staged parts and their removal. The script (`benchmarks/plain.py`)
decodes batches that hold only the ten fields that are written, with `bson.decode_all`. It writes a
file with the csv module, `json.dumps`, pyarrow from Python lists or xlsxwriter in its mode of
constant memory, and calls `upload_file`. Its start and its imports are not counted. Making the
batches takes the same time for both, and is part of both figures.

The second reference is what the product's own code does with the rows, in one process and in
memory: it decodes and encodes them, without Temporal, staging, hashes and the object store.
"""

import asyncio
import os
import sys
import time
from typing import Final, cast

from benchmarks import in_memory
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


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    many = plan.pick(full=1_000_000, quick=200_000, smoke=20_000)
    counts = {"csv": many, "ndjson": many, "parquet": many, "xlsx": many // 10}
    found: list[Row] = []
    async with opened() as bench:
        await record_rows(bench)
        await _record_documents(bench)
        for name, rows in counts.items():
            row = Row(
                what=f"{name}, {rows:,} rows",
                unit="rows/s",
                ours=[],
                reference=[],
                reference_name=_REFERENCE_NAMES[name],
                goal=Goal(side="at least", bound=_GOALS[name]),
            )
            memory = Row(
                what=f"{name}, {rows:,} rows, and in memory alone",
                unit="rows/s",
                ours=[],
                reference=[],
                reference_name="in one process",
            )
            found += [row, memory]
            with bench.process(*replaying(bench, rows)):
                await exported(bench, name, rows=rows)
                for _ in range(plan.runs):
                    row.reference.append(rows / await _script(bench, name, rows))
                    began = time.perf_counter()
                    await exported(bench, name, rows=rows)
                    row.ours.append(rows / (time.perf_counter() - began))
                    memory.reference.append(rows / await in_memory.encoded(bench, name, rows))
                memory.ours.extend(row.ours)
    return Outcome(rows=found)


async def _record_documents(bench: Bench) -> None:
    cursor = bench.database[orders.COLLECTION].find_raw_batches(
        {}, dict.fromkeys(FIELDS, 1), sort=[("createdAt", 1)], limit=ROWS_PER_BATCH
    )
    batches = await cursor.to_list()
    # The driver types a raw batch as a document.
    (bench.directory / RECORDED).write_bytes(b"".join(cast("list[bytes]", batches)))


async def _script(bench: Bench, name: str, rows: int) -> float:
    """Run the script, and return the seconds that it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.plain", str(bench.directory), str(rows), name),
        cwd=REPOSITORY,
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"The script ended with exit code {process.returncode}.")
    return float(output)

"""From the insert of another system until its export runs, compared with the sweep alone.

Documents with the old function's fields are inserted into `ExportTasks` on the embedded servers,
one at a time, while a worker is idle. The time ends when a change stream of the benchmark shows
that the document says `running`. There is one order only, so that each export is over soon. The
sweep comes every 300 seconds; its figures are those of an insert at a random moment, without the
work.

The last rows are what the watcher costs while nothing happens: the processor time of the
database and of the worker, with it and without.
"""

import asyncio
import time
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from bson import ObjectId

from benchmarks import processes
from benchmarks.bench import USER, Bench, opened
from benchmarks.month import MONTH, REPORT
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from benchmarks.waiting import p95
from exports import names
from exports.clock import now_ms

_TICK: Final = 300.0  # seconds
_RUNNING: Final[list[dict[str, Any]]] = [
    {"$match": {"updateDescription.updatedFields.status": "running"}},
    {"$project": {"documentKey": 1}},
]


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    times = plan.pick(full=200, quick=50, smoke=2)
    idle = plan.pick(full=30, quick=10, smoke=1)
    usual = Row(
        what=f"{times} inserts, one at a time: p50",
        unit="s",
        ours=[],
        reference=[],
        reference_name="the sweep alone, p50",
    )
    slow = Row(
        what=f"{times} inserts, one at a time: p95",
        unit="s",
        ours=[],
        reference=[],
        reference_name="the sweep alone, p95",
        goal=Goal(side="at most", bound=1, of="figure"),
    )
    costs = {
        (kind, watch): Row(
            what=f"nothing happens, the watcher is {watch}: the {kind}", unit="cores", ours=[]
        )
        for kind in ("database", "worker")
        for watch in ("on", "off")
    }
    for _ in range(plan.runs):
        async with opened() as bench:
            with bench.process("worker.py", EXPORTS_WATCH="off"):
                used = {"off": await _used_while_idle(idle)}
            with bench.process("worker.py", EXPORTS_WATCH="on"):
                used["on"] = await _used_while_idle(idle)
                took = await _started(bench, times)
        for (kind, watch), row in costs.items():
            row.ours.append(used[watch][kind] / idle)
        usual.ours.append(median(took))
        usual.reference.append(_TICK * 0.5)
        slow.ours.append(p95(took))
        slow.reference.append(_TICK * 0.95)
    return Outcome(rows=[usual, slow, *costs.values()])


async def _used_while_idle(seconds: float) -> dict[str, float]:
    """Return the processor time that each kind of process uses while nothing happens."""
    await asyncio.sleep(1)
    before = processes.cpu_seconds()
    await asyncio.sleep(seconds)
    return {kind: used - before[kind] for kind, used in processes.cpu_seconds().items()}


async def _started(bench: Bench, times: int) -> list[float]:
    """Return the seconds from each of so many inserts until its task runs."""
    tasks = bench.database[names.TASKS_COLLECTION]
    await bench.database["orders"].insert_one({"createdAt": datetime(2026, 10, 1, 12, tzinfo=UTC)})
    took: list[float] = []
    async with await tasks.watch(_RUNNING) as running:
        for number in range(times + 1):
            task_id = ObjectId()
            began = time.perf_counter()
            await tasks.insert_one(
                {
                    "_id": task_id,
                    "type": REPORT,
                    "params": MONTH,
                    "status": "pending",
                    "retries": 0,
                    "maxRetries": 3,
                    "createdBy": USER,
                    "createdAt": now_ms(),
                }
            )
            while (await anext(running))["documentKey"]["_id"] != task_id:
                pass
            if number:  # the first one opens connections
                took.append(time.perf_counter() - began)
            await bench.temporal.get_workflow_handle(names.workflow_id(str(task_id))).result()
    return took

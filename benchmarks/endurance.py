"""The memory of one worker process that makes 50,000 small exports.

`statsMonthly` of one month, 50 at a time; the source is replayed. After each 2,500 exports, the
memory of the worker is read (its resident set), and Temporal and the collection of tasks are
emptied, because they become slower with what they hold. The worker is the same all the time. The
last three figures are compared with the first three.
"""

import asyncio
from typing import Final

from benchmarks import processes
from benchmarks.bench import REPLAY_WORKER, opened
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from benchmarks.small import exported, record_month, side_by_side
from dev import orders
from exports import names

_AT_A_TIME: Final = 50
_COMPARED: Final = 3
_MIB: Final = 1 << 20


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    every = plan.pick(full=2500, quick=500, smoke=3)
    rounds = plan.pick(full=20, quick=6, smoke=2)
    held: list[float] = []
    async with opened() as bench:
        await orders.load(bench.database)
        await record_month(bench)
        with bench.process(*REPLAY_WORKER, str(bench.directory)):
            for _ in range(rounds):
                await side_by_side(lambda: exported(bench), every, _AT_A_TIME)
                held.append(processes.resident_bytes("worker") / _MIB)
                await asyncio.to_thread(bench.servers.empty_temporal)
                await bench.database[names.TASKS_COLLECTION].delete_many({})
    return Outcome(
        rows=[
            Row(
                what=f"memory after {every * rounds:,} small exports",
                unit="MiB",
                ours=held[-_COMPARED:],
                reference=held[:_COMPARED],
                reference_name=f"after {every:,}",
                goal=Goal(side="at most", bound=1.05),
            )
        ],
        notes=[f"MiB after each {every:,} exports: {', '.join(f'{one:.0f}' for one in held)}."],
    )

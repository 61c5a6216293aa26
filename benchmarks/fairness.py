"""Small exports during a huge one.

200 `statsMonthly` are asked for at once: on an idle worker, and on one that is exporting millions
of rows to csv. If that export ends before them, the next one is asked for. A small export's time is
from asking until its workflow has closed. The source is replayed.

Measured with one worker process for everything, and with two, as docs/production.md recommends for
large installations: one for small exports, and one for the heavy steps of big ones, which runs with
`nice -n 10`. And beside the shortest program that exports as many rows, with the same priority:
what small exports lose to that, they lose to any program that does such work on their machine.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from statistics import median

from benchmarks import small
from benchmarks.bench import USER, Bench, opened
from benchmarks.bulk import REPORT, YEAR, record_rows, replaying
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from benchmarks.waiting import p95
from exports.errors import TaskStateError
from exports.tasks.task import ExportTask

_LOOK = 0.1  # seconds
_NICE = 10
_AGAIN = "1000"


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    many = plan.pick(full=200, quick=100, smoke=5)
    rows = plan.pick(full=5_000_000, quick=2_000_000, smoke=200_000)
    asked = f"{many} small exports during one of {rows:,} rows"
    one = _figures(f"{asked}, one worker")
    two = _figures(f"{asked}, a worker for each kind")
    other = _figures(f"{many} small exports beside the shortest program", goal=False)
    for _ in range(plan.runs):
        async with _prepared() as bench:
            with bench.process(*replaying(bench, rows)):
                await _measure(bench, many, one)
        async with _prepared() as bench:
            worker = replaying(bench, rows)
            with (
                bench.process(*worker, EXPORTS_WORKER_TAKES="small"),
                bench.process(*worker, EXPORTS_WORKER_TAKES="bulk", nice=_NICE),
            ):
                await _measure(bench, many, two)
        async with _prepared() as bench:
            with bench.process(*replaying(bench, rows)):
                await _measure(bench, many, other, at_work=_shortest_program(bench, rows))
    return Outcome(rows=[*one, *two, *other])


@asynccontextmanager
async def _prepared() -> AsyncGenerator[Bench]:
    """Start servers for one measurement: they become slower with the data that they hold."""
    async with opened() as bench:
        await record_rows(bench)
        yield bench


def _figures(what: str, *, goal: bool = True) -> list[Row]:
    return [
        Row(
            what=f"{what}: {figure}",
            unit="s",
            ours=[],
            reference=[],
            reference_name="idle worker",
            goal=Goal(side="at most", bound=1.3) if goal and figure == "p95" else None,
        )
        for figure in ("p95", "p50")
    ]


async def _measure(
    bench: Bench,
    many: int,
    rows: list[Row],
    *,
    at_work: AbstractAsyncContextManager[None] | None = None,
) -> None:
    await small.side_by_side(lambda: small.exported(bench), 10, 5)
    alone = await _all_at_once(bench, many)
    async with at_work or _at_work_on_a_huge_one(bench):
        during = await _all_at_once(bench, many)
    slow, usual = rows
    slow.reference.append(p95(alone))
    slow.ours.append(p95(during))
    usual.reference.append(median(alone))
    usual.ours.append(median(during))


async def _all_at_once(bench: Bench, many: int) -> list[float]:
    async def one() -> float:
        began = time.perf_counter()
        await small.exported(bench)
        return time.perf_counter() - began

    return list(await asyncio.gather(*(one() for _ in range(many))))


@asynccontextmanager
async def _at_work_on_a_huge_one(bench: Bench) -> AsyncGenerator[None]:
    """Let the worker run huge exports while the block runs, then cancel the last one."""
    current = await _begun(bench)

    async def keep_on() -> None:
        nonlocal current
        while True:
            await bench.finished(current)
            current = await _begun(bench)

    keeping = asyncio.create_task(keep_on())
    try:
        yield
        if keeping.done():
            keeping.result()  # it only ends if there is an error
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        with suppress(TaskStateError):  # it has ended just now
            await bench.client.cancel(current.id, created_by=USER)
        await bench.client.wait(current.id, created_by=USER)


@asynccontextmanager
async def _shortest_program(bench: Bench, rows: int) -> AsyncGenerator[None]:
    """Let the shortest program export rows, again and again, while the block runs."""
    asked = ("-m", "benchmarks.shortest", str(bench.directory), str(rows), "csv", _AGAIN)
    # It prints a line after each export.
    with bench.process(*asked, ready="\n", nice=_NICE) as process:
        yield
        process.check()


async def _begun(bench: Bench) -> ExportTask:
    task = await bench.client.create(REPORT, YEAR, created_by=USER)
    while not task.progress.rows:
        await asyncio.sleep(_LOOK)
        task = await bench.client.get(task.id, created_by=USER)
    return task

"""From asking for an export to holding its file, compared with the timer that is replaced.

`statsMonthly` of one month on the embedded servers, the database included, by an idle worker:
from the call of `ExportClient.create` until the downloaded file is checked and has its final name.
What the aggregation alone takes is measured before each export, in the process of the benchmark.
The timer is simulated from its own rules: a sweep every 300 seconds, five tasks per sweep, each
task asked for at a random moment. The time of the work itself is left out, in the timer's favour.
"""

import asyncio
import time
from pathlib import Path
from random import Random
from statistics import fmean, median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.bench import USER, Bench, opened
from benchmarks.month import MONTH, REPORT
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from dev import orders
from exports.download import download
from exports.source.database import Source

_TICK: Final = 300.0  # seconds
_TASKS_A_TICK: Final = 5
_SWEEPS_BEST: Final = _TASKS_A_TICK * 3600 / _TICK  # tasks an hour
_SEED: Final = 20_261_101


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    times = plan.pick(full=50, quick=20, smoke=2)
    swept = _swept(times)
    usual = Row(
        what=f"{times} exports, one at a time: p50",
        unit="s",
        ours=[],
        reference=[],
        reference_name="the sweep, mean",
    )
    slow = Row(
        what=f"{times} exports, one at a time: p95",
        unit="s",
        ours=[],
        reference=[],
        reference_name="the sweep, p95",
        goal=Goal(side="at most", bound=2, of="figure"),
    )
    over = Row(
        what="p95, over the p95 of the aggregation alone",
        unit="s",
        ours=[],
        goal=Goal(side="at most", bound=0.3, of="figure"),
    )
    pace = Row(
        what="one after the other",
        unit="exports/h",
        ours=[],
        reference=[],
        reference_name="the sweep at its best",
    )
    async with opened() as bench:
        await orders.load(bench.database)
        with bench.process("worker.py"), TemporaryDirectory() as directory:
            await _held(bench, Path(directory))
            for _ in range(plan.runs):
                took: list[float] = []
                alone: list[float] = []
                for _ in range(times):
                    alone.append(await _aggregated(bench))
                    took.append(await _held(bench, Path(directory)))
                over.ours.append(p95(took) - p95(alone))
                usual.ours.append(median(took))
                usual.reference.append(fmean(swept))
                slow.ours.append(p95(took))
                slow.reference.append(p95(swept))
                pace.ours.append(3600 / fmean(took))
                pace.reference.append(_SWEEPS_BEST)
    return Outcome(rows=[usual, slow, over, pace])


def p95(figures: list[float]) -> float:
    """Return the 95th percentile of the figures."""
    return quantiles(figures, n=20, method="inclusive")[-1]


async def _aggregated(bench: Bench) -> float:
    """Return the seconds that it takes to read the rows of the same report."""
    source = Source(bench.database, bench.settings.query_timeout)
    report = bench.reports.named(REPORT)
    params = report.check_params(dict(MONTH))
    began = time.perf_counter()
    for unit in report.units(params):
        async for _ in report.read(source, unit, params=params, created_by=USER):
            pass
    return time.perf_counter() - began


async def _held(bench: Bench, directory: Path) -> float:
    """Return the seconds from the request for an export until its file is downloaded."""
    began = time.perf_counter()
    task = await bench.client.create(REPORT, MONTH, created_by=USER)
    task = await bench.client.wait(task.id, created_by=USER)
    await asyncio.to_thread(download, task, directory)
    return time.perf_counter() - began


def _swept(times: int) -> list[float]:
    """Return the seconds that tasks wait for the sweep if each is asked for at a random moment."""
    random = Random(_SEED)  # noqa: S311 -- simulates arrivals
    # With fewer than five tasks between two ticks, the next tick takes all of them.
    return [_TICK - random.random() * _TICK for _ in range(times * 100)]

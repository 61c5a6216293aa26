"""Small exports, compared with the same export written by hand, and with a workflow without work.

`statsMonthly` of one month. The source is replayed, so that the embedded database's processor
time is not the limit; tasks and files are real. The export by hand (`benchmarks/by_hand.py`) makes
the same file, without any promise: it shows what the requests alone cost. The same, with the
requests that the promises of the product need, shows what these cost at least. The bare workflow
has as many activities of similar payloads that do nothing, on the same server, with the same
settings of the worker. A run ends when its workflow has closed, and each is measured on servers
that have just been started.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from benchmarks import by_hand as hand_made
from benchmarks import processes
from benchmarks.bare import QUEUE, BareInput, BareWorkflow, Step
from benchmarks.bench import REPLAY_WORKER, USER, Bench, opened
from benchmarks.month import MONTH, REPORT
from benchmarks.plan import Plan
from benchmarks.replay import RecordingSource, record
from benchmarks.results import Goal, Outcome, Row
from dev import orders
from exports import names
from exports.models import TaskStatus
from workflows.export import ExportWorkflow

_BARE_WORKER: Final = ("-m", "benchmarks.bare_worker")
_HAND_WORKER: Final = ("-m", "benchmarks.by_hand_worker")
_AT_A_TIME: Final = 50
_KINDS: Final = ("Temporal", "database", "object store", "worker", "client")
_LOCAL_ACTIVITY: Final = "core_local_activity"
_numbers = count(1)

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class _Measured:
    """Work that is measured, on servers of its own: they become slower with the data they hold.

    Attributes:
        title: Its name in the table of costs.
        worker: Returns the arguments of its worker, from the directory of the recordings.
        work: Does the work once.
        pace: How often a second it was done, one figure for each run.
        wait: Milliseconds that it takes once while nothing else runs, one figure for each run.
        costs: Seconds of processor time that it takes once, by kind of process, for each run.
    """

    title: str
    worker: Callable[[Path], Sequence[str]]
    work: Callable[[Bench], Awaitable[object]]
    pace: list[float] = field(default_factory=list[float])
    wait: list[float] = field(default_factory=list[float])
    costs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    async def measure(self, many: int, single: int) -> None:
        """Measure it once."""
        async with _prepared() as bench:
            with bench.process(*self.worker(bench.directory)):
                await side_by_side(lambda: self.work(bench), min(many, 10), 5)
                used, began = processes.cpu_seconds(), time.perf_counter()
                await side_by_side(lambda: self.work(bench), many, _AT_A_TIME)
                self.pace.append(many / (time.perf_counter() - began))
                now = processes.cpu_seconds()
                self.costs.append({kind: (now[kind] - used[kind]) / many for kind in _KINDS})
                if single:
                    self.wait.append(await _median_ms(lambda: self.work(bench), single))


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    many = plan.pick(full=300, quick=100, smoke=4)
    single = plan.pick(full=40, quick=15, smoke=2)
    few = max(1, many // 5)
    steps = await _steps()
    shape = BareInput(steps=steps)
    ask: dict[str, object] = {"type": REPORT, "params": MONTH, "createdBy": USER}

    async def bare(bench: Bench) -> object:
        name = f"bare-{next(_numbers)}"
        return await bench.temporal.execute_workflow(
            BareWorkflow.run, shape, id=name, task_queue=QUEUE
        )

    async def by_hand(bench: Bench) -> None:
        await hand_made.exported(bench.temporal, bench.database, ask)

    nothing = _Measured("bare workflow", lambda _: _BARE_WORKER, bare)
    hand = _Measured(
        "export by hand, source replayed", lambda folder: (*_HAND_WORKER, str(folder)), by_hand
    )
    asking = _Measured(
        "export by hand, with the requests of the promises",
        lambda folder: (*_HAND_WORKER, str(folder), "--promises"),
        by_hand,
    )
    ours = _Measured(
        "export, source replayed", lambda folder: (*REPLAY_WORKER, str(folder)), exported
    )
    real = _Measured("export, real database", lambda _: ("worker.py",), exported)
    for _ in range(plan.runs):
        for one in (nothing, hand, asking, ours):
            await one.measure(many, single)
        await real.measure(few, 0)

    at_once, alone = f"{_AT_A_TIME} at a time", "one at a time"
    return Outcome(
        rows=[
            _pace_row(f"{many} exports, {at_once}", ours, hand, Goal(side="at least", bound=0.95)),
            _pace_row(f"{many} exports, {at_once} (promises)", ours, asking),
            _pace_row(f"{many} exports, {at_once} (bare)", ours, nothing),
            _pace_row(f"{many} by hand, {at_once} (bare)", hand, nothing),
            _wait_row(f"{alone}, median", ours, hand),
            _wait_row(f"{alone}, median (promises)", ours, asking),
            _wait_row(f"{alone}, median (bare)", ours, nothing),
            Row(what=f"{few} exports with the real database", unit="exports/s", ours=real.pace),
        ],
        notes=[_shape(steps), _cost_table([nothing, hand, asking, ours, real])],
    )


def _pace_row(what: str, of: _Measured, reference: _Measured, goal: Goal | None = None) -> Row:
    return Row(
        what=what,
        unit="exports/s",
        ours=of.pace,
        reference=reference.pace,
        reference_name=reference.title,
        goal=goal,
    )


def _wait_row(what: str, of: _Measured, reference: _Measured) -> Row:
    return Row(
        what=what,
        unit="ms",
        ours=of.wait,
        reference=reference.wait,
        reference_name=reference.title,
    )


@asynccontextmanager
async def _prepared() -> AsyncGenerator[Bench]:
    async with opened() as bench:
        await orders.load(bench.database)
        await record_month(bench)
        yield bench


async def record_month(bench: Bench) -> None:
    """Record the answer to the aggregation of the month."""
    recording = RecordingSource(bench.database, bench.settings.query_timeout)
    await record(recording, bench.reports, {REPORT: MONTH}, bench.directory)


async def exported(bench: Bench) -> str:
    """Ask for the month, wait until its workflow has closed, and return its id."""
    task = await bench.client.create(REPORT, MONTH, created_by=USER)
    workflow_id = names.workflow_id(task.id)
    result = await bench.temporal.get_workflow_handle_for(ExportWorkflow.run, workflow_id).result()
    if result.status is not TaskStatus.DONE:
        raise RuntimeError(f"The export is {result.status}.")
    return task.id


async def side_by_side(work: Work, many: int, at_a_time: int) -> None:
    """Do some work `many` times, at most `at_a_time` at the same time."""
    free = asyncio.Semaphore(at_a_time)

    async def one() -> None:
        async with free:
            await work()

    await asyncio.gather(*(one() for _ in range(many)))


async def _median_ms(work: Work, many: int) -> float:
    took: list[float] = []
    for _ in range(many):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


async def _steps() -> list[Step]:
    """Return the activities of an export, as its history shows them."""
    async with _prepared() as bench:
        with bench.process(*REPLAY_WORKER, str(bench.directory)):
            task_id = await exported(bench)
        handle = bench.temporal.get_workflow_handle(names.workflow_id(task_id))
        events = (await handle.fetch_history()).events
    sent: dict[int, int] = {}
    steps: list[Step] = []
    for event in events:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                sent[event.event_id] = scheduled.input.ByteSize()
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                steps.append(
                    Step(
                        sent=sent[completed.scheduled_event_id],
                        answered=completed.result.ByteSize(),
                    )
                )
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                steps += _local_step(event)
            case _:
                pass
    return steps


def _local_step(event: HistoryEvent) -> list[Step]:
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL_ACTIVITY:
        return []
    answered = sum(payloads.ByteSize() for payloads in marker.details.values())
    return [Step(sent=answered, answered=answered, local=True)]


def _shape(steps: list[Step]) -> str:
    sizes = ", ".join(
        f"{step.sent:,} → {step.answered:,}{' (local)' if step.local else ''}" for step in steps
    )
    return f"An export has {len(steps)} activities. Bytes of their inputs → results: {sizes}."


def _cost_table(measured: Sequence[_Measured]) -> str:
    lines = [
        "Processor time of one, in milliseconds, by process:",
        "",
        f"| | {' | '.join(_KINDS)} | together |",
        f"| --- |{' ---: |' * (len(_KINDS) + 1)}",
    ]
    for one in measured:
        found = [median(cost[kind] for cost in one.costs) * 1000 for kind in _KINDS]
        cells = " | ".join(f"{figure:.1f}" for figure in (*found, sum(found)))
        lines.append(f"| {one.title} | {cells} |")
    return "\n".join(lines)

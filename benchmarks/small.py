"""Small exports, beside a workflow that does nothing in as many activities.

`statsMonthly` of one month. The source is replayed, so that the embedded database's processor
time is not the limit; tasks and files are as real as ever. The reference is a workflow with as many
activities of similar payloads that do nothing, on the same server, with the same settings of the
worker. A second reference is the same export written by hand, which promises nothing
(`benchmarks/by_hand.py`): what the requests alone cost. All are waited for until their workflow has
closed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from statistics import median
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from benchmarks import by_hand, processes
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


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    many = plan.pick(full=300, quick=100, smoke=4)
    single = plan.pick(full=40, quick=15, smoke=2)
    pace = Row(
        what=f"{many} exports, {_AT_A_TIME} at a time",
        unit="exports/s",
        ours=[],
        reference=[],
        beside="bare workflow",
        goal=Goal(side="at least", bound=0.7),
    )
    wait = Row(
        what="one at a time, median",
        unit="ms",
        ours=[],
        reference=[],
        beside="bare workflow",
        goal=Goal(side="at most", bound=1.3),
    )
    hand_pace = Row(
        what=f"{many} by hand, {_AT_A_TIME} at a time",
        unit="exports/s",
        ours=[],
        reference=[],
        beside="bare workflow",
    )
    hand_wait = Row(
        what="one at a time by hand, median",
        unit="ms",
        ours=[],
        reference=[],
        beside="bare workflow",
    )
    few = max(1, many // 5)
    real = Row(what=f"{few} exports with the real database", unit="exports/s", ours=[])
    costs: dict[str, list[dict[str, float]]] = {
        "bare": [],
        "by hand": [],
        "replayed": [],
        "real": [],
    }
    async with opened() as bench:
        await orders.load(bench.database)
        await record_month(bench)

        async def export() -> None:
            await exported(bench)

        with bench.process(*REPLAY_WORKER, str(bench.directory)):
            steps = await _steps(bench)
        shape = BareInput(steps=steps)

        async def bare() -> None:
            await bench.temporal.execute_workflow(
                BareWorkflow.run, shape, id=f"bare-{next(_numbers)}", task_queue=QUEUE
            )

        ask: dict[str, object] = {"type": REPORT, "params": MONTH, "createdBy": USER}

        async def hand_made() -> None:
            await by_hand.exported(bench.temporal, bench.database, ask)

        for _ in range(plan.runs):
            with bench.process(*_BARE_WORKER):
                pace.reference.append(await _pace(bare, many, costs["bare"]))
                wait.reference.append(await _median_ms(bare, single))
            with bench.process(*_HAND_WORKER, str(bench.directory)):
                hand_pace.ours.append(await _pace(hand_made, many, costs["by hand"]))
                hand_wait.ours.append(await _median_ms(hand_made, single))
            hand_pace.reference.append(pace.reference[-1])
            hand_wait.reference.append(wait.reference[-1])
            with bench.process(*REPLAY_WORKER, str(bench.directory)):
                pace.ours.append(await _pace(export, many, costs["replayed"]))
                wait.ours.append(await _median_ms(export, single))
            with bench.process("worker.py"):
                real.ours.append(await _pace(export, few, costs["real"]))
    return Outcome(
        rows=[pace, wait, hand_pace, hand_wait, real], notes=[_shape(steps), _cost_table(costs)]
    )


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
    """Do something many times, some of it at a time."""
    free = asyncio.Semaphore(at_a_time)

    async def one() -> None:
        async with free:
            await work()

    await asyncio.gather(*(one() for _ in range(many)))


async def _pace(work: Work, many: int, costs: list[dict[str, float]]) -> float:
    """Return how many a second, and add what one costs in each kind of process."""
    await side_by_side(work, min(many, 10), 5)
    used, began = processes.cpu_seconds(), time.perf_counter()
    await side_by_side(work, many, _AT_A_TIME)
    took = time.perf_counter() - began
    costs.append({kind: (now - used[kind]) / many for kind, now in processes.cpu_seconds().items()})
    return many / took


async def _median_ms(work: Work, many: int) -> float:
    took: list[float] = []
    for _ in range(many):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


async def _steps(bench: Bench) -> list[Step]:
    """Return the activities of an export, as its history shows them."""
    task_id = await exported(bench)
    handle = bench.temporal.get_workflow_handle(names.workflow_id(task_id))
    sent: dict[int, int] = {}
    steps: list[Step] = []
    async for event in handle.fetch_history_events():
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


def _cost_table(costs: dict[str, list[dict[str, float]]]) -> str:
    titles = {
        "bare": "bare workflow",
        "by hand": "export by hand, source replayed",
        "replayed": "export, source replayed",
        "real": "export, real database",
    }
    lines = [
        "Processor time of one, in milliseconds, by process:",
        "",
        f"| | {' | '.join(_KINDS)} | together |",
        f"| --- |{' ---: |' * (len(_KINDS) + 1)}",
    ]
    for name, title in titles.items():
        found = [median(cost[kind] for cost in costs[name]) * 1000 for kind in _KINDS]
        cells = " | ".join(f"{figure:.1f}" for figure in (*found, sum(found)))
        lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)

"""Two things at once: the export ends once, and every answer is true."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from exports import names
from exports.errors import TaskStateError
from exports.models import TaskStatus
from exports.reports.report import Rows
from exports.reports.stats.report import StatsReport
from exports.storage.bucket import ObjectStore
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from tests.support.chaos.corners import CLOSED, closed
from tests.support.chaos.forms import LONG, SEED
from tests.support.protections import protected_by
from tests.support.service import USER, Service, insert_orders
from tests.support.stored_tasks import TASK

CANCELS = 1000 if LONG else 40
SWEEPS = 50 if LONG else 20
STAGES = ["claim", "aggregate", "upload", "writeback"]


async def _consistent(service: Service, task_id: str) -> TaskStatus:
    """Check that a closed export is either done with a file, or cancelled without one."""
    await closed(service, task_id)
    document = await service.document(task_id)
    described = await service.run_of(task_id).describe()
    status = TaskStatus(document["status"])
    assert described.status is CLOSED[status]
    stored = service.keys()
    mine = [key for key in stored if f"/{task_id}/" in key]
    if status is TaskStatus.DONE:
        assert mine == [document["objectKey"]]
        assert "cancelReason" not in document
    else:
        assert mine == []
        assert "downloadUrl" not in document
        assert "objectKey" not in document
    return status


async def _answered(service: Service, task_id: str) -> TaskStatus | None:
    """Cancel; return how the export has ended according to the answer."""
    try:
        told = await service.client.cancel(task_id, created_by=USER, reason="a race")
    except TaskStateError as refused:
        return TaskStatus.DONE if "is done" in refused.msg else TaskStatus.FAILED
    return told.status if told.status.ended else None


@pytest.mark.timeout(1800 if LONG else 400)
async def test_a_cancel_near_the_end_has_one_of_two_results_and_says_which(
    service: Service,
) -> None:
    await insert_orders(service.database)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await closed(service, (await service.exported()).id)
    # About as long as an export takes; adjusted all the time, because a machine may be busy.
    life = loop.time() - began
    chance = random.Random(SEED)  # noqa: S311 -- not for secrets
    free = asyncio.Semaphore(8)
    ends: dict[TaskStatus, int] = dict.fromkeys(CLOSED, 0)

    async def race(index: int) -> None:
        nonlocal life
        async with free:
            task = await service.create()
            # Half of them at any time, the others near the end.
            await asyncio.sleep(life * (chance.random() if index % 2 else chance.uniform(0.8, 1.2)))
            told = await _answered(service, task.id)
            end = await _consistent(service, task.id)
            assert told in (end, None)
            ends[end] += 1
            if index % 2 == 0:
                life *= 0.8 if end is TaskStatus.DONE else 1.25

    await asyncio.gather(*(race(index) for index in range(CANCELS)))
    assert sum(ends.values()) == CANCELS
    assert min(ends.values()) > 0, ends


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("method", ["claim", "done"])
async def test_a_cancel_that_arrives_just_before_or_after_a_transition(
    service: Service, monkeypatch: pytest.MonkeyPatch, method: str, moment: str
) -> None:
    await insert_orders(service.database)
    transition = getattr(RunTransitions, method)
    signal: Any = WorkflowHandle[Any, Any].signal
    arrived = asyncio.Event()
    met: list[str] = []  # the status of the task when somebody cancels it
    answers: list[asyncio.Task[TaskStatus | None]] = []

    async def signalled(handle: WorkflowHandle[Any, Any], *given: Any, **named: Any) -> None:
        await signal(handle, *given, **named)
        arrived.set()

    async def cancelled(task_id: str) -> None:
        met.append((await service.document(task_id))["status"])
        answers.append(asyncio.create_task(_answered(service, task_id)))
        # An export that is done is refused without a signal.
        await asyncio.wait(
            [answers[0], asyncio.create_task(arrived.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )

    async def raced(store: RunTransitions, ref: Any, *given: Any, **named: Any) -> Any:
        first = not met
        if first and moment == "before":
            await cancelled(ref.task_id)
        result = await transition(store, ref, *given, **named)
        if first and moment == "after":
            await cancelled(ref.task_id)
        return result

    monkeypatch.setattr(RunTransitions, method, raced)
    monkeypatch.setattr(WorkflowHandle, "signal", signalled)
    end = await _consistent(service, (await service.create()).id)
    arrived.set()
    expected = {
        ("claim", "before"): ("pending", TaskStatus.CANCELLED),
        ("claim", "after"): ("running", TaskStatus.CANCELLED),
        ("done", "before"): ("running", TaskStatus.DONE),
        ("done", "after"): ("done", TaskStatus.DONE),
    }
    assert (*met, end) == expected[method, moment]
    assert await answers[0] in (end, None)


@protected_by(
    "exports/temporal/start.py",
    'workflow_id=workflow_id or names.workflow_id(request.task_id or ""),',
    instead='workflow_id=f"{request.task_id}-{id(request)}",',
)
async def test_many_sweeps_at_once_run_each_due_task_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_orders(service.database)
    documents = [{"_id": ObjectId(), **TASK, "createdBy": f"u{n % 3}"} for n in range(SWEEPS)]
    read = StatsReport.read
    reads = 0

    async def counted(self: StatsReport, *given: Any, **named: Any) -> AsyncIterator[Rows]:
        nonlocal reads
        reads += 1
        async for rows in read(self, *given, **named):
            yield rows

    monkeypatch.setattr(StatsReport, "read", counted)
    await service.database["ExportTasks"].insert_many(documents)
    sweeps = await asyncio.gather(*(service.client.sweep() for _ in range(SWEEPS)))
    for document in documents:
        ended = await service.ended(str(document["_id"]))
        assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
        await closed(service, ended.id)
    assert reads == SWEEPS
    assert sum(swept.started for swept in sweeps) >= SWEEPS
    found = service.keys()
    assert len([key for key in found if key.startswith(names.FILES)]) == SWEEPS
    assert (await service.client.sweep()).handled == 0


class _Held:
    """Holds a step of an export until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        loop = asyncio.get_running_loop()
        if stage == "aggregate":
            read = StatsReport.read

            async def held_read(
                report: StatsReport, *given: Any, **named: Any
            ) -> AsyncGenerator[Rows]:
                async for rows in read(report, *given, **named):
                    await self._wait()
                    yield rows

            monkeypatch.setattr(StatsReport, "read", held_read)
        elif stage == "upload":
            upload = ObjectStore.upload

            def held_upload(store: ObjectStore, *given: Any, **named: Any) -> Any:
                asyncio.run_coroutine_threadsafe(self._wait(), loop).result()
                return upload(store, *given, **named)

            monkeypatch.setattr(ObjectStore, "upload", held_upload)
        else:
            method = {"claim": "claim", "writeback": "done"}[stage]
            write = getattr(RunTransitions, method)

            async def held_write(store: RunTransitions, *given: Any, **named: Any) -> Any:
                await self._wait()
                return await write(store, *given, **named)

            monkeypatch.setattr(RunTransitions, method, held_write)

    async def _wait(self) -> None:
        self.reached.set()
        await self.open.wait()


Hold = Callable[[str], Awaitable[tuple[ExportTask, _Held]]]


@pytest.fixture
async def hold(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hold]:
    """Start an export and hold it in a stage; the step is released after the test."""
    made: list[_Held] = []

    async def held(stage: str) -> tuple[ExportTask, _Held]:
        made.append(_Held(monkeypatch, stage))
        await insert_orders(service.database)
        task = await service.create()
        await asyncio.wait_for(made[0].reached.wait(), 150)
        return task, made[0]

    yield held
    for one in made:
        one.open.set()


@pytest.mark.parametrize("stage", STAGES)
async def test_the_objects_of_a_deleted_task_are_removed_and_its_run_closes(
    service: Service, hold: Hold, stage: str
) -> None:
    task, held = await hold(stage)
    await service.database["ExportTasks"].delete_one({"_id": ObjectId(task.id)})
    held.open.set()
    with pytest.raises(WorkflowFailureError) as closing:
        await service.run_of(task.id).result()
    assert isinstance(closing.value.cause, ApplicationError)
    assert closing.value.cause.type == ("E_NOT_FOUND" if stage == "claim" else "E_TASK_LOST")
    described = await service.run_of(task.id).describe()
    assert described.status is WorkflowExecutionStatus.FAILED
    assert service.keys() == []
    assert await service.collection.find(task.id) is None
    assert (await service.client.sweep()).handled == 0


@protected_by(
    "activities/sweep.py",
    "return unchanged and await self._start(document)",
    instead="return False",
)
@pytest.mark.parametrize("stage", STAGES)
async def test_a_run_that_is_terminated_is_healed_by_the_next_sweep(
    service: Service, hold: Hold, stage: str
) -> None:
    task, held = await hold(stage)
    terminated = (await service.run_of(task.id).describe()).run_id
    await service.run_of(task.id).terminate("by hand")
    swept = await service.client.sweep()
    assert (swept.started, swept.healed) == ((1, 0) if stage == "claim" else (0, 1))
    held.open.set()
    ended = await service.ended(task.id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
    assert ended.run_id != terminated
    await closed(service, task.id)
    await _of_the_old_run_nothing_is_left(service, task.id)


async def _of_the_old_run_nothing_is_left(service: Service, task_id: str) -> None:
    document = await service.document(task_id)
    async with asyncio.timeout(150):
        # The attempt of the terminated run may still be writing objects that the sweep removes.
        while service.keys() != [document["objectKey"]]:
            await service.client.sweep()
    assert await service.document(task_id) == document


@pytest.mark.parametrize("stage", STAGES)
async def test_the_signal_and_the_servers_own_cancel_at_once_are_one_cancel(
    service: Service, hold: Hold, stage: str
) -> None:
    task, held = await hold(stage)
    await asyncio.gather(
        service.run_of(task.id).signal("cancel", {"reason": "both"}),
        service.run_of(task.id).cancel(),
    )
    await asyncio.sleep(0.2)
    held.open.set()
    end = await _consistent(service, task.id)
    assert end is (TaskStatus.DONE if stage == "writeback" else TaskStatus.CANCELLED)
    if end is TaskStatus.CANCELLED:
        assert (await service.document(task.id))["cancelReason"] == "both"

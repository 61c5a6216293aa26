"""A task queue that no worker polls: its name was mistyped, or the workers are down."""

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.client import ExportClient, cancelling, polled
from exports.models import ExportRequest, TaskRef, TaskStatus
from exports.reports.file import load_reports
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from exports.temporal.pollers import pollers
from exports.temporal.start import start_export
from tests.support.service import MONTH, PATIENCE, USER, Service, insert_orders, working

OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}


@pytest.fixture
async def seen(service: Service) -> Service:
    """A service whose worker Temporal has seen."""
    queue = service.settings.task_queue
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not await pollers(service.temporal, queue):
            await asyncio.sleep(0.05)
        while not await pollers(service.temporal, names.bulk_task_queue(queue), activities=True):
            await asyncio.sleep(0.05)
    return service


async def _begun_elsewhere(service: Service) -> ExportTask:
    """Store a task whose run was started on a queue with a mistyped name."""
    task = await service.asked.create(
        ExportRequest(type="statsMonthly", params={**MONTH}, created_by=USER)
    )
    assert await start_export(
        service.temporal,
        ExportRequest(type="statsMonthly", created_by=USER, task_id=task.id),
        task_queue=f"{service.settings.task_queue}-exprots",
    )
    return task


async def test_who_asks_for_an_export_is_told_that_no_worker_has_been_seen(
    idle_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    queue = idle_service.settings.task_queue
    task = await idle_service.create("recordsDetail", params=OCTOBER)
    assert task.status is TaskStatus.PENDING
    assert [message.partition(";")[0] for message in caplog.messages] == [
        f"No worker has been seen on task queue {queue}",
        f"No worker has been seen on task queue {queue}-bulk",
    ]


async def test_who_asks_on_the_queue_of_the_heavy_steps_is_told_so_as_well(
    seen: Service, caplog: pytest.LogCaptureFixture
) -> None:
    bulk = names.bulk_task_queue(seen.settings.task_queue)
    settings = seen.settings.model_copy(update={"task_queue": bulk})
    mistaken = ExportClient(
        connections=seen.connections,
        settings=settings,
        reports=load_reports(settings.reports_file),
    )
    task = await mistaken.create("statsMonthly", MONTH, created_by=USER)
    assert f"No worker has been seen on task queue {bulk};" in caplog.text
    assert (await mistaken.cancel(task.id, created_by=USER)).status is TaskStatus.CANCELLED


async def test_nobody_is_told_so_while_workers_poll(
    seen: Service, caplog: pytest.LogCaptureFixture
) -> None:
    failed = await seen.exported()  # there is no collection
    await seen.client.retry(failed.id, created_by=USER)
    await seen.create("recordsDetail", params=OCTOBER)
    assert "has been seen" not in caplog.text


async def test_who_asks_is_told_once_temporal_says_again_who_polls(
    idle_service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")

    with monkeypatch.context() as patched:
        patched.setattr(polled, "pollers", refused)
        assert (await idle_service.create()).status is TaskStatus.PENDING
    assert not caplog.messages
    await idle_service.create()
    assert "No worker has been seen on task queue" in caplog.text


async def test_a_cancel_ends_an_export_that_no_worker_would_ever_begin(
    seen: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "_CANCEL_WAIT", PATIENCE)
    task = await _begun_elsewhere(seen)
    stopped = await seen.client.cancel(task.id, created_by=USER, reason="mistyped")
    assert (stopped.status, stopped.cancel_reason) == (TaskStatus.CANCELLED, "mistyped")
    assert f"No worker polls task queue {seen.settings.task_queue}-exprots" in caplog.text
    run = await seen.run_of(task.id).describe()
    assert run.status is WorkflowExecutionStatus.TERMINATED
    assert await seen.client.cancel(task.id, created_by=USER) == stopped
    assert (await seen.client.sweep()).handled == 0


async def test_a_worker_that_comes_after_all_finds_the_export_cancelled(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object, **__: object) -> None:
        raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")

    await insert_orders(idle_service.database)
    task = await idle_service.create()
    run = idle_service.run_of(task.id)
    with monkeypatch.context() as patched:
        patched.setattr(type(run), "terminate", lost)
        await idle_service.client.cancel(task.id, created_by=USER, reason="too late")
    async with working(idle_service):
        await run.result()
    found = await idle_service.document(task.id)
    assert (found["status"], found["cancelReason"]) == ("cancelled", "too late")
    assert idle_service.keys() == []


async def test_a_cancel_of_an_export_that_has_begun_leaves_the_clean_up_to_a_worker_and_says_so(
    idle_service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "_CANCEL_WAIT", PATIENCE)
    task = await idle_service.create()
    run = await idle_service.run_of(task.id).describe()
    ref = TaskRef(task_id=task.id, workflow_id=run.id, run_id=run.run_id)
    await RunTransitions(idle_service.collection).claim(ref, run_started_at=1)
    idle_service.store.put(
        names.staged_part_key(task.id, run.run_id, unit="u", attempt="1-1", index=0), b"rows"
    )
    stopping = await idle_service.client.cancel(task.id, created_by=USER, reason="r")
    assert stopping.status is TaskStatus.RUNNING
    assert "is stopped, and its files are removed, as soon as one does" in caplog.text
    async with working(idle_service):
        assert (await idle_service.ended(task.id)).status is TaskStatus.CANCELLED
        await idle_service.run_of(task.id).describe()
    assert idle_service.keys() == []

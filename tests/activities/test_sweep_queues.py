"""A sweep starts exports on its own task queue, also those that wait where no worker polls."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.worker import Worker

from activities import sweep
from exports import names
from exports.models import ExportRequest, TaskRef, TaskStatus
from exports.tasks.transitions import RunTransitions
from exports.temporal.pollers import pollers
from exports.temporal.start import start_export
from tests.support.recording import reading_held
from tests.support.service import PATIENCE, USER, Service, insert_orders, working
from tests.support.stored_tasks import insert_task
from workflows.export import ExportWorkflow


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_BEGUN_WITHIN", timedelta(0))


async def _started_elsewhere(service: Service, task_id: str) -> str:
    """Start the run of a task on a queue with a mistyped name; return its run id."""
    request = ExportRequest(type="statsMonthly", created_by=USER, task_id=task_id)
    queue = f"{service.settings.task_queue}-exprots"
    assert await start_export(service.temporal, request, task_queue=queue)
    return (await service.run_of(task_id).describe()).run_id


async def test_a_sweep_that_is_told_another_queue_starts_exports_on_its_own(
    service: Service,
) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service)
    queue = service.settings.task_queue
    swept = await service.temporal.execute_workflow(
        names.SWEEP_WORKFLOW,
        {"taskQueue": "exprots"},
        id=f"{queue}-sweep-by-hand",
        task_queue=queue,
    )
    assert swept["started"] == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_an_export_that_waits_where_no_worker_polls_is_started_where_one_does(
    service: Service, status: str
) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, status=status)
    first = await _started_elsewhere(service, task_id)
    swept = await service.client.sweep()
    assert (swept.started + swept.healed, swept.handled) == (1, 1)
    assert (await service.ended(task_id)).status is TaskStatus.DONE
    ended = await service.temporal.get_workflow_handle(
        names.workflow_id(task_id), run_id=first
    ).describe()
    assert ended.status is WorkflowExecutionStatus.TERMINATED
    assert (await service.client.sweep()).handled == 0


async def test_an_export_waits_some_minutes_for_a_worker_that_is_about_to_start(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_BEGUN_WITHIN", timedelta(minutes=5))
    task_id = await insert_task(service)
    await _started_elsewhere(service, task_id)
    assert (await service.client.sweep()).handled == 0
    await service.run_of(task_id).terminate()


async def test_an_export_that_another_worker_may_begin_is_left_to_it(service: Service) -> None:
    task_id = await insert_task(service)
    await _started_elsewhere(service, task_id)
    queue = f"{service.settings.task_queue}-exprots"
    async with Worker(service.temporal, task_queue=queue, workflows=[ExportWorkflow]):
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while not await pollers(service.temporal, queue):
                await asyncio.sleep(0.05)
        assert (await service.client.sweep()).handled == 0
    await service.run_of(task_id).terminate()


async def test_an_export_that_has_begun_is_left_where_it_is(service: Service) -> None:
    task_id = await insert_task(service)
    run_id = await _started_elsewhere(service, task_id)
    ref = TaskRef(task_id=task_id, workflow_id=names.workflow_id(task_id), run_id=run_id)
    await RunTransitions(service.collection).claim(ref, run_started_at=1)
    assert (await service.client.sweep()).handled == 0
    await service.run_of(task_id).terminate()


async def test_an_export_in_the_queue_of_its_own_workers_is_not_started_again(
    idle_service: Service,
) -> None:
    await insert_orders(idle_service.database)
    task = await idle_service.create()
    run_id = (await idle_service.run_of(task.id).describe()).run_id
    with reading_held() as held:
        async with working(idle_service):
            await idle_service.client.sweep()
            held.released.set()
            assert (await idle_service.ended(task.id)).run_id == run_id

"""A task that no run takes is started twice and then fails; others as often as it is needed."""

import asyncio
from typing import Any

import pytest

from exports.models import TaskStatus
from exports.tasks.transitions import RunTransitions
from exports.temporal.start import start_export
from tests.support.recording import closed
from tests.support.service import Service, insert_orders, working
from tests.support.stored_tasks import insert_task


def _taken_by_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # Fake: a reason that `check_takable` does not know.
    async def refuse(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(RunTransitions, "claim", refuse)


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_a_task_whose_runs_end_without_taking_it_fails_at_the_third_sweep(
    service: Service, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, status=status)
    with monkeypatch.context() as patched:
        _taken_by_no_run(patched)
        for _ in range(2):
            assert (await service.client.sweep()).handled == 1
            await closed(service.run_of(task_id))
            assert (await service.document(task_id))["status"] == status
        swept = await service.client.sweep()
    assert (swept.started, swept.healed, swept.handled) == (0, 0, 1)
    task = await service.ended(task_id)
    assert task.error is not None
    assert (task.status, task.error.code) == (TaskStatus.FAILED, "E_TASK")
    assert "E_TASK_LOST" in task.error.msg, "it says why the last run did not take it"
    assert (await service.client.sweep()).handled == 0
    # A client that asked for a retry died before it could start it.
    assert await service.asked.reset(task, asked_by=None)
    assert (await service.client.sweep()).started == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_a_task_whose_runs_were_terminated_by_hand_is_started_again_each_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service)

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(RunTransitions, "claim", hang)
        for _ in range(3):
            assert (await service.client.sweep()).started == 1
            await service.run_of(task_id).terminate("by hand")
    assert (await service.client.sweep()).started == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_a_task_that_waits_for_a_busy_worker_is_not_started_again(
    idle_service: Service,
) -> None:
    task = await idle_service.create()
    await idle_service.run_of(task.id).terminate()
    await start_export(
        idle_service.temporal, task.request(), task_queue=f"busy-{idle_service.settings.task_queue}"
    )
    async with working(idle_service):
        for _ in range(4):
            assert (await idle_service.client.sweep()).handled == 0
    assert (await idle_service.document(task.id))["status"] == "pending"
    await idle_service.run_of(task.id).terminate()

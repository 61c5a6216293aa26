"""Recurring exports while workers and Temporal are killed: each time is exported once."""

import asyncio
import signal
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import (
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from exports.clock import epoch_ms, now_ms
from exports.models import TaskStatus
from exports.tasks.task import ExportTask
from tests.support.chaos.killable_servers import KillableServers
from tests.support.command_line import environment_of
from tests.support.recurring import ended, monthly, schedule_of
from tests.support.service import USER, Service, insert_orders, open_service, working
from tests.support.settings import settings_of
from tests.support.worker_process import started

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.timeout(400)
async def test_each_month_of_a_year_is_exported_once_while_workers_are_killed(
    idle_service: Service, temporal_address: str, tmp_path: Path
) -> None:
    service = idle_service
    await insert_orders(service.database)
    recurring = service.client.recurring
    made = await recurring.create(
        "statsMonthly", period="previous month", on="1st", created_by=USER
    )
    since = epoch_ms(datetime(2025, 12, 1, tzinfo=ZONE))
    until = epoch_ms(datetime(2026, 11, 2, tzinfo=ZONE))

    async def done() -> dict[str, str]:
        tasks = await service.client.list(created_by=USER, recurring=made.id)
        return {task.id: task.status.value for task in tasks}

    ids = await recurring.backfill(made.id, created_by=USER, since=since, until=until)
    environment = environment_of(service.settings, temporal_address)
    for most in (2, 5):
        async with started(environment, tmp_path) as worker:
            while Counter((await done()).values())["done"] < most:
                await asyncio.sleep(0.02)
            worker.signal(signal.SIGKILL)
    # Somebody who does not know whether it was done does it again.
    assert await recurring.backfill(made.id, created_by=USER, since=since, until=until) == ids
    async with working(service):
        while Counter((await done()).values())["done"] < 12:
            await asyncio.sleep(0.1)
    tasks = await service.client.list(created_by=USER, recurring=made.id)
    assert Counter((task.id, task.status.value) for task in tasks) == {
        (task_id, "done"): 1 for task_id in ids
    }
    months = sorted((task.params["year"], task.params["month"]) for task in tasks)
    assert months == [(2025, 11), (2025, 12), *((2026, month) for month in range(1, 11))]
    assert len(service.keys()) == 12


async def test_what_was_due_while_temporal_was_away_is_made_for_its_planned_time() -> None:
    with KillableServers() as servers:
        endpoints = servers.endpoints
        settings = settings_of(endpoints, database="recurring", prefix="r/", task_queue="recurring")
        async with open_service(settings, endpoints.temporal_address) as service:
            await insert_orders(service.database)
            made = await monthly(service)
            often = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=3))])

            def updated(current: ScheduleUpdateInput) -> ScheduleUpdate:
                return ScheduleUpdate(replace(current.description.schedule, spec=often))

            await schedule_of(service, made).update(updated)
            async with working(service):
                missed: list[ExportTask] = []
                # On a slow machine, an export may wait already when Temporal is killed. It has the
                # one place, and what is due meanwhile is skipped.
                while not missed:
                    await ended(service, made.id, 1)
                    servers.kill("temporal")
                    killed = now_ms()
                    await asyncio.sleep(7)
                    again = now_ms()
                    await asyncio.to_thread(servers.start_again, "temporal")
                    done = await _done_after(service, made.id, again)
                    missed = [task for task in done if killed < _planned_for(task, made.id) < again]
                tasks = await service.client.list(created_by=USER, recurring=made.id)
                await service.client.recurring.delete(made.id, created_by=USER)
    assert len({task.id for task in tasks}) == len(tasks)
    assert len({str(task.params) for task in tasks}) == 1


async def _done_after(service: Service, recurring: str, at: int) -> list[ExportTask]:
    """Wait until an export is done that was planned for later; return all that began later."""
    while True:
        await asyncio.sleep(0.1)
        tasks = await service.client.list(created_by=USER, recurring=recurring)
        done = [
            task for task in tasks if task.status is TaskStatus.DONE and at < (task.created_at or 0)
        ]
        if any(_planned_for(task, recurring) > at for task in done):
            return done


def _planned_for(task: ExportTask, recurring: str) -> int:
    return epoch_ms(datetime.fromisoformat(task.id.removeprefix(f"{recurring}-")))

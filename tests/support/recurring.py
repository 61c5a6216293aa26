"""Recurring exports for tests: on the 1st at 08:00 in Shanghai, the month before."""

import asyncio
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from temporalio.client import ScheduleHandle, WorkflowExecution

from exports import names
from exports.clock import epoch_ms
from exports.recurring.record import RecurringExport
from exports.tasks.task import ExportTask
from tests.support.service import USER, Service


def shanghai(text: str) -> int:
    return epoch_ms(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")))


async def monthly(service: Service, **given: Any) -> RecurringExport:
    asked: dict[str, Any] = {"period": "previous month", "on": "1st", "created_by": USER, **given}
    return await service.client.recurring.create("statsMonthly", **asked)


async def backfilled(service: Service, made: RecurringExport, since: str, until: str) -> list[str]:
    return await service.client.recurring.backfill(
        made.id, created_by=USER, since=shanghai(since), until=shanghai(until)
    )


async def ended(service: Service, recurring: str, count: int) -> list[ExportTask]:
    """Return the tasks of a recurring export, oldest first, once so many have ended."""
    while True:
        found = await service.client.list(created_by=USER, recurring=recurring)
        if len(found) >= count and all(task.status.ended for task in found):
            return found[::-1]
        await asyncio.sleep(0.1)


async def closed_runs(service: Service, made: RecurringExport, count: int) -> list[str]:
    """Return the workflow ids of the runs of a recurring export, once so many have closed."""
    query = f"ExportCreatedBy = '{USER}' AND TaskQueue = '{service.settings.task_queue}'"
    while True:
        runs: list[WorkflowExecution] = [
            run async for run in service.temporal.list_workflows(query) if made.id in run.id
        ]
        closed = [run.id for run in runs if run.close_time is not None]
        if len(closed) >= count:
            return closed
        await asyncio.sleep(0.1)


def schedule_of(service: Service, made: RecurringExport) -> ScheduleHandle:
    return service.temporal.get_schedule_handle(
        names.recurring_schedule_id(service.settings.task_queue, made.id)
    )


async def what_was_done(service: Service, made: RecurringExport) -> list[str]:
    return [
        entry.did.value
        for entry in await service.client.recurring.audit(made.id, created_by=made.created_by)
    ]

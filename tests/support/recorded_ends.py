"""Recordings of runs without faults, and of sweeps."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from bson import Decimal128, ObjectId

from exports import names
from exports.models import ExportRequest
from exports.reports.rows import reading
from exports.temporal.search_attributes import KnownSearchAttributes
from tests.support.recording import Run, closed, recorded
from tests.support.service import USER, Service, insert_orders, working

_OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}


async def _done(service: Service, kind: str, **given: Any) -> Run:
    async with working(service):
        task = await service.exported(kind, **given)
        await service.run_of(task.id).result()
    return service.run_of(task.id)


@recorded("done-statsMonthly")
async def _month(service: Service) -> Run:
    await insert_orders(service.database)
    return await _done(service, "statsMonthly")


@recorded("done-statsAnnual")
async def _year(service: Service) -> Run:
    await insert_orders(service.database)
    return await _done(service, "statsAnnual", format="xlsx")


@recorded("done-recordsDetail")
async def _rows_and_what_the_first_unit_left(service: Service) -> Run:
    await _sales(service, 12)
    with patch.object(reading, "ROWS_TO_LEARN_FROM", 4):
        return await _done(service, "recordsDetail", params=_OCTOBER, format="parquet")


@recorded("done-with-warnings")
async def _rows_with_values_that_do_not_fit(service: Service) -> Run:
    await _sales(service, 3, quantity="many")
    return await _done(service, "lenient", params=_OCTOBER, format="csv.gz")


@recorded("done-started-directly")
async def _without_a_stored_task(service: Service) -> Run:
    await insert_orders(service.database)
    request = {"type": "statsMonthly", "params": {"year": 2026, "month": 10}, "createdBy": USER}
    run = await _started(service, request)
    async with working(service):
        await run.result()
    return run


@recorded("done-without-search-attributes")
async def _in_a_namespace_that_has_none(service: Service) -> Run:
    await insert_orders(service.database)
    request = {"type": "statsMonthly", "params": {"year": 2026, "month": 10}, "createdBy": USER}
    run = await _started(service, request)
    with patch.object(KnownSearchAttributes, "all_there", return_value=False):
        async with working(service):
            await run.result()
    return run


@recorded("done-recurring")
async def _of_a_recurring_export(service: Service) -> Run:
    await insert_orders(service.database)
    made = await service.client.recurring.create(
        "statsMonthly", period="previous month", on="1st", created_by=USER
    )
    november = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
    [task] = await service.client.recurring.backfill(
        made.id, created_by=USER, since=november, until=november + 1
    )
    run = service.run_of(task)
    async with working(service):
        while (await service.client.list(created_by=USER)) == []:
            await asyncio.sleep(0.1)
        await run.result()
    await service.client.recurring.delete(made.id, created_by=USER)
    return run


@recorded("found-it-ended")
async def _started_again_after_its_end(service: Service) -> Run:
    await insert_orders(service.database)
    done = await _done(service, "statsMonthly")
    task_id = names.task_id_of(done.id)
    request = ExportRequest(type="statsMonthly", created_by=USER, task_id=task_id)
    async with working(service):
        again = await _started(service, request, id=done.id)
        await again.result()
    return again


@recorded("done-after-a-retry-by-hand")
async def _retried(service: Service) -> Run:
    async with working(service):
        failed = await service.exported()
        await insert_orders(service.database)
        await service.client.retry(failed.id, created_by=USER)
        await service.ended(failed.id)
        await service.run_of(failed.id).result()
    return service.run_of(failed.id)


@recorded("healed")
async def _terminated_and_found_by_a_sweep(service: Service) -> Run:
    await insert_orders(service.database)
    task = await _left_behind(service)
    async with working(service):
        assert (await service.client.sweep()).healed == 1
        await service.ended(task)
        await service.run_of(task).result()
    return service.run_of(task)


@recorded("sweep")
async def _nothing_to_sweep(service: Service) -> Run:
    async with working(service):
        await service.client.sweep()
    return await _newest_sweep(service)


@recorded("sweep-with-work")
async def _something_of_everything_to_sweep(service: Service) -> Run:
    await insert_orders(service.database)
    long_ago = {"type": "statsMonthly", "createdBy": USER, "createdAt": 1, "retries": 0}
    await service.database["ExportTasks"].insert_many(
        [
            {"_id": "due", "status": "pending", "params": {"year": 2026, "month": 10}, **long_ago},
            {"_id": "over", "status": "done", "purgeAt": 1, "params": {}, **long_ago},
            {"_id": 7, "status": "pending", "params": {}, **long_ago},
        ]
    )
    await _left_behind(service)
    async with working(service):
        swept = await service.client.sweep()
        assert (swept.started, swept.healed, swept.purged, swept.handled) == (1, 1, 1, 4)
    return await _newest_sweep(service)


@recorded("refused")
async def _parameters_that_became_invalid(service: Service) -> Run:
    task = await service.create()
    await service.database["ExportTasks"].update_one({}, {"$set": {"params.month": 13}})
    async with working(service):
        await service.ended(task.id)
    return service.run_of(task.id)


@recorded("refused-started-directly")
async def _an_unknown_type_without_search_attributes(service: Service) -> Run:
    run = await _started(service, {"type": "statsWeekly", "createdBy": USER})
    async with working(service):
        return await closed(run)


@recorded("refused-two-inputs")
async def _with_one_input_too_many(service: Service) -> Run:
    run = await service.temporal.start_workflow(
        "ExportWorkflow",
        args=[{"type": "statsMonthly", "createdBy": USER}, "and more"],
        id=f"{service.settings.task_queue}-two-inputs",
        task_queue=service.settings.task_queue,
    )
    async with working(service):
        return await closed(run)


async def _started(service: Service, request: object, **given: Any) -> Run:
    given = {"id": f"{service.settings.task_queue}-by-hand"} | given
    return await service.temporal.start_workflow(
        "ExportWorkflow", request, task_queue=service.settings.task_queue, **given
    )


async def _left_behind(service: Service) -> str:
    """Leave a task that says `running` and whose workflow was terminated."""
    task = await service.create()
    described = await service.run_of(task.id).describe()
    await service.run_of(task.id).terminate("recorded")
    await service.database["ExportTasks"].update_one(
        {"_id": ObjectId(task.id)},
        {"$set": {"status": "running", "runId": described.run_id}},
    )
    return task.id


async def _newest_sweep(service: Service) -> Run:
    queue = service.settings.task_queue
    async for found in service.temporal.list_workflows(
        f"WorkflowType = 'SweepWorkflow' AND TaskQueue = '{queue}'"
    ):
        return service.temporal.get_workflow_handle(found.id)
    raise AssertionError("There was no sweep.")


async def _sales(service: Service, count: int, **changes: object) -> None:
    first = datetime(2026, 10, 2, tzinfo=UTC)
    await service.database["orders"].insert_many(
        [
            {
                "createdAt": first + timedelta(days=index),
                "tenant": "t",
                "uid": "u1",
                "category": "c",
                "region": "r",
                "kind": "sale",
                "quantity": index,
                "amount": Decimal128("12.50"),
                "note": "",
                **changes,
            }
            for index in range(count)
        ]
    )

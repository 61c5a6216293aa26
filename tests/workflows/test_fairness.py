"""Many large exports of one person do not keep others waiting."""

import asyncio

from exports import names
from exports.settings import Settings
from tests.support.service import PATIENCE, Service, insert_orders, open_service, working

OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}
MANY = 12


async def test_who_asks_for_one_large_export_does_not_wait_for_all_of_another_person(
    settings: Settings, temporal_address: str
) -> None:
    small = settings.model_copy(update={"worker_takes": "small"})
    bulk = settings.model_copy(update={"worker_takes": "bulk", "max_concurrent_bulk_activities": 1})
    async with (
        open_service(small, temporal_address) as service,
        open_service(bulk, temporal_address) as heavy,
        working(service),
    ):
        await insert_orders(service.database)
        many = [await _asked(service, "u1") for _ in range(MANY)]
        one = await _asked(service, "u2")
        for task_id in (*many, one):
            await _waits_to_be_read(service, task_id)
        async with working(heavy):
            ended = await asyncio.gather(*(service.ended(task_id) for task_id in (*many, one)))
    order = sorted(ended, key=lambda task: task.finished_at or 0)
    assert {task.status for task in order} == {"done"}
    # In the order of arrival, it would be the last one.
    assert [task.created_by for task in order].index("u2") < MANY // 2


async def _asked(service: Service, who: str) -> str:
    return (await service.create("recordsDetail", params=OCTOBER, created_by=who)).id


async def _waits_to_be_read(service: Service, task_id: str) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while True:
            found = (await service.run_of(task_id).describe()).raw_description
            if names.AGGREGATE in {step.activity_type.name for step in found.pending_activities}:
                return
            await asyncio.sleep(0.05)

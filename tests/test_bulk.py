"""Big exports and small ones, side by side."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType

from exports import names
from exports.models import TaskStatus
from exports.settings import Settings
from tests.held_report import GATE
from tests.service import Service, insert_orders, open_service, working, write_reports

EVENTS_OF_A_SMALL_EXPORT = [
    *("WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"),
    *("WORKFLOW_TASK_COMPLETED",),
    *(
        *("ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"),
        *("WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"),
    )
    * 4,
    *("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", "WORKFLOW_EXECUTION_COMPLETED"),
]


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(GATE, str(tmp_path))
    return tmp_path


@pytest.fixture
async def crowded(settings: Settings, temporal_address: str, gate: Path) -> AsyncIterator[Service]:
    """A service that does one thing at a time, with a big report that is held at the gate."""
    reports = write_reports(gate / "reports.toml")
    with reports.open("a") as file:
        file.write('[reports.big]\npython = "tests.held_report:HeldBulkReport"\n')
    one_at_a_time = settings.model_copy(
        update={
            "reports_file": reports,
            "max_concurrent_activities": 1,
            "max_concurrent_bulk_activities": 1,
        }
    )
    async with open_service(one_at_a_time, temporal_address) as service:
        await insert_orders(service.database)
        yield service


def _reached(gate: Path) -> bool:
    return any(gate.glob("reached-*"))


async def _held(gate: Path) -> None:
    async with asyncio.timeout(30):
        while not _reached(gate):
            await asyncio.sleep(0.02)


async def test_a_small_export_does_not_wait_for_big_ones(crowded: Service, gate: Path) -> None:
    async with working(crowded):
        big = [await crowded.create("big", params={}) for _ in range(3)]
        await _held(gate)

        assert (await crowded.exported()).status is TaskStatus.DONE

        assert {(await crowded.document(task.id))["status"] for task in big} == {"running"}
        (gate / "open").touch()
        assert {(await crowded.ended(task.id)).status for task in big} == {TaskStatus.DONE}


async def test_workers_can_be_kept_for_one_kind_of_step(
    crowded: Service, temporal_address: str, gate: Path
) -> None:
    (gate / "open").touch()
    small, bulk = (
        open_service(crowded.settings.model_copy(update={"worker_takes": kind}), temporal_address)
        for kind in ("small", "bulk")
    )
    async with small as only_small, bulk as only_bulk, working(only_small):
        big = await crowded.create("big", params={})
        assert (await crowded.exported()).status is TaskStatus.DONE
        assert not _reached(gate)
        async with working(only_bulk):
            assert (await crowded.ended(big.id)).status is TaskStatus.DONE


async def test_the_heavy_steps_of_a_big_export_have_their_own_queue(
    crowded: Service, gate: Path
) -> None:
    (gate / "open").touch()
    async with working(crowded):
        task = await crowded.exported("big", params={})
        history = await crowded.run_of(task.id).fetch_history()

    queues = {
        event.activity_task_scheduled_event_attributes.activity_type.name: (
            event.activity_task_scheduled_event_attributes.task_queue.name
        )
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    mine = crowded.settings.task_queue
    assert queues == {
        names.CLAIM: mine,
        names.AGGREGATE: names.bulk_task_queue(mine),
        names.UPLOAD: names.bulk_task_queue(mine),
        names.WRITEBACK_DONE: mine,
    }


async def test_a_small_export_has_only_the_events_that_docs_architecture_explains(
    service: Service,
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.run_of(task.id).result()
    history = await service.run_of(task.id).fetch_history()

    found = [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events
    ]
    assert found == EVENTS_OF_A_SMALL_EXPORT

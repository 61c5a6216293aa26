"""Big and small exports at the same time."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType

from exports import names
from exports.formats.csv import Csv
from exports.models import TaskStatus
from exports.reports.report import Rows
from exports.reports.stats.report import StatsReport
from exports.runtime import precedence
from exports.runtime.precedence import GivingWay
from exports.settings import Settings
from exports.tables.warnings import WarningCounts
from tests.support.held_report import GATE
from tests.support.service import (
    OF_ROWS,
    Service,
    insert_orders,
    open_service,
    working,
    write_reports,
)

EVENTS_OF_A_SMALL_EXPORT = [
    *("WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"),
    *("WORKFLOW_TASK_COMPLETED",),
    *(
        *("ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"),
        *("WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"),
    )
    * 3,
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
        file.write('[reports.big]\npython = "tests.support.held_report:HeldBulkReport"\n')
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
    async with asyncio.timeout(150):
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


async def test_a_big_export_pauses_while_a_small_one_is_at_work(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence, "LONGEST_PAUSE_SECONDS", 150)
    monkeypatch.setattr(precedence, "LONGEST_SMALL_STEP_SECONDS", 150)
    seen: list[str] = []
    begun, asked, may_read = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    read = StatsReport.read

    async def held(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Rows]:
        begun.set()
        await may_read.wait()
        async for rows in read(self, *given, **named):
            yield rows

    pause = GivingWay.pause

    def watched(self: GivingWay) -> None:
        loop.call_soon_threadsafe(asked.set)
        pause(self)
        seen.append("the big one goes on")

    monkeypatch.setattr(StatsReport, "read", held)
    monkeypatch.setattr(GivingWay, "pause", watched)
    await insert_orders(service.database)
    small = await service.create()
    await begun.wait()
    big = await service.create(**OF_ROWS)
    await asked.wait()
    await asyncio.sleep(0.1)
    seen.append("the small one goes on")
    may_read.set()
    for task in (small, big):
        assert (await service.ended(task.id)).status is TaskStatus.DONE
    assert seen[0] == "the small one goes on"


async def test_big_exports_pause_when_they_read_and_write_and_small_ones_never(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[str] = []

    def noted(_: GivingWay) -> None:
        paused.append(threading.current_thread().name)

    monkeypatch.setattr(GivingWay, "pause", noted)
    await insert_orders(service.database)
    assert (await service.exported()).status is TaskStatus.DONE
    assert paused == []
    assert (await service.exported(**OF_ROWS)).status is TaskStatus.DONE
    reads = [name for name in paused if name.startswith("decoder")]
    assert 0 < len(reads) < len(paused)


async def test_workers_can_take_one_kind_of_step_only(
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


async def test_as_many_units_of_an_export_are_read_at_once_as_the_setting_says(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = idle_service.settings.model_copy(update={"units_side_by_side": 2})
    service = replace(idle_service, settings=settings)
    read = StatsReport.read
    two = asyncio.Barrier(2)
    at_once = set[int]()
    most = 0

    async def counted(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Rows]:
        nonlocal most
        at_once.add(id(given))
        most = max(most, len(at_once))
        await two.wait()
        async for rows in read(self, *given, **named):
            yield rows
        at_once.discard(id(given))

    monkeypatch.setattr(StatsReport, "read", counted)
    await insert_orders(service.database)
    async with working(service):
        assert (await service.exported("statsAnnual")).status is TaskStatus.DONE
    assert most == 2


async def test_a_busy_encoder_does_not_delay_heartbeats(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats = threading.Semaphore(0)
    heartbeat, encode = activity.heartbeat, Csv.encode

    def counted(*details: object) -> None:
        heartbeats.release()
        heartbeat(*details)

    def busy(
        self: Csv, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
    ) -> Iterator[bytes]:
        while heartbeats.acquire(blocking=False):
            pass
        awaited, deadline = 5, time.monotonic() + 150
        while awaited:
            awaited -= heartbeats.acquire(blocking=False)
            assert time.monotonic() < deadline, "no heartbeat while the encoder is at work"
        yield from encode(self, schema, batches, warn)

    monkeypatch.setattr("activities.boundary.activity.heartbeat", counted)
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.05)
    monkeypatch.setattr(Csv, "encode", busy)
    await insert_orders(service.database)
    assert (await service.exported()).status is TaskStatus.DONE

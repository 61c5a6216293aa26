"""What people see of an export that waits for a server, and what it does not make anew."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from exports import names
from exports.errors import SourceUnavailableError
from exports.models import Stage, TaskStatus
from exports.runtime import outages
from exports.runtime.outages import waits
from exports.settings import Settings
from exports.source.database import Source
from tests.support.service import USER, Service, insert_orders, open_service, working
from tests.support.traffic import Traffic

LONGEST = 150
"""Seconds after which a test stops waiting and fails."""
OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}
ORDERS = 60
BATCHES = 6
PARTS = BATCHES + 1  # the last row is kept until it is known that no other has its time


class Away:
    """An object store that takes two objects, and then no more until it is back.

    Attributes:
        met: Set when a request has found it away.
        back: Whether it is back.
        hides_files: Whether it is away again once the file is there.
    """

    def __init__(self, traffic: Traffic) -> None:
        self.met = asyncio.Event()
        self.back = False
        self.hides_files = True
        self._takes = iter(range(2))
        self._loop = asyncio.get_running_loop()
        traffic.before("PutObject", self._refuse)
        traffic.before("HeadObject", self._refuse_to_tell)

    def _refuse(self) -> None:
        if not self.back and next(self._takes, None) is None:
            self._loop.call_soon_threadsafe(self.met.set)
            raise ConnectionClosedError(endpoint_url="http://store")

    def _refuse_to_tell(self) -> None:
        if self.hides_files:
            raise ConnectionClosedError(endpoint_url="http://store")


@asynccontextmanager
async def _waiting_for_the_store(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[Service, Away, Traffic, str]]:
    """Start an export of one unit with seven parts, which waits for the store after two."""
    monkeypatch.setattr("exports.source.database.ROWS_PER_BATCH", ORDERS // BATCHES)
    monkeypatch.setattr("activities.aggregate.PART_BYTES", 1)
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.1)
    traffic = Traffic.of_new_stores(monkeypatch)
    away = Away(traffic)
    changes = {"outage_patience": timedelta(minutes=20), "heartbeat": timedelta(seconds=3)}
    async with open_service(settings.model_copy(update=changes), temporal_address) as service:
        start = datetime(2026, 10, 1, tzinfo=UTC)
        await service.database["orders"].insert_many(
            [{"createdAt": start + timedelta(hours=index)} for index in range(ORDERS)]
        )
        async with working(service):
            task = await service.create("recordsDetail", params=OCTOBER)
            await asyncio.wait_for(away.met.wait(), LONGEST)
            yield service, away, traffic, task.id


async def _heartbeats(service: Service, task_id: str) -> list[dict[str, Any]]:
    """The details of the heartbeats of running steps, as the Web UI shows them."""
    described = (await service.run_of(task_id).describe()).raw_description
    return [
        json.loads(payload.data)
        for step in described.pending_activities
        for payload in step.heartbeat_details.payloads
    ]


async def test_an_export_says_for_which_server_it_waits_and_stages_no_part_twice(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = Source.raw_batches, 0

    def counted(*given: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(*given)

    monkeypatch.setattr(Source, "raw_batches", counted)
    opened = _waiting_for_the_store(settings, temporal_address, monkeypatch)
    async with opened as (service, away, traffic, task_id):
        async with asyncio.timeout(LONGEST):
            while (await service.client.get(task_id, created_by=USER)).progress.waiting_for is None:
                await asyncio.sleep(0.1)
            while not any(beat["waitingFor"] for beat in await _heartbeats(service, task_id)):
                await asyncio.sleep(0.1)
        task = await service.client.get(task_id, created_by=USER)
        assert (task.status, task.retries) == (TaskStatus.RUNNING, 0)
        assert task.progress.waiting_for == "store"
        assert [beat["waitingFor"] for beat in await _heartbeats(service, task_id)] == ["store"]

        away.back = True
        async with asyncio.timeout(LONGEST):
            while (task.progress.stage, task.progress.waiting_for) != (Stage.WRITEBACK, "store"):
                await asyncio.sleep(0.1)
                task = await service.client.get(task_id, created_by=USER)
        away.hides_files = False
        done = await service.ended(task_id)
        await service.run_of(task_id).result()
        assert (done.status, done.retries, done.rows) == (TaskStatus.DONE, 0, ORDERS)
        assert done.progress.waiting_for is None
        assert reads == 1
        answers = Counter(what for event, what in traffic.events if event == "answer")
        assert answers["PutObject"] == PARTS + 2, "the parts, the file and its preview"

        # The steps after the claim have the limits of the settings that it has stored.
        scheduled = {
            at.activity_type.name: (at.heartbeat_timeout.seconds, at.start_to_close_timeout.seconds)
            for event in (await service.run_of(task_id).fetch_history()).events
            if (at := event.activity_task_scheduled_event_attributes).activity_id
        }
        assert scheduled == {
            names.CLAIM: (12, 60 * (30 + 10)),
            names.AGGREGATE: (18, 60 * (30 + 20)),
            names.UPLOAD: (18, 60 * (120 + 20)),
            names.WRITEBACK_DONE: (18, 60 * (1 + 20)),
        }


async def test_a_cancel_is_heard_while_an_export_waits(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "SHORTEST_WAIT", 10 * LONGEST)
    opened = _waiting_for_the_store(settings, temporal_address, monkeypatch)
    async with opened as (service, _, _, task_id):
        await service.client.cancel(task_id, created_by=USER)
        assert (await service.ended(task_id)).status is TaskStatus.CANCELLED
        assert service.keys() == []


async def test_while_the_source_is_away_an_export_of_many_units_says_so_and_hears_a_cancel(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_away, at, ask = True, Source.at, vars(Source)["_ask_primary"]
    moments: list[str | None] = []

    @waits
    async def asked(*given: Any, **named: Any) -> None:
        if is_away:
            error = SourceUnavailableError("It is away.")
            error.away = "source"
            raise error
        await ask(*given, **named)

    def recorded(self: Source, moment: str | None, **named: Any) -> Any:
        moments.append(moment)
        return at(self, moment, **named)

    monkeypatch.setattr(Source, "_ask_primary", asked)
    monkeypatch.setattr(Source, "at", recorded)
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.1)
    async with open_service(settings, temporal_address) as service, working(service):
        await insert_orders(service.database)
        waiting = await service.create("statsAnnual")
        unwanted = await service.create("statsAnnual", params={"year": 2025})
        async with asyncio.timeout(LONGEST):
            for task in (waiting, unwanted):
                while (
                    await service.client.get(task.id, created_by=USER)
                ).progress.waiting_for != "source":
                    await asyncio.sleep(0.1)
        await service.client.cancel(unwanted.id, created_by=USER)
        assert (await service.ended(unwanted.id)).status is TaskStatus.CANCELLED

        moments.clear()
        is_away = False
        done = await service.ended(waiting.id)
        assert (done.status, done.retries) == (TaskStatus.DONE, 0)
        assert len(moments) == 11
        assert len(set(moments)) == 1
        assert moments[0] is not None

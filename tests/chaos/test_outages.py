"""A server that is away costs time and no export: exports are in flight in each step.

There are ten of them for each server, or fifty (`make chaos EXPORTS=500`). The worker reaches
the servers through proxies; the test itself reaches them directly.
"""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from bson import ObjectId
from temporalio.client import WorkflowFailureError

from dev.endpoints import Endpoints
from exports import names
from exports.models import CancelRequest, TaskStatus
from exports.tasks.task import ExportTask
from tests.support.chaos.forms import LONG
from tests.support.chaos.held_steps import HeldSteps, holding_steps
from tests.support.chaos.proxy import Proxy, Refused
from tests.support.chaos.wires import SERVERS, corner, wires_to
from tests.support.service import MONTH, USER, Service, insert_orders, open_service, working

HANGS: Final = 240
"""Seconds after which a wait counts as one that never ends."""
HELD_IN: Final = (
    *(names.CLAIM, names.AGGREGATE, names.UPLOAD, names.WRITEBACK_DONE),
    names.DISCARD,  # of one that was cancelled
)
IN_EACH: Final = 10 if LONG else 2
REQUESTS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("statsMonthly", MONTH),
    ("recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}),
]


@dataclass(frozen=True)
class Flight:
    """Exports in flight, each held in a step.

    Attributes:
        service: Reaches the servers directly.
        wire: The proxy through which the worker reaches the server that will be away.
        held: The steps that are held.
        step_of: The step in which each task is held.
    """

    service: Service
    wire: Proxy
    held: HeldSteps
    step_of: dict[str, str]

    def of(self, *steps: str) -> list[str]:
        return [task_id for task_id, step in self.step_of.items() if step in steps]

    async def inside(self, step: str, task_ids: list[str]) -> None:
        """Wait until tasks are held in a step."""
        places = {(step, names.workflow_id(task_id)) for task_id in task_ids}
        async with asyncio.timeout(HANGS):
            while not places <= self.held.inside:
                await asyncio.sleep(0.1)

    def hold(self, *steps: str) -> None:
        for task_id in self.step_of:
            for step in steps:
                self.held.hold(step, names.workflow_id(task_id))

    def release(self, *steps: str) -> None:
        for task_id in self.step_of:
            for step in steps:
                self.held.release(step, names.workflow_id(task_id))

    async def start(self, index: int) -> None:
        """Ask for an export that will be held."""
        step = HELD_IN[index % len(HELD_IN)]
        kind, params = REQUESTS[index % len(REQUESTS)]
        if step == names.AGGREGATE:  # the claim of small exports stages their rows
            kind, params = REQUESTS[-1]
        task_id = names.task_id_for(self.service.settings.task_queue, USER, key := str(ObjectId()))
        workflow = names.workflow_id(task_id)
        self.held.hold(step, workflow)
        if step == names.DISCARD:
            self.held.hold(names.UPLOAD, workflow)
        await self.service.client.create(kind, params, created_by=USER, idempotency_key=key)
        self.step_of[task_id] = step

    async def take_off(self) -> None:
        for index in range(IN_EACH * len(HELD_IN)):
            await self.start(index)
        cancelled = self.of(names.DISCARD)
        await self.inside(names.UPLOAD, cancelled)
        for task_id in cancelled:
            await self.service.run_of(task_id).signal(names.CANCEL_SIGNAL, CancelRequest())
        for step in HELD_IN:
            await self.inside(step, self.of(step))

    async def ended(self, task_ids: list[str]) -> list[ExportTask]:
        async with asyncio.timeout(HANGS):
            for task_id in task_ids:
                with suppress(WorkflowFailureError):
                    await self.service.run_of(task_id).result()
        return [await self.service.client.get(one, created_by=USER) for one in task_ids]

    async def check_nothing_else(self) -> None:
        """Sweep once and see that there are the files of exports that are done, and no more."""
        await self.service.client.sweep()
        tasks = [await self.service.client.get(one, created_by=USER) for one in self.step_of]
        files = sorted(task.object_key for task in tasks if task.object_key)
        assert self.service.keys() == files
        assert self.service.open_uploads() == []


@pytest.fixture
async def held() -> AsyncGenerator[HeldSteps]:
    # As many as `worker.py` has for so many slots: a step that waits for the store needs its own.
    threads = ThreadPoolExecutor(200, "step")
    asyncio.get_running_loop().set_default_executor(threads)
    with holding_steps() as held:
        yield held


@asynccontextmanager
async def in_flight(
    endpoints: Endpoints, held: HeldSteps, server: str, **changes: Any
) -> AsyncGenerator[Flight]:
    slots = {"max_concurrent_activities": 80, "max_concurrent_bulk_activities": 80}
    async with (
        corner(endpoints, **slots, **changes) as settings,
        open_service(settings, endpoints.temporal_address) as direct,
    ):
        await insert_orders(direct.database)
        with wires_to(endpoints) as wires:
            wired = wires.settings(settings)
            async with open_service(wired, wires.temporal.address) as service, working(service):
                flight = Flight(direct, getattr(wires, server), held, {})
                await flight.take_off()
                yield flight
                flight.wire.recover()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seconds", [10, 60] if LONG else [10])
async def test_an_outage_costs_time_and_no_attempt(
    endpoints: Endpoints, held: HeldSteps, seconds: int
) -> None:
    async def one(server: str) -> None:
        async with in_flight(endpoints, held, server) as flight:
            flight.wire.suffer(Refused())
            flight.release(*HELD_IN)
            await asyncio.sleep(seconds)
            flight.wire.recover()
            tasks = await flight.ended([*flight.step_of])
            for task in tasks:
                cancelled = flight.step_of[task.id] == names.DISCARD
                expected = TaskStatus.CANCELLED if cancelled else TaskStatus.DONE
                assert (task.status, task.retries, task.error) == (expected, 0, None), server
            await flight.check_nothing_else()

    async with asyncio.TaskGroup() as group:
        for server in SERVERS:
            group.create_task(one(server))


IMPATIENT: Final = timedelta(seconds=5)


@pytest.mark.timeout(600)
async def test_an_object_store_that_is_away_for_good_fails_all_after_three_attempts(
    endpoints: Endpoints, held: HeldSteps
) -> None:
    async with in_flight(endpoints, held, "s3", outage_patience=IMPATIENT) as flight:
        flight.wire.suffer(Refused())
        flight.release(*HELD_IN)
        for task in await flight.ended([*flight.step_of]):
            if flight.step_of[task.id] == names.DISCARD:
                assert task.status is TaskStatus.CANCELLED
                continue
            assert task.error
            assert (task.status, task.retries, task.error.code) == ("failed", 3, "E_STORE")
        flight.wire.recover()
        await flight.check_nothing_else()


@pytest.mark.timeout(600)
async def test_a_database_that_is_away_for_good_fails_all_after_three_attempts(
    endpoints: Endpoints, held: HeldSteps
) -> None:
    async with in_flight(endpoints, held, "mongo", outage_patience=IMPATIENT) as flight:
        failing = flight.of(names.AGGREGATE, names.UPLOAD, names.WRITEBACK_DONE)
        last = (names.WRITEBACK_FAILED, names.WRITEBACK_CANCELLED)
        flight.hold(*last)
        flight.wire.suffer(Refused())
        flight.release(*HELD_IN)
        # They have all failed, or could not be cleaned up. Nobody can be told before it is back.
        await flight.inside(names.WRITEBACK_FAILED, [*failing, *flight.of(names.CLAIM)])
        await flight.inside(names.WRITEBACK_CANCELLED, flight.of(names.DISCARD))
        flight.wire.recover()
        flight.release(*last)
        for task in await flight.ended(failing):
            assert task.error
            assert (task.status, task.retries, task.error.code) == ("failed", 3, "E_DATABASE")
        for task in await flight.ended(flight.of(names.DISCARD)):
            assert task.status is TaskStatus.CANCELLED
        # No run could take these, so that they are as new, and the next sweep starts them.
        waiting = flight.of(names.CLAIM)
        for task in await flight.ended(waiting):
            assert (task.status, task.retries) == ("pending", 0)
        await flight.service.client.sweep()
        for task in await flight.ended(waiting):
            assert (task.status, task.retries) == ("done", 0)
        await flight.check_nothing_else()

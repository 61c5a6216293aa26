"""The waits between attempts, on the time-skipping server: hours pass in seconds."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from dev import binaries
from exports.clock import now_ms
from exports.models import AttemptBeat, ExportRequest, TaskRef, TaskStatus
from exports.names import SEARCH_ATTRIBUTES
from exports.settings import Settings
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from exports.temporal.converter import data_converter
from exports.temporal.start import start_export
from tests.support.service import MONTH, USER, Service, insert_orders, open_service, working

HOUR = 3600


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=binaries.temporal_test_server(), data_converter=data_converter()
    ) as environment:
        # This server can add search attributes, but not list them.
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes=dict.fromkeys(
                    SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                ),
            )
        )
        yield environment


@asynccontextmanager
async def _failing(
    settings: Settings, skipping: WorkflowEnvironment, max_retries: int
) -> AsyncGenerator[Service]:
    away = settings.model_copy(
        update={"s3_endpoint_url": "http://127.0.0.1:9", "outage_patience": timedelta(0)}
    )
    async with open_service(away, "", temporal=skipping.client) as service:
        await insert_orders(service.database)
        await service.database["ExportTasks"].insert_one(
            {"_id": "t", "type": "statsMonthly", "params": MONTH, "status": "pending",
             "maxRetries": max_retries, "createdBy": USER}
        )  # fmt: skip
        async with working(service):
            yield service


def _has(seen: Sized, number: int) -> bool:
    return len(seen) == number


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(150):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("max_retries", "waits"),
    [(3, [2, 4]), (14, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, HOUR, HOUR])],
)
async def test_each_wait_is_twice_the_one_before_and_an_hour_at_most(
    settings: Settings,
    skipping: WorkflowEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    max_retries: int,
    waits: list[int],
) -> None:
    told: list[int] = []
    between = list[ExportTask]()
    failed, started = RunTransitions.attempt_failed, RunTransitions.attempt_started

    async def note(
        self: RunTransitions, *given: Any, next_run_at: int | None, **named: Any
    ) -> None:
        if next_run_at is not None:
            told.append(round((next_run_at - now_ms()) / 1000))
        await failed(self, *given, next_run_at=next_run_at, **named)

    async def look(self: RunTransitions, ref: TaskRef, heartbeat: AttemptBeat) -> None:
        between.append(ExportTask.from_document(await self.find(ref.task_id) or {}))
        await started(self, ref, heartbeat)

    monkeypatch.setattr(RunTransitions, "attempt_failed", note)
    monkeypatch.setattr(RunTransitions, "attempt_started", look)
    async with _failing(settings, skipping, max_retries) as service:
        await start_export(
            service.temporal,
            ExportRequest(type="statsMonthly", created_by=USER, task_id="t"),
            task_queue=settings.task_queue,
        )
        for attempt, wait in enumerate(waits, start=1):
            await _until(partial(_has, told, attempt))
            assert len(between) == attempt - 1, "the server did not wait for its time to pass"
            await skipping.sleep(timedelta(seconds=wait))
            await _until(partial(_has, between, attempt))
        with pytest.raises(WorkflowFailureError) as closed:
            await service.run_of("t").result()
        assert isinstance(closed.value.cause, ApplicationError)
        assert closed.value.cause.type == "E_STORE"
        assert told == waits
        retries = between
        # The second attempt at a small export comes with a claim, after which it is running.
        before = [TaskStatus.RUNNING, *[TaskStatus.PENDING] * (len(waits) - 1)]
        assert [task.status for task in retries] == before
        assert [task.retries for task in retries] == list(range(1, max_retries))
        assert {task.error.code for task in retries if task.error} == {"E_STORE"}
        ended = await service.ended("t")
        assert (ended.status, ended.retries) == (TaskStatus.FAILED, max_retries)

"""Cancelling an export, in each of its stages."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import repeat
from typing import Any

import pyarrow as pa
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Worker

from exports import names
from exports.client import cancelling
from exports.errors import TaskStateError
from exports.formats.csv import Csv
from exports.models import ExportRequest, TaskStatus
from exports.reports.report import Rows
from exports.reports.stats.report import StatsReport
from exports.staging.reader import StagedParts
from exports.storage.bucket import ObjectStore, StoredObject
from exports.tables.warnings import WarningCounts
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from tests.support.recording import upload_held
from tests.support.service import USER, Service, insert_orders, working

LONGEST = 150
"""Seconds after which a test stops waiting and fails."""


class Gate:
    """Holds a step at a place, until the gate opens or the step is cancelled."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.open.wait()


async def _stopped(service: Service, task_id: str, how: str) -> None:
    if how in ("signal", "both"):
        await service.run_of(task_id).signal("cancel", {"reason": "no longer needed"})
    if how in ("web-ui", "both"):
        await service.run_of(task_id).cancel()


async def _held_after_reading(service: Service, monkeypatch: pytest.MonkeyPatch) -> ExportTask:
    """Start an export that has staged its rows and goes no further."""
    monkeypatch.setattr("activities.aggregate.PART_BYTES", 1)
    gate = Gate()
    read = StatsReport.read

    async def held(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Rows]:
        async for rows in read(self, *given, **named):
            yield rows
            await gate.wait()

    monkeypatch.setattr(StatsReport, "read", held)
    await insert_orders(service.database)
    task = await service.create()
    await asyncio.wait_for(gate.reached.wait(), LONGEST)
    while not service.keys():
        await asyncio.sleep(0.02)
    return task


async def _is_gone_without_trace(service: Service, task_id: str) -> None:
    with pytest.raises(WorkflowFailureError) as closed:
        await service.run_of(task_id).result()
    assert isinstance(closed.value.cause, CancelledError)
    description = await service.run_of(task_id).describe()
    assert description.status is WorkflowExecutionStatus.CANCELED
    document = await service.document(task_id)
    assert document["status"] == "cancelled"
    assert "downloadUrl" not in document
    assert service.keys() == []
    assert service.open_uploads() == []


@pytest.mark.parametrize("how", ["signal", "web-ui"])
async def test_before_a_worker_has_looked_at_it(idle_service: Service, how: str) -> None:
    await insert_orders(idle_service.database)
    task = await idle_service.create()
    await _stopped(idle_service, task.id, how)
    async with working(idle_service):
        await _is_gone_without_trace(idle_service, task.id)


@pytest.mark.parametrize("how", ["signal", "web-ui", "both"])
async def test_while_it_aggregates(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    task = await _held_after_reading(service, monkeypatch)
    assert len(service.keys()) == 1
    await _stopped(service, task.id, how)
    await _is_gone_without_trace(service, task.id)


@pytest.mark.parametrize("how", ["signal", "web-ui", "both"])
async def test_while_it_uploads_in_parts(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    uploading = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(
        self: Csv, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
    ) -> Iterator[bytes]:
        del self, schema, warn
        list(batches)
        yield from repeat(bytes(1024 * 1024), 40)
        loop.call_soon_threadsafe(uploading.set)
        while True:
            time.sleep(0.01)  # instead of work that the other tests would wait for
            yield b"and so on"

    monkeypatch.setattr(Csv, "encode", endless)
    await insert_orders(service.database)
    task = await service.create(format="csv")
    await asyncio.wait_for(uploading.wait(), LONGEST)
    assert len(service.open_uploads()) == 1
    await _stopped(service, task.id, how)
    await _is_gone_without_trace(service, task.id)


@pytest.mark.parametrize("how", ["signal", "web-ui"])
async def test_while_it_encodes_a_file_that_has_no_first_byte_yet(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    encoding = asyncio.Event()
    loop = asyncio.get_running_loop()
    all_rows = StagedParts.__iter__

    def without_end(self: StagedParts) -> Iterator[pa.RecordBatch]:
        (batch,) = all_rows(self)
        while True:
            loop.call_soon_threadsafe(encoding.set)
            yield batch

    def busy(
        self: Csv, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
    ) -> Iterator[bytes]:
        del self, schema, warn
        for _ in batches:
            time.sleep(0.01)  # instead of work that the other tests would wait for
        yield b"never"

    monkeypatch.setattr(StagedParts, "__iter__", without_end)
    monkeypatch.setattr(Csv, "encode", busy)
    await insert_orders(service.database)
    task = await service.create(format="csv")
    await asyncio.wait_for(encoding.wait(), LONGEST)
    await _stopped(service, task.id, how)
    await _is_gone_without_trace(service, task.id)


@pytest.mark.parametrize("how", ["signal", "web-ui"])
async def test_while_it_waits_for_a_retry(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(ObjectStore, "put", broken)
    await insert_orders(service.database)
    task = await service.create()
    async for seen in service.client.watch(task.id, created_by=USER):
        if seen.next_run_at is not None and seen.error is not None:
            break
    await _stopped(service, task.id, how)
    await _is_gone_without_trace(service, task.id)


@pytest.mark.parametrize("how", ["signal", "web-ui"])
async def test_once_it_is_done_nothing_changes(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    gate = Gate()
    done = RunTransitions.done

    async def held(self: RunTransitions, *given: Any, **named: Any) -> Any:
        task = await done(self, *given, **named)
        await gate.wait()
        return task

    monkeypatch.setattr(RunTransitions, "done", held)
    await insert_orders(service.database)
    task = await service.create()
    await asyncio.wait_for(gate.reached.wait(), LONGEST)
    await _stopped(service, task.id, how)
    gate.open.set()
    result = await service.run_of(task.id).result()
    assert result["status"] == "done"
    assert service.keys() == [(await service.document(task.id))["objectKey"]]


async def test_two_cancels_at_once_have_one_effect_and_the_document_says_why(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await _held_after_reading(service, monkeypatch)
    answers = await asyncio.gather(
        *(service.client.cancel(task.id, created_by=USER, reason="wrong month") for _ in range(2)),
        return_exceptions=True,
    )
    # A call that comes late may be refused, because the export is cancelled already.
    cancelled = [answer for answer in answers if not isinstance(answer, TaskStateError)]
    assert cancelled
    for answer in cancelled:
        assert not isinstance(answer, BaseException)
        assert (answer.status, answer.cancel_reason) == (TaskStatus.CANCELLED, "wrong month")


async def test_a_task_that_never_got_a_workflow_is_stopped_too(service: Service) -> None:
    task = await service.asked.create(
        ExportRequest(type="statsMonthly", params={"year": 2026, "month": 10}, created_by=USER)
    )
    stopped = await service.client.cancel(task.id, created_by=USER, reason="r")
    assert (stopped.status, stopped.cancel_reason) == (TaskStatus.CANCELLED, "r")
    swept = await service.client.sweep()
    assert swept.handled == 0


async def test_a_task_whose_failed_run_is_still_closing_is_stopped_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = threading.Event()
    listed = ObjectStore.open_uploads

    def held(self: ObjectStore, prefix: str) -> Iterator[StoredObject]:
        closing.wait(150)
        return listed(self, prefix)

    monkeypatch.setattr(ObjectStore, "open_uploads", held)
    monkeypatch.setattr(cancelling, "_CANCEL_WAIT", timedelta(seconds=2))
    failed = await service.exported()  # there is no collection
    assert await service.asked.reset(failed, asked_by=USER)
    stopping = asyncio.create_task(
        service.client.cancel(failed.id, created_by=USER, reason="not again")
    )
    async with asyncio.timeout(LONGEST):
        while not [event async for event in _signals(service, failed.id)]:
            await asyncio.sleep(0.05)
    closing.set()
    stopped = await stopping
    assert (stopped.status, stopped.cancel_reason) == (TaskStatus.CANCELLED, "not again")


async def _signals(service: Service, task_id: str) -> AsyncIterator[HistoryEvent]:
    async for event in service.run_of(task_id).fetch_history_events():
        if event.HasField("workflow_execution_signaled_event_attributes"):
            yield event


async def test_cancelling_a_finished_export_is_refused_and_the_file_stays(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    with pytest.raises(TaskStateError, match="is done"):
        await service.client.cancel(task.id, created_by=USER)
    assert (await service.ended(task.id)).download_url == task.download_url


@pytest.mark.parametrize(
    "given",
    [
        [],
        [None],
        ["a bare reason"],
        [{"reason": 5}],
        [17],
        [["x"]],
        [b"\xff\xfe"],
        [{"reason": "one"}, "too many"],
    ],
    ids=str,
)
async def test_the_cancel_signal_works_with_any_input(
    idle_service: Service, given: list[object]
) -> None:
    await insert_orders(idle_service.database)
    task = await idle_service.create()
    await idle_service.run_of(task.id).signal("cancel", args=given)
    async with working(idle_service):
        await _is_gone_without_trace(idle_service, task.id)


async def _reset(service: Service, task_id: str, *, to_beginning: bool) -> None:
    history = (await service.run_of(task_id).fetch_history()).events
    begun, *later = (
        event.event_id
        for event in history
        if event.HasField("workflow_task_completed_event_attributes")
    )
    await service.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=service.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=names.workflow_id(task_id)),
            workflow_task_finish_event_id=begun if to_beginning else later[-1],
            request_id=task_id,
            reason="the Reset button",
        )
    )


async def test_a_run_that_was_reset_is_cancelled_as_well(service: Service) -> None:
    await insert_orders(service.database)
    with upload_held() as reached:
        task = await service.create()
        await asyncio.wait_for(reached.wait(), LONGEST)
        await _reset(service, task.id, to_beginning=False)
        await _stopped(service, task.id, "signal")
        await asyncio.wait_for(_is_gone_without_trace(service, task.id), LONGEST)


async def test_a_run_that_was_reset_to_its_beginning_is_healed_by_the_next_sweep(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as held:
        task = await _held_after_reading(service, held)
        await _reset(service, task.id, to_beginning=True)
        with pytest.raises(WorkflowFailureError) as closed:
            await service.run_of(task.id).result()
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == "E_TASK_LOST"
    assert (await service.client.sweep()).healed == 1
    assert (await service.ended(task.id)).status is TaskStatus.DONE


async def test_a_worker_that_keeps_no_run_in_its_cache_cancels_as_well(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Evicting a run cancels its coroutines, which is no request to cancel the export.
    monkeypatch.setattr("worker.Worker", partial(Worker, max_cached_workflows=0))
    await insert_orders(idle_service.database)
    kept = await idle_service.create("statsAnnual")
    stopped = await idle_service.create("statsAnnual")
    await _stopped(idle_service, stopped.id, "both")
    async with working(idle_service):
        await idle_service.run_of(kept.id).result()
        with pytest.raises(WorkflowFailureError) as closed:
            await idle_service.run_of(stopped.id).result()
    assert isinstance(closed.value.cause, CancelledError)
    assert (await idle_service.ended(kept.id)).status is TaskStatus.DONE
    assert (await idle_service.ended(stopped.id)).status is TaskStatus.CANCELLED
    assert (await idle_service.ended(stopped.id)).cancel_reason == "no longer needed"

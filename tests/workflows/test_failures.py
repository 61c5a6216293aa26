"""A failed export says why with a code, and at once if no retry can help."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bson import ObjectId
from pydantic import SecretStr
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from exports import names
from exports.clock import now_ms
from exports.errors import (
    FileExpiredError,
    FormatUnknownError,
    ParamsError,
    RequestError,
    TaskNotFoundError,
    TaskStateError,
    TypeUnknownError,
)
from exports.models import DEFAULT_OUTAGE_PATIENCE, TaskStatus
from exports.reports.stats.report import StatsReport
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from tests.support.recording import quick_retries
from tests.support.service import (
    MONTH,
    USER,
    Service,
    insert_orders,
    open_service,
    working,
    write_reports,
)
from workflows import policies
from workflows.failures import failed_attempts

LONGEST = 150
"""Seconds after which a test stops waiting and fails."""


@asynccontextmanager
async def _service_with(
    settings: Settings, temporal_address: str, **changes: Any
) -> AsyncGenerator[Service]:
    changed = settings.model_copy(update=changes)
    async with open_service(changed, temporal_address) as service:
        await insert_orders(service.database)
        async with working(service):
            yield service


async def _fails_with(service: Service, code: str) -> ExportTask:
    return await _ended_with(service, (await service.create()).id, code, attempts=1)


async def _ended_with(service: Service, task_id: str, code: str, *, attempts: int) -> ExportTask:
    task = await service.ended(task_id)
    assert task.status is TaskStatus.FAILED
    assert task.error is not None
    assert task.error.code == code
    assert task.retries == attempts
    assert task.next_run_at is None
    with pytest.raises(WorkflowFailureError) as closed:
        await service.run_of(task.id).result()
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == code
    assert (await service.run_of(task.id).describe()).status is WorkflowExecutionStatus.FAILED
    return task


async def test_a_collection_that_is_not_there(service: Service) -> None:
    task = await _fails_with(service, "E_COLLECTION")
    assert task.error is not None
    assert "orders" in task.error.msg


async def test_a_bucket_that_is_not_there(settings: Settings, temporal_address: str) -> None:
    async with _service_with(settings, temporal_address, s3_bucket="no-such-bucket") as service:
        await _fails_with(service, "E_BUCKET")


async def test_wrong_keys_of_the_object_store(settings: Settings, temporal_address: str) -> None:
    wrong = SecretStr("not-the-secret-key")
    async with _service_with(settings, temporal_address, s3_secret_access_key=wrong) as service:
        task = await _fails_with(service, "E_STORE_ACCESS")
    assert "not-the-secret-key" not in repr(task)


async def test_a_time_field_without_dates_gives_an_empty_file(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    # No document is in the period, which is no error.
    reports = write_reports(tmp_path / "reports.toml", time_field='"category"')
    async with _service_with(settings, temporal_address, reports_file=reports) as service:
        assert (await service.exported()).status is TaskStatus.DONE


async def test_an_object_store_that_is_away_is_tried_three_times_in_all(
    settings: Settings, temporal_address: str
) -> None:
    away = "http://127.0.0.1:9"
    impatient = timedelta(0)
    async with _service_with(
        settings, temporal_address, s3_endpoint_url=away, outage_patience=impatient
    ) as service:
        with quick_retries():
            task = await service.create()
            await _ended_with(service, task.id, "E_STORE", attempts=3)


async def test_a_fault_that_passes_costs_one_retry(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, faults = ObjectStore.put, iter([OSError("the cable")])

    def shaky(self: ObjectStore, key: str, data: bytes) -> None:
        for fault in faults:
            raise fault
        put(self, key, data)

    monkeypatch.setattr(ObjectStore, "put", shaky)
    await insert_orders(service.database)
    task = await service.exported()
    assert (task.status, task.retries, task.error) == (TaskStatus.DONE, 1, None)


async def test_months_that_fail_side_by_side_in_one_outage_count_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, seen = ObjectStore.put, set[str]()

    def down_for_each_month_once(self: ObjectStore, key: str, data: bytes) -> None:
        month = key.split("/")[3]
        if key.startswith(names.STAGING) and month not in seen:
            seen.add(month)
            raise OSError
        put(self, key, data)

    monkeypatch.setattr(ObjectStore, "put", down_for_each_month_once)
    await insert_orders(service.database)
    task = await service.exported("statsAnnual")
    assert (task.status, task.retries) == (TaskStatus.DONE, 1)
    assert len(seen) == 12


async def test_a_task_is_tried_as_often_as_its_document_allows(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(ObjectStore, "put", broken)
    await insert_orders(service.database)
    await service.database["ExportTasks"].insert_one(
        {"_id": "once", "type": "statsMonthly", "params": MONTH, "status": "pending",
         "maxRetries": 1, "createdBy": USER}
    )  # fmt: skip
    assert (await service.client.sweep()).started == 1
    task = await service.ended("once")
    assert (task.status, task.retries) == (TaskStatus.FAILED, 1)


async def test_a_failed_export_runs_again_when_asked(service: Service) -> None:
    failed = await _fails_with(service, "E_COLLECTION")
    await insert_orders(service.database)
    again = await service.client.retry(failed.id, created_by=USER)
    assert (again.status, again.retries, again.error) == (TaskStatus.PENDING, 0, None)
    assert (await service.ended(failed.id)).status is TaskStatus.DONE
    with pytest.raises(TaskStateError, match="only a failed one"):
        await service.client.retry(failed.id, created_by=USER)


@pytest.mark.parametrize(
    ("kind", "params", "error"),
    [
        ("statsWeekly", MONTH, TypeUnknownError),
        ("statsMonthly", {"year": 2026, "month": 13}, ParamsError),
        ("statsMonthly", {"year": 2026}, ParamsError),
        ("statsMonthly", {"year": "abc", "month": 1}, ParamsError),
        ("statsMonthly", {"year": 1, "month": 1}, ParamsError),
        ("statsMonthly", {**MONTH, "day": 1}, ParamsError),
        ("statsMonthly", {"year": {"$gt": 0}, "month": 1}, ParamsError),
        ("statsAnnual", MONTH, ParamsError),
    ],
)
async def test_a_wrong_request_is_refused_before_anything_is_stored(
    service: Service, kind: str, params: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await service.create(kind, params=params)
    assert await service.client.list(created_by=None) == []


async def test_an_unknown_format_and_an_empty_created_by_are_refused(service: Service) -> None:
    with pytest.raises(FormatUnknownError, match=r"Use one of: csv, csv\.gz, .*xlsx"):
        await service.create(format="docx")
    with pytest.raises(RequestError, match="created_by"):
        await service.create(created_by="")


async def test_somebody_elses_task_does_not_exist(service: Service) -> None:
    await insert_orders(service.database)
    mine = await service.exported()
    other = service.client
    for attempt in (
        other.get(mine.id, created_by="u2"),
        other.cancel(mine.id, created_by="u2"),
        other.renew(mine.id, created_by="u2"),
        other.retry(mine.id, created_by="u2"),
        other.wait(mine.id, created_by="u2"),
        other.get("no-such-task", created_by="u2"),
        other.get("0" * 24, created_by=USER),
    ):
        with pytest.raises(TaskNotFoundError) as refused:
            await attempt
        assert refused.value.msg == "There is no such task."
    assert await other.list(created_by="u2") == []
    assert [task.id for task in await other.list(created_by=USER)] == [mine.id]


async def test_a_link_to_a_file_that_has_been_removed_is_not_renewed(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.database["ExportTasks"].update_one({}, {"$set": {"purgeAt": now_ms() - 1}})
    swept = await service.client.sweep()
    assert swept.purged == 1
    with pytest.raises(FileExpiredError):
        await service.client.renew(task.id, created_by=USER)
    assert service.keys() == []


async def test_a_link_needs_a_file(idle_service: Service) -> None:
    task = await idle_service.create()
    with pytest.raises(TaskStateError, match="pending"):
        await idle_service.client.renew(task.id, created_by=USER)


async def test_a_task_deleted_while_it_runs_leaves_nothing_behind(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ObjectStore.put
    loop = asyncio.get_running_loop()
    staged = asyncio.Event()

    def slow(self: ObjectStore, key: str, data: bytes) -> None:
        put(self, key, data)
        loop.call_soon_threadsafe(staged.set)
        asyncio.run(asyncio.sleep(0.5))

    monkeypatch.setattr(ObjectStore, "put", slow)
    await insert_orders(service.database)
    task = await service.create()
    await asyncio.wait_for(staged.wait(), LONGEST)
    await service.database["ExportTasks"].delete_many({})
    with pytest.raises(WorkflowFailureError) as closed:
        await service.run_of(task.id).result()
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == "E_TASK_LOST"
    assert service.keys() == []


def _hanging(
    monkeypatch: pytest.MonkeyPatch, *, seconds: float, ended_after: float
) -> asyncio.Semaphore:
    """Let the reading of rows hang.

    Args:
        monkeypatch: Of the test.
        seconds: Time limit of the step.
        ended_after: Share of it after which the worker ends an attempt.

    Returns:
        Released by each attempt that has ended.
    """
    ended = asyncio.Semaphore(0)

    async def hang(*_: Any, **__: Any) -> AsyncIterator[pa.RecordBatch]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()
        raise AssertionError
        yield

    limit = timedelta(seconds=seconds) - DEFAULT_OUTAGE_PATIENCE  # which is added
    step = replace(policies.AGGREGATE_STEP, start_to_close=limit)
    monkeypatch.setattr(policies, "AGGREGATE_STEP", step)
    monkeypatch.setattr(policies, "CLAIM_STEP", step)
    monkeypatch.setattr("activities.patience.ENDED_AFTER", ended_after)
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.2)
    monkeypatch.setattr(StatsReport, "read", hang)
    return ended


async def test_a_step_that_takes_too_long_is_counted_and_explained(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hanging(monkeypatch, seconds=10, ended_after=0.1)
    counted: list[int] = []
    failed = RunTransitions.attempt_failed

    async def note(self: RunTransitions, *given: Any, retries: int, **named: Any) -> None:
        counted.append(retries)
        await failed(self, *given, retries=retries, **named)

    monkeypatch.setattr(RunTransitions, "attempt_failed", note)
    with quick_retries():
        task = await service.create()
        await _ended_with(service, task.id, "E_STEP_TIMEOUT", attempts=3)
    assert counted == [1, 2, 3]


async def test_an_attempt_that_the_server_ended_counts_as_well(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = _hanging(monkeypatch, seconds=1, ended_after=100)
    task = await service.create()
    await _ended_with(service, task.id, "E_STEP_TIMEOUT", attempts=3)
    # The SDK's worker may hang if it is stopped at the moment at which an attempt ends:
    # https://github.com/temporalio/sdk-rust/issues/1537
    async with asyncio.timeout(LONGEST):
        for _ in range(3):
            await ended.acquire()


async def test_a_writeback_that_takes_longer_than_a_heartbeat_interval_is_done(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_all = ObjectStore.remove_all

    def slow(self: ObjectStore, keys: Sequence[str]) -> None:
        time.sleep(1)
        remove_all(self, keys)

    monkeypatch.setattr(ObjectStore, "remove_all", slow)
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.1)
    await insert_orders(service.database)
    task = await service.exported()
    result = await service.run_of(task.id).result()
    assert result["status"] == task.status == TaskStatus.DONE
    assert service.keys() == [(await service.document(task.id))["objectKey"]]


async def test_an_attempt_whose_task_was_deleted_ends_at_its_next_heartbeat(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = asyncio.Event()

    async def endless(*_: Any, **__: Any) -> AsyncIterator[pa.RecordBatch]:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError
        yield

    monkeypatch.setattr(StatsReport, "read", endless)
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.1)
    task = await service.create()
    await asyncio.wait_for(reading.wait(), LONGEST)
    await service.collection.documents.delete_one({"_id": ObjectId(task.id)})
    with pytest.raises(WorkflowFailureError) as closed:
        await asyncio.wait_for(service.run_of(task.id).result(), LONGEST)
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == "E_TASK_LOST"


@pytest.mark.parametrize("details", [[], ["rubbish"], [{"retries": "many"}], [None, 7]])
def test_what_somebody_says_by_hand_of_failed_attempts_counts_none(details: list[object]) -> None:
    assert failed_attempts(ApplicationError("by hand", *details)) == 0

"""The sweep: starts what is due, heals what was left behind, purges what has expired."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.sweep import SweepActivities
from exports import names
from exports.clock import now_ms
from exports.errors import DatabaseUnavailableError
from exports.models import ExportRequest, SweepResult, TaskRef, TaskStatus
from exports.runtime import metrics
from exports.storage.bucket import ObjectStore
from exports.tasks.sweep import SweepStore
from exports.tasks.transitions import RunTransitions
from exports.temporal.schedule import SweepSchedule
from exports.temporal.start import start_export
from tests.support.protections import protected_by
from tests.support.service import MONTH, USER, Service, insert_orders, working
from tests.support.stored_tasks import TASK, insert_task


@pytest.mark.parametrize("task_id", [ObjectId(), "f1e2d3c4b5a6", "任务/1 ?#", "0" * 24, ".", ".."])
async def test_a_document_with_only_the_fields_of_the_old_function_is_exported(
    service: Service, task_id: object
) -> None:
    await insert_orders(service.database)
    await insert_task(service, _id=task_id)
    swept = await service.client.sweep()
    assert swept == SweepResult(started=1, healed=0, purged=0, handled=1)
    task = await service.ended(str(task_id))
    assert (task.status, task.rows) == (TaskStatus.DONE, 3)


@pytest.mark.parametrize(
    "due",
    [None, 0, 1.0, datetime(2026, 1, 1, tzinfo=UTC), "soon", float("nan"), Decimal128("NaN")],
    ids=["null", "zero", "double", "date", "rubbish", "no number", "no decimal"],
)
async def test_a_task_is_due_however_its_time_was_written(service: Service, due: object) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, nextRunAt=due)
    assert (await service.client.sweep()).started == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_a_task_that_is_not_due_yet_is_not_started(service: Service) -> None:
    await insert_task(service, nextRunAt=now_ms() + 60_000)
    assert (await service.client.sweep()).handled == 0


async def test_a_sweep_starts_everything_that_is_due(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exports.documents.PAGE", 10)
    await insert_orders(idle_service.database)
    documents = [{"_id": ObjectId(), **TASK, "createdBy": f"u{n % 3}"} for n in range(25)]
    await idle_service.database["ExportTasks"].insert_many(documents)
    async with working(idle_service):
        swept = await idle_service.client.sweep()
    assert swept == SweepResult(started=25, healed=0, purged=0, handled=25)


async def test_what_is_due_is_started_although_the_open_ones_can_not_be_counted(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_: object) -> None:
        raise DatabaseUnavailableError("It took longer than 8 s.")

    monkeypatch.setattr(SweepStore, "open", refuse)
    monkeypatch.setattr(metrics, "are_wanted", lambda: True)
    task_id = await insert_task(idle_service)
    attempt = ActivityEnvironment()
    attempt.info = replace(attempt.info, started_time=datetime.now(UTC))
    tasks = SweepStore(idle_service.collection)
    activities = SweepActivities(tasks=tasks, temporal=idle_service.temporal)
    assert (await attempt.run(activities.due)).changed == 1
    assert (await idle_service.run_of(task_id).describe()).status == WorkflowExecutionStatus.RUNNING
    assert "It took longer than 8 s." in caplog.text


async def test_two_sweeps_at_once_start_one_run_of_each_task(service: Service) -> None:
    await insert_orders(service.database)
    ids = [await insert_task(service) for _ in range(8)]
    sweeps = await asyncio.gather(*(service.client.sweep() for _ in range(4)))
    for task_id in ids:
        assert (await service.ended(task_id)).status is TaskStatus.DONE
    assert sum(swept.started for swept in sweeps) >= len(ids)
    found = service.keys()
    assert len([key for key in found if key.startswith(names.FILES)]) == len(ids)


async def test_a_terminated_run_is_healed_by_the_next_sweep(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()
    terminated = threading.Event()
    loop = asyncio.get_running_loop()
    put = ObjectStore.put

    def hang_once(self: ObjectStore, key: str, data: bytes) -> None:
        put(self, key, data)
        if not reached.is_set():
            loop.call_soon_threadsafe(reached.set)
            terminated.wait(150)

    monkeypatch.setattr(ObjectStore, "put", hang_once)
    await insert_orders(service.database)
    task = await service.create()
    await asyncio.wait_for(reached.wait(), 150)
    first = (await service.document(task.id))["runId"]
    assert (await service.client.sweep()).healed == 0
    await service.run_of(task.id).terminate("by hand")
    terminated.set()
    assert await service.client.sweep() == SweepResult(started=0, healed=1, purged=0, handled=1)
    healed = await service.ended(task.id)
    assert healed.status is TaskStatus.DONE
    assert healed.run_id != first
    assert healed.retries == 0
    await service.run_of(task.id).result()
    await service.client.sweep()
    assert service.keys() == [(await service.document(task.id))["objectKey"]]


async def test_a_task_that_the_old_function_left_running_is_healed(service: Service) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, status="running")
    assert (await service.client.sweep()).healed == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_a_task_that_waits_for_a_retry_of_a_lost_workflow_is_healed(service: Service) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, runId="gone", nextRunAt=now_ms() + 3_600_000)
    assert (await service.client.sweep()).healed == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


@pytest.mark.parametrize("name", ["统计部门的用户" * 20, "😀" * 17, "ü" * 200])
async def test_a_person_may_have_a_long_name_in_any_script(service: Service, name: str) -> None:
    await insert_orders(service.database)
    swept = await insert_task(service, createdBy=name)
    assert (await service.client.sweep()).started == 1
    created = await service.create(created_by=name)
    for task_id in (swept, created.id):
        assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_a_task_of_a_workflow_with_an_id_of_its_own_is_retried_by_the_sweep(
    service: Service,
) -> None:
    request = ExportRequest(type="statsMonthly", params=dict(MONTH), created_by=USER)
    task_id = f"report-{service.settings.task_queue}"
    await start_export(
        service.temporal,
        request,
        task_queue=service.settings.task_queue,
        workflow_id=task_id,
    )
    with pytest.raises(WorkflowFailureError):  # the collection does not exist yet
        await service.temporal.get_workflow_handle(task_id).result()
    await insert_orders(service.database)
    failed = await service.client.get(task_id, created_by=USER)
    assert await service.asked.reset(
        failed, asked_by=USER
    )  # a client that died before it could start it
    assert (await service.client.sweep()).started == 1
    assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_the_sweep_stores_the_error_of_a_run_that_could_not(service: Service) -> None:
    task = await service.exported()
    assert task.status is TaskStatus.FAILED
    with pytest.raises(WorkflowFailureError):
        await service.run_of(task.id).result()
    await service.database["ExportTasks"].update_one(
        {}, {"$set": {"status": "running"}, "$unset": {"error": ""}}
    )
    assert (await service.client.sweep()).healed == 1
    ended = await service.ended(task.id)
    assert ended.status is TaskStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "E_COLLECTION"


async def test_a_cancelled_run_whose_document_says_running_is_closed_as_cancelled(
    idle_service: Service,
) -> None:
    await insert_orders(idle_service.database)
    task = await idle_service.create()
    await idle_service.run_of(task.id).cancel()
    async with working(idle_service):
        await idle_service.ended(task.id)
        with pytest.raises(WorkflowFailureError):
            await idle_service.run_of(task.id).result()
        await idle_service.database["ExportTasks"].update_one({}, {"$set": {"status": "running"}})
        assert (await idle_service.client.sweep()).healed == 1
    assert (await idle_service.ended(task.id)).status is TaskStatus.CANCELLED


async def test_expired_files_are_removed_and_their_tasks_are_expired(service: Service) -> None:
    await insert_orders(service.database)
    old, new = await service.exported(), await service.exported()
    await service.database["ExportTasks"].update_one(
        {"_id": ObjectId(old.id)}, {"$set": {"purgeAt": now_ms()}}
    )
    assert (await service.client.sweep()).purged == 1
    expired = await service.ended(old.id)
    assert (expired.status, expired.download_url, expired.expires_at) == ("expired", None, None)
    assert service.keys() == [(await service.document(new.id))["objectKey"]]


@protected_by(
    "activities/orphans.py",
    "item.key in (file, names.preview_key(file))",
    instead="bool(names)",
)
async def test_objects_that_no_task_needs_are_removed(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.run_of(task.id).result()
    kept = service.keys()
    for key in (
        names.staged_part_key(task.id, task.run_id or "", unit="u", attempt="9-9", index=0),
        names.file_key(task.id, task.run_id or "", attempt="9-9", extension="csv"),
        names.file_key(task.id, "another-run", attempt="1-1", extension="csv"),
        names.preview_key(names.file_key(task.id, "r", attempt="1-1", extension="csv")),
    ):
        service.store.put(key, b"left by a zombie")
    foreign = names.file_key("a task of another installation", "r", attempt="1-1", extension="csv")
    service.store.put(foreign, b"not ours to remove, yet")
    await service.client.sweep()
    assert service.keys() == sorted([*kept, foreign])


async def test_an_open_upload_that_no_run_needs_is_aborted(
    service: Service, s3_client: Any, bucket: str, s3_prefix: str
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    key = names.file_key(task.id, "another-run", attempt="1-1", extension="csv")
    s3_client.create_multipart_upload(Bucket=bucket, Key=s3_prefix + key)
    assert service.open_uploads() == [key]
    await service.client.sweep()
    assert service.open_uploads() == []


@protected_by(
    "activities/orphans.py", 'return bool(task.get("runId") == run_id)', instead="return False"
)
async def test_the_staged_parts_of_an_open_run_are_kept(idle_service: Service) -> None:
    task = await idle_service.asked.create(
        ExportRequest(type="statsMonthly", params={}, created_by=USER)
    )
    ref = TaskRef(task_id=task.id, workflow_id=names.workflow_id(task.id), run_id="r1")
    await RunTransitions(idle_service.collection).claim(ref, run_started_at=1)
    await start_export(
        idle_service.temporal,
        ExportRequest(type="statsMonthly", created_by=USER, task_id=task.id),
        task_queue="nobody-listens-here",
    )
    key = names.staged_part_key(task.id, "r1", unit="u", attempt="1-1", index=0)
    idle_service.store.put(key, b"rows")
    async with working(idle_service):
        await idle_service.client.sweep()
    assert idle_service.keys() == [key]
    await idle_service.run_of(task.id).terminate()


async def test_the_schedule_sweeps_every_five_minutes_and_never_twice_at_once(
    service: Service,
) -> None:
    schedule = SweepSchedule(service.temporal, task_queue=service.settings.task_queue)
    try:
        first, second = await schedule.apply(), await schedule.apply()
        assert first.every_seconds == second.every_seconds == 300
        handle = service.temporal.get_schedule_handle(second.schedule_id)
        policy = (await handle.describe()).schedule.policy
        assert policy.overlap.name == "SKIP"
        assert policy.catchup_window == timedelta(minutes=10)
        assert (await schedule.pause("holidays")).note == "holidays"
        assert (await schedule.apply()).paused
        assert not (await schedule.resume("back")).paused
        await insert_orders(service.database)
        task_id = await insert_task(service)
        await schedule.trigger()
        assert (await service.ended(task_id)).status is TaskStatus.DONE
        found = (await handle.describe()).info.recent_actions
        assert len(found) == 1
    finally:
        await service.temporal.get_schedule_handle(
            names.schedule_id(service.settings.task_queue)
        ).delete()

"""Workers with different object stores never end an export with a link to nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from exports.clock import now_ms
from exports.errors import StoreDiffersError
from exports.models import TaskStatus
from exports.reports.rows import reading
from exports.settings import Settings
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from tests.support.chaos.deployed import attempts_of
from tests.support.protections import protected_by
from tests.support.recording import (
    Held,
    answer_to_done_lost,
    closed,
    reading_held,
    upload_held,
    without_grace,
)
from tests.support.service import (
    USER,
    Service,
    downloaded,
    insert_orders,
    open_service,
    working,
)
from workflows import export, policies

OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}
THREE_DAYS = {"from": "2026-10-01", "to": "2026-10-04"}
ROWS = 60
DIFFERS = "EXPORTS_S3_PREFIX"


@pytest.fixture
async def here(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """A service whose runs wait only moments for another worker."""
    monkeypatch.setattr(policies, "FIRST_DELAY", timedelta(milliseconds=20))
    monkeypatch.setattr(policies, "LONGEST_DELAY", timedelta(milliseconds=100))
    async with open_service(settings, temporal_address) as service:
        yield service


@pytest.fixture
async def elsewhere(here: Service, temporal_address: str) -> AsyncIterator[Service]:
    """The same service with another prefix in the bucket."""
    async with open_service(
        here.settings.model_copy(update={"s3_prefix": f"{here.settings.s3_prefix}elsewhere/"}),
        temporal_address,
    ) as service:
        yield service


def _taking(service: Service, what: str) -> Service:
    changed = service.settings.model_copy(update={"worker_takes": what})
    return replace(service, settings=changed)


def _names_the_setting(task: ExportTask) -> None:
    assert (task.status, task.retries) == (TaskStatus.FAILED, 0)
    assert task.error is not None
    assert task.error.code == "E_STORE_DIFFERS"
    assert DIFFERS in task.error.msg


async def test_of_many_exports_each_has_all_its_rows_or_a_code(
    here: Service, elsewhere: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 4)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 25)
    first, hour = datetime(2026, 10, 1, tzinfo=UTC), timedelta(hours=1)
    await here.database["orders"].insert_many(
        [{"uid": f"u{row}", "createdAt": first + row * hour} for row in range(ROWS)]
    )
    async with working(here), working(elsewhere):
        asked = [await here.create("recordsDetail", params=THREE_DAYS) for _ in range(8)]
        ended = [await here.ended(task.id) for task in asked]
    assert TaskStatus.DONE in {task.status for task in ended}
    for task in ended:
        if task.status is TaskStatus.DONE:
            assert task.retries == 0
            assert len(downloaded(task.download_url).splitlines()) == 1 + ROWS
        else:
            _names_the_setting(task)


@contextmanager
def _writeback_held() -> Generator[asyncio.Event]:
    held, done = Held(), RunTransitions.done

    async def wait(self: RunTransitions, *given: Any, **named: Any) -> Any:
        await held.wait()
        return await done(self, *given, **named)

    with patch.object(RunTransitions, "done", wait):
        yield held.reached


@contextmanager
def _reading_held() -> Generator[asyncio.Event]:
    with reading_held() as held:
        yield held.reached


@pytest.mark.parametrize(
    "held",
    [_reading_held, upload_held, _writeback_held],
    ids=["aggregate", "upload", "writeback"],
)
async def test_an_export_whose_workers_were_replaced_is_made_again_in_the_new_store(
    here: Service,
    elsewhere: Service,
    held: Callable[[], AbstractContextManager[asyncio.Event]],
) -> None:
    await insert_orders(here.database)
    with held() as reached:
        async with working(without_grace(here)):
            task = await here.create()
            await reached.wait()
    async with working(elsewhere):
        ended = await here.ended(task.id)
        await here.run_of(task.id).result()
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
    assert len(downloaded(ended.download_url).splitlines()) == 1 + 3
    assert elsewhere.keys() == [(await here.document(task.id))["objectKey"]]


async def test_an_export_that_was_done_when_its_workers_were_replaced_stays_done(
    here: Service, elsewhere: Service
) -> None:
    await insert_orders(here.database)
    with answer_to_done_lost() as written:
        async with working(without_grace(here)):
            task = await here.create()
            await written.wait()
    before = await here.document(task.id)
    async with working(elsewhere):
        result = await here.run_of(task.id).result()
    assert result["status"] == "done"
    assert await here.document(task.id) == before
    assert downloaded(before["downloadUrl"])


@protected_by("workflows/policies.py", ", *LEFT_TO_OTHERS")
@protected_by("activities/attempts.py", "self._store.check_is(ref.store)", instead="pass")
async def test_a_worker_of_another_store_leaves_a_step_to_others_and_no_attempt_is_counted(
    here: Service, elsewhere: Service, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MOST_WORKERS_THAT_DIFFER", 1_000_000)
    await insert_orders(here.database)
    async with working(_taking(here, "small")), working(_taking(elsewhere, "bulk")):
        task = await here.create("recordsDetail", params=OCTOBER)
        await _until_refused(here, task.id, "aggregate")
        async with (
            open_service(_taking(here, "bulk").settings, temporal_address) as third,
            working(third),
        ):
            ended = await here.ended(task.id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
    assert len(downloaded(ended.download_url).splitlines()) == 1 + 3
    attempts = await attempts_of(here, task.id)
    assert [each.number for each in attempts] == [1] * len(attempts)
    assert [each.step for each in attempts].count("claim") == 1


async def test_workers_that_never_agree_make_an_export_fail_and_the_setting_is_named(
    here: Service, elsewhere: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_PLANS", 2)
    await insert_orders(here.database)
    async with working(_taking(here, "small")), working(_taking(elsewhere, "bulk")):
        task = await here.create("recordsDetail", params=OCTOBER)
        ended = await here.ended(task.id)
    _names_the_setting(ended)
    assert here.settings.s3_prefix not in str(ended.error)
    assert here.keys() == elsewhere.keys() == []


@protected_by("activities/cleanup.py", "self._store.check_is(task.store)", instead="pass")
async def test_a_clean_up_is_left_to_a_worker_that_can_see_what_there_is(
    here: Service, elsewhere: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_ever = replace(
        policies.CLEANUP, initial_interval=timedelta(milliseconds=50), maximum_attempts=0
    )
    monkeypatch.setattr(policies, "CLEANUP", for_ever)
    await insert_orders(here.database)
    with upload_held() as reached:
        async with working(without_grace(here)):
            task = await here.create()
            await reached.wait()
    assert here.keys() != []
    await here.run_of(task.id).signal("cancel")
    async with working(elsewhere):
        await _until_retried(here, task.id, "discard")
        async with working(here):
            await closed(here.run_of(task.id))
    assert (await here.ended(task.id)).status is TaskStatus.CANCELLED
    assert here.keys() == []


async def test_a_file_that_another_sweep_did_not_find_is_removed_by_the_next_one_that_can(
    here: Service, elsewhere: Service
) -> None:
    await insert_orders(here.database)
    async with working(here):
        task = await here.exported()
        await here.run_of(task.id).result()
    await here.database["ExportTasks"].update_one({}, {"$set": {"purgeAt": now_ms() - 1}})
    async with working(elsewhere):
        await here.client.sweep()
    assert (await here.ended(task.id)).status is TaskStatus.EXPIRED
    assert len(here.keys()) == 1
    async with working(here):
        await here.client.sweep()
    assert here.keys() == []


async def test_who_renews_a_link_with_another_store_is_not_told_that_the_file_was_removed(
    here: Service, elsewhere: Service
) -> None:
    await insert_orders(here.database)
    async with working(here):
        task = await here.exported()
    with pytest.raises(StoreDiffersError, match=DIFFERS):
        await elsewhere.client.renew(task.id, created_by=USER)
    renewed = await here.client.renew(task.id, created_by=USER)
    assert downloaded(renewed.download_url)


async def _until_refused(service: Service, task_id: str, step: str) -> None:
    async with asyncio.timeout(150):
        while (step, "E_STORE_DIFFERS") not in {
            (each.step, each.outcome) for each in await attempts_of(service, task_id)
        }:
            await asyncio.sleep(0.05)


async def _until_retried(service: Service, task_id: str, step: str) -> None:
    async with asyncio.timeout(150):
        while not any(
            pending.activity_type.name == step and pending.attempt > 1
            for pending in (
                await service.run_of(task_id).describe()
            ).raw_description.pending_activities
        ):
            await asyncio.sleep(0.05)

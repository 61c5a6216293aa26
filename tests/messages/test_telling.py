"""Whoever asked for an export is told how it ended, by the channels that they want."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from exports import names
from exports.clock import now_ms
from exports.errors import (
    ChannelError,
)
from exports.messages import handover
from exports.messages.message import Event, Problem
from exports.models import TaskStatus
from exports.settings import Settings
from tests.support.recording import reading_held
from tests.support.service import MONTH, USER, Service, insert_orders, open_service, working
from tests.support.stored_tasks import insert_task
from tests.support.told import Told, register


async def test_who_asked_is_told_what_there_is_and_where(
    settings: Settings, temporal_address: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, told)
    public = settings.model_copy(update={"public_url": "https://exports.example.com/"})
    async with open_service(public, temporal_address) as service:
        await insert_orders(service.database)
        async with working(service, channels={"told": told}):
            task = await service.exported(notify=["told"])
            said = await told.next()
    assert (said.event, said.created_by, said.subject) == (Event.DONE, USER, None)
    assert said.export is not None
    assert said.export.model_dump(by_alias=False, exclude={"error", "recurring"}) == {
        "id": task.id,
        "type": "statsMonthly",
        "period": "2026-10",
        "format": "csv",
        "status": TaskStatus.DONE,
        "file_name": task.file_name,
        "rows": task.rows,
        "bytes": task.bytes,
        "file_url": f"https://exports.example.com/exports/{task.id}/file",
        "expires_at": task.purge_at,
    }
    assert said.at == task.finished_at
    assert "X-Amz" not in said.model_dump_json()


async def test_who_has_not_chosen_to_be_told_costs_nothing(
    at_work: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        pytest.fail("There is nobody to tell.")

    monkeypatch.setattr(handover.Messenger, "hand_over_now", never)
    choices: list[list[str] | None] = [None, []]
    for notify in choices:
        task = await at_work.exported(force=True, notify=notify)
        await at_work.run_of(task.id).result()
        assert task.status is TaskStatus.DONE
        assert "outbox" not in await at_work.document(task.id)


async def test_what_another_system_stored_of_a_person_fails_no_export(at_work: Service) -> None:
    await at_work.database[names.PEOPLE_COLLECTION].insert_one({"_id": USER, "notify": "email"})
    task = await at_work.exported()
    assert (task.status, task.retries) == (TaskStatus.DONE, 0)


async def test_who_joins_an_export_that_tells_nobody_by_default_is_told(
    settings: Settings, temporal_address: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, told)
    joining = settings.model_copy(update={"join_within": timedelta(minutes=10)})
    async with open_service(joining, temporal_address) as service:
        await insert_orders(service.database)
        with reading_held() as held:
            async with working(service, channels={"told": told}):
                task = await service.create()
                await held.reached.wait()
                assert (await service.create(notify=["told"])).id == task.id
                held.released.set()
                said = await told.next()
    assert said.export is not None
    assert said.export.id == task.id


async def test_who_asked_is_told_that_it_failed_and_why(at_work: Service, told: Told) -> None:
    task_id = await insert_task(at_work, params={"year": 1}, notify=["told"])
    await at_work.client.sweep()
    said = await told.next()
    task = await at_work.ended(task_id)
    assert (said.event, said.at) == (Event.FAILED, task.finished_at)
    assert said.export is not None
    assert task.error is not None
    assert said.export.error == Problem(code=task.error.code, msg=task.error.msg)
    assert (said.export.period, said.export.file_url) == (None, None)


async def test_who_asked_is_told_that_it_was_cancelled(at_work: Service, told: Told) -> None:
    with reading_held() as held:
        task = await at_work.create(notify=["told"])
        await held.reached.wait()
        await at_work.client.cancel(task.id, created_by=USER)
    assert (await told.next()).event is Event.CANCELLED


async def test_a_task_that_no_run_has_taken_is_told_of_by_the_next_sweep(
    at_work: Service, told: Told
) -> None:
    task_id = await insert_task(at_work, nextRunAt=now_ms() + 3_600_000, notify=["told"])
    await at_work.client.cancel(task_id, created_by=USER)
    assert not told.got
    await at_work.client.sweep()
    assert (await told.next()).event is Event.CANCELLED
    await at_work.client.sweep()
    assert len(await at_work.client.deliveries.list(created_by=None)) == 1


async def test_a_person_is_told_as_they_have_chosen_unless_a_request_says_otherwise(
    at_work: Service,
) -> None:
    choice = await at_work.client.choose_notify(["other"], created_by=USER)
    assert (choice.notify, choice.available) == (["other"], ["told", "other"])
    assert await at_work.client.notify_choice(created_by=USER) == choice
    first = await at_work.exported()
    assert await _told(at_work, first.id) == ["other"]
    second = await at_work.exported(notify=["told"])
    assert await _told(at_work, second.id) == ["told"]
    both = await at_work.exported(notify=["told", "default"])
    assert await _told(at_work, both.id) == ["other", "told"]
    nobody = await at_work.exported(notify=[])
    assert await _told(at_work, nobody.id) == []


async def _told(service: Service, task_id: str) -> list[str]:
    await service.run_of(task_id).result()
    found = await service.client.deliveries.list(created_by=USER, task_id=task_id)
    return sorted(delivery.channel for delivery in found)


@pytest.mark.parametrize(
    ("first", "second", "union"),
    [
        (None, None, None),
        (["told"], ["other"], ["told", "other"]),
        (None, ["told"], ["default", "told"]),
        ([], None, ["default"]),
        (["told"], ["told"], ["told"]),
    ],
)
async def test_to_join_an_export_adds_channels(
    settings: Settings,
    temporal_address: str,
    told: Told,
    other: Told,
    monkeypatch: pytest.MonkeyPatch,
    first: Sequence[str] | None,
    second: Sequence[str] | None,
    union: list[str] | None,
) -> None:
    register(monkeypatch, told, other)
    joining = settings.model_copy(update={"join_within": timedelta(minutes=10)})
    async with open_service(joining, temporal_address) as service:
        task = await service.create(notify=first)
        joined = await service.create(notify=second)
        assert (joined.id, joined.joined, joined.notify) == (task.id, True, union)
        assert (await service.client.get(task.id, created_by=USER)).notify == union


async def test_a_workflow_that_is_started_directly_names_channels_too(
    at_work: Service, told: Told
) -> None:
    request = {"type": "statsMonthly", "params": MONTH, "createdBy": USER, "notify": ["told"]}
    workflow = f"export-{at_work.settings.task_queue}"
    await _start(at_work, workflow, request)
    said = await told.next()
    assert said.export is not None
    assert said.export.id == names.task_id_of(workflow)
    with pytest.raises(WorkflowFailureError) as failed:
        await _start(at_work, f"{workflow}-2", {**request, "notify": ["pigeon"]})
    assert getattr(failed.value.cause, "type", None) == "E_CHANNEL"


async def _start(service: Service, workflow: str, request: dict[str, Any]) -> None:
    await service.temporal.execute_workflow(
        names.EXPORT_WORKFLOW, request, id=workflow, task_queue=service.settings.task_queue
    )


async def test_a_channel_that_does_not_exist_or_is_not_configured_is_refused(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, told, missing="EXPORTS_SMTP_HOST")
    client = idle_service.client

    async def request(channels: list[str]) -> object:
        return await idle_service.create(notify=channels)

    async def choose(channels: list[str]) -> object:
        return await client.choose_notify(channels, created_by=USER)

    async def estimate(channels: list[str]) -> object:
        return await client.estimate("statsMonthly", MONTH, created_by=USER, notify=channels)

    for ask in (request, choose, estimate):
        with pytest.raises(ChannelError, match=r"There is no such channel; there are: told\."):
            await ask(["pigeon"])
        with pytest.raises(ChannelError, match="lacks EXPORTS_SMTP_HOST"):
            await ask(["told"])
    assert (await client.notify_choice(created_by=USER)).available == []
    assert await client.list(created_by=None) == []

"""What there is to tell is handed over by exports and sweeps, and nothing holds it up."""

import asyncio
from typing import Any

import pytest
from temporalio.common import RetryPolicy

from exports import names
from exports.clock import now_ms
from exports.errors import (
    ChannelError,
    DatabaseUnavailableError,
    ExportError,
    StoreUnavailableError,
    TemporalRefusedError,
)
from exports.messages import handover
from exports.messages.channel import Address
from exports.messages.message import Event, Message
from exports.messages.notices import notice
from exports.models import TaskStatus
from exports.storage.bucket import ObjectStore
from exports.tasks.outbox import Outbox
from exports.tasks.sweep import SweepStore
from tests.support.service import USER, Service, insert_orders, working
from tests.support.stored_tasks import insert_task
from tests.support.told import Told, message, messenger, register
from workflows import policies


async def test_a_reminder_comes_once_in_the_last_quarter(at_work: Service, told: Told) -> None:
    task = await at_work.exported(notify=["told"])
    await told.next()
    await at_work.client.sweep()
    assert len(told.got) == 1
    await at_work.database["ExportTasks"].update_one({}, {"$set": {"remindAt": now_ms()}})
    for _ in range(2):
        await at_work.client.sweep()
    said = await told.next(2)
    assert (said.event, len(told.got)) == (Event.EXPIRING, 2)
    assert said.export is not None
    assert (said.export.id, said.export.expires_at) == (task.id, task.purge_at)


async def test_notices_of_other_documents_are_handed_over_by_the_sweep(
    at_work: Service, told: Told
) -> None:
    what = message(event=Event.WEBHOOK_DISABLED)
    webhooks = at_work.database[names.WEBHOOKS_COLLECTION]
    await webhooks.insert_one({"_id": "w1"})
    change = {"$set": {"enabled": False}, "$push": notice(what, ["told"])}
    await webhooks.update_one({"_id": "w1"}, change)
    await at_work.client.sweep()
    assert await told.next() == what
    assert await webhooks.find_one({}) == {"_id": "w1", "enabled": False, "outbox": []}


async def test_a_notice_that_can_not_be_read_holds_up_no_other(
    idle_service: Service, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    what = message()
    recurring = idle_service.database[names.RECURRING_COLLECTION]
    odd: list[object] = [[{"id": "x", "message": 7}], {"id": "x"}, [{"id": "x"}, "y"]]
    await recurring.insert_many(
        [{"_id": f"odd{at}", "outbox": item} for at, item in enumerate(odd)]
    )
    await recurring.insert_one(
        {"_id": "r1", "outbox": [{"id": "x"}, notice(what, ["told"])["outbox"]]}
    )
    assert await messenger(idle_service, told).sweep() == 1
    [delivery] = await idle_service.client.deliveries.list(created_by=USER)
    assert delivery.id == names.delivery_id(what.id, "told", "first")
    assert (await recurring.find_one({"_id": "r1"}) or {})["outbox"] == [{"id": "x"}]
    assert f"A notice in {names.RECURRING_COLLECTION}, odd0, can't be read" in caplog.text


async def test_a_file_that_nobody_can_be_reminded_of_holds_up_no_other(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = {"status": "done", "notify": ["told"], "remindAt": 1}
    first, second = [await insert_task(idle_service, **due) for _ in range(2)]
    remind = Outbox.remind

    async def sometimes(self: Outbox, document: dict[str, Any], now: int) -> Any:
        if str(document["_id"]) == first:
            raise DatabaseUnavailableError("It is away.")
        return await remind(self, document, now)

    monkeypatch.setattr(Outbox, "remind", sometimes)
    with pytest.raises(DatabaseUnavailableError):
        await messenger(idle_service, told).sweep()
    [delivery] = await idle_service.client.deliveries.list(created_by=None)
    assert (delivery.task_id, delivery.event) == (second, Event.EXPIRING)
    assert (delivery.type, delivery.period) == ("statsMonthly", "2026-10")


@pytest.mark.parametrize(
    ("where", "what", "error"),
    [
        (ObjectStore, "open_uploads", StoreUnavailableError("It is away.")),
        (SweepStore, "due", TemporalRefusedError("It refuses.")),
    ],
    ids=["the bucket", "what is due"],
)
async def test_messages_do_not_wait_for_what_else_a_sweep_does(
    at_work: Service,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    where: type,
    what: str,
    error: ExportError,
) -> None:
    def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(where, what, away)
    monkeypatch.setattr(policies, "SWEEP", RetryPolicy(maximum_attempts=1))
    task_id = await insert_task(at_work, nextRunAt=now_ms() + 3_600_000, notify=["told"])
    await at_work.client.cancel(task_id, created_by=USER)
    with pytest.raises(type(error), match="The sweep failed"):
        await at_work.client.sweep()
    assert (await told.next()).event is Event.CANCELLED


async def test_an_export_does_not_wait_long_for_a_channel_and_has_cleaned_up_before(
    at_work: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[list[str]] = []

    async def silent(*_: object) -> list[Address]:
        staged.append([item.key for item in at_work.store.objects(names.STAGING)])
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(handover, "_WITHIN", 0.05)
    monkeypatch.setattr(Told, "addresses", silent)
    task = await at_work.exported(notify=["told"])
    await at_work.run_of(task.id).result()
    assert staged == [[]]
    assert len((await at_work.document(task.id))["outbox"]) == 1, "the sweep hands it over"


async def test_a_message_waits_a_day_for_a_worker_that_has_its_channel(
    idle_service: Service, told: Told, other: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, told, other)
    day = 24 * 60 * 60 * 1000
    named = {"told": "two", "other": "one", "pigeon": "none"}
    for name in named:
        await idle_service.client.choose_notify(["told"], created_by=USER)
        for at in (now_ms() - day // 2, now_ms() - 2 * day):
            entry = {"id": f"{name} {at}", "event": "export.done", "at": at}
            fields = {"status": "done", "notify": [name, "default"], "outbox": [entry]}
            await insert_task(idle_service, **fields)

    async def left() -> int:
        documents = idle_service.database["ExportTasks"]
        return await documents.count_documents({"outbox.id": {"$gt": ""}})

    await messenger(idle_service, other).sweep()
    assert await left() == len(named), "those of two days ago were dropped"
    assert len(await idle_service.client.deliveries.list(created_by=USER)) == 2
    await messenger(idle_service, told, other).sweep()
    assert await left() == 0
    assert len(await idle_service.client.deliveries.list(created_by=USER)) == 2 + len(named)


async def test_what_another_system_stored_is_short_in_a_message(
    idle_service: Service, told: Told
) -> None:
    entry = {"id": "x", "event": "export.done", "at": 1}
    long = dict.fromkeys(("type", "format", "fileName", "recurring"), "x" * 100_000)
    await insert_task(idle_service, status="done", notify=["told"], outbox=[entry], **long)
    await messenger(idle_service, told).sweep()
    [stored] = await idle_service.database[names.DELIVERIES_COLLECTION].find().to_list()
    assert len(str(stored["message"])) < 2000


async def test_a_channel_that_can_not_say_where_holds_up_no_other_and_is_asked_again(
    idle_service: Service, told: Told, other: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, told, other)
    await insert_orders(idle_service.database)
    addresses, broken = Told.addresses, [ChannelError("It is broken.")]

    async def sometimes(self: Told, uid: str, message: Message) -> Any:
        if self is told and broken:
            raise broken[0]
        return await addresses(self, uid, message)

    monkeypatch.setattr(Told, "addresses", sometimes)
    async with working(idle_service, channels={"told": told, "other": other}):
        task = await idle_service.exported(notify=["told", "other"])
        assert task.status is TaskStatus.DONE, "a message never changes how an export ends"
        await other.next()
        assert not told.got
        broken.clear()
        await idle_service.client.sweep()
        await told.next()
    assert (await idle_service.document(task.id))["outbox"] == []
    assert len(other.got) == 1


async def test_a_document_of_another_system_tells_its_owner_alone(
    at_work: Service, told: Told
) -> None:
    await at_work.client.choose_notify(["told"], created_by=USER)
    entry = {"id": "x", "event": "export.done", "at": 1}
    odd: list[dict[str, Any]] = [
        {"createdBy": [USER]},
        {"createdBy": None},
        {"createdBy": "x" * 201},
        {"_id": "y" * 5000},
        {"outbox": [{**entry, "event": "webhook.test"}]},
        {"outbox": [{**entry, "event": {"$gt": ""}}]},
        {"outbox": [{**entry, "at": "now"}, {"id": 7}, "x"]},
    ]
    for number, changes in enumerate(odd):
        fields = {"outbox": [{**entry, "id": str(number)}], **changes}
        await insert_task(at_work, status="done", **fields)
    await messenger(at_work, told).sweep()
    assert await at_work.client.deliveries.list(created_by=None) == []
    left = at_work.database["ExportTasks"].find({"outbox.id": {"$gt": ""}})
    assert await left.to_list() == [], "no sweep looks at it again"

"""What is to be told is stored by the very update that moves the task."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from exports.clock import now_ms
from exports.errors import TaskLostError
from exports.messages.message import Event
from exports.tasks.audit import entries_of
from exports.tasks.outbox import EXPIRING, Outbox, OutboxEntry
from tests.support.protections import protected_by
from tests.support.sent_commands import SentCommands
from tests.support.task_steps import FILE, LATER, ME, TRANSITIONS, WHY, Tasks, claimed, insert

End = Callable[[Tasks], Awaitable[object]]


async def _closed(tasks: Tasks) -> bool:
    document = await tasks.collection.find("t1")
    return await tasks.sweep.close_failed(document or {}, WHY)


BY_RUNS: dict[str, End] = {
    "done": lambda tasks: TRANSITIONS["done"](tasks.run, ME),
    "failed": lambda tasks: TRANSITIONS["failed"](tasks.run, ME),
    "cancelled": lambda tasks: TRANSITIONS["cancelled"](tasks.run, ME),
}
ENDS: dict[str, End] = {
    **BY_RUNS,
    "cancelled by a client": lambda tasks: tasks.client.close_cancelled(
        "t1", reason="", asked_by="u1"
    ),
    "failed by the sweep": _closed,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_one_update_moves_a_task_and_stores_what_is_to_be_told(
    mongo_uri: str, mongo_database: AsyncDatabase[dict[str, Any]], end: End
) -> None:
    sent = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[sent]) as client:
        database = client[mongo_database.name]
        tasks, collection = Tasks(database), database["ExportTasks"]
        await claimed(tasks, collection)
        sent.sent.clear()
        await end(tasks)
        [command] = [command for command in sent.sent if "updates" in command]
    [update] = [update["u"] for update in command["updates"]]
    [status] = [update["$set"]["status"]]
    document = await mongo_database["ExportTasks"].find_one({}) or {}
    [entry] = OutboxEntry.all_of(document)
    assert update["$push"]["outbox"]["id"] == entry.id
    assert entry.event == f"export.{status}" == Event(entry.event)
    assert entry.at == document["finishedAt"]
    assert (entry.error == WHY) is (status == "failed")


@pytest.mark.parametrize("end", BY_RUNS.values(), ids=BY_RUNS.keys())
async def test_an_end_that_is_written_twice_is_told_once(
    tasks: Tasks, collection: Any, end: End
) -> None:
    await claimed(tasks, collection)
    for _ in range(2):
        await end(tasks)
    assert len(OutboxEntry.all_of(await collection.find_one({}))) == 1
    with pytest.raises(TaskLostError):
        await TRANSITIONS["failed"](tasks.run, LATER)
    assert len(OutboxEntry.all_of(await collection.find_one({}))) == 1


async def test_a_second_failure_after_a_retry_by_hand_is_another_message(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    await tasks.run.failed(ME, WHY)
    task = await tasks.client.get("t1", created_by="u1")
    assert await tasks.asked.reset(task, asked_by="u1")
    assert await tasks.run.claim(LATER, run_started_at=200)
    await tasks.run.failed(LATER, WHY)
    first, second = OutboxEntry.all_of(await collection.find_one({}))
    assert (first.event, second.event) == ("export.failed", "export.failed")
    assert first.id != second.id


@protected_by(
    "exports/tasks/collection.py", 'if OUTBOX in update.get("$push", {}):', instead="if False:"
)
@pytest.mark.parametrize("audit", [[], "rubbish", None, {"499": 1}], ids=str)
@pytest.mark.parametrize("outbox", [[], ["rubbish", {"id": 7}], "rubbish", None, {"a": 1}], ids=str)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_whatever_another_system_stored_there_the_task_ends_and_is_told_of(
    tasks: Tasks, collection: Any, end: End, outbox: object, audit: object
) -> None:
    await claimed(tasks, collection)
    await collection.update_one({}, {"$set": {"outbox": outbox, "audit": audit}})
    await end(tasks)
    document = await collection.find_one({})
    assert document["status"] in ("done", "failed", "cancelled")
    [entry] = OutboxEntry.all_of(document)
    assert entry.event == f"export.{document['status']}"
    if isinstance(audit, list):
        assert entries_of(document)[-1].did == document["status"]
    else:
        assert document["audit"] == audit, "that of another system stays as it is"


async def _remind(outbox: Outbox, now: int) -> None:
    async for page in outbox.to_remind(now):
        for document in page:
            await outbox.remind(document, now)
            assert await outbox.remind(document, now) is None, "once, whoever else does it"


async def test_a_reminder_is_stored_once_in_the_last_quarter_of_the_retention(
    tasks: Tasks, collection: Any
) -> None:
    outbox = Outbox(tasks.collection)
    await claimed(tasks, collection)
    now = now_ms()
    await tasks.run.done(ME, FILE, url="https://1", expires_at=now, purge_at=now + 4_000_000)
    finished = (await collection.find_one({}))["finishedAt"]
    quarter = (now + 4_000_000 - finished) // 4
    await _remind(outbox, now + 4_000_000 - quarter - 1)
    assert [entry.event for entry in OutboxEntry.all_of(await collection.find_one({}))] == [
        "export.done"
    ]
    for _ in range(2):
        await _remind(outbox, now + 4_000_000 - quarter)
    assert [entry.event for entry in OutboxEntry.all_of(await collection.find_one({}))] == [
        "export.done",
        EXPIRING,
    ]


async def test_nobody_is_reminded_of_a_file_that_has_gone(tasks: Tasks, collection: Any) -> None:
    await insert(collection, status="expired", remindAt=1, runId="run-1")
    await _remind(Outbox(tasks.collection), now_ms())
    assert "outbox" not in await collection.find_one({})

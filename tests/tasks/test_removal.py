"""How long a task is kept: 90 days after its end, or as the setting says, and never too short."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from exports.clock import from_epoch_ms, now_ms
from exports.errors import QuotaError
from exports.models import TaskStatus
from exports.tasks.indexes import task_indexes
from exports.tasks.quotas import Limit
from exports.tasks.scheduled import ScheduledStore
from tests.support.task_steps import ME, REQUEST, WHY, Tasks, claimed, done, insert

Database = AsyncDatabase[dict[str, Any]]
DAY: Final = timedelta(days=1)


async def _scheduled(tasks: Tasks, _: dict[str, Any]) -> None:
    with pytest.raises(QuotaError):
        await ScheduledStore(tasks.collection).create(
            REQUEST, "t2", limits=[Limit("open", None, 0)]
        )


ENDS: dict[str, Callable[[Tasks, dict[str, Any]], Awaitable[object]]] = {
    "failed": lambda tasks, _: tasks.run.failed(ME, WHY),
    "cancelled": lambda tasks, _: tasks.run.cancelled(ME, "enough"),
    "failed by the sweep": lambda tasks, it: tasks.sweep.close_failed(it, WHY),
    "cancelled by the sweep": lambda tasks, it: tasks.sweep.close_cancelled(it),
    "cancelled by its person": lambda tasks, it: tasks.client.close_cancelled(
        it["_id"], reason="", asked_by="u1"
    ),
    "failed because of a quota": _scheduled,
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_task_that_ends_is_removed_ninety_days_later(
    tasks: Tasks, collection: Any, how: str
) -> None:
    await ENDS[how](tasks, await claimed(tasks, collection))
    ended = await collection.find_one({"finishedAt": {"$exists": True}})
    assert ended["removeAt"].replace(tzinfo=UTC) == from_epoch_ms(ended["finishedAt"]) + 90 * DAY


async def test_a_task_that_is_done_is_kept_until_its_file_has_been_removed(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    await done(tasks.run, ME)
    document = await collection.find_one({})
    assert (document["status"], "removeAt" in document) == ("done", False)
    await tasks.sweep.expire(document)
    document = await collection.find_one({})
    assert document["removeAt"].replace(tzinfo=UTC) == (
        from_epoch_ms(document["finishedAt"]) + 90 * DAY
    )


@pytest.mark.parametrize(
    "finished", [0, 1.5, None, -5, 2**62, float("nan"), "soon", datetime(2026, 1, 1, tzinfo=UTC)]
)
async def test_a_file_that_is_removed_late_leaves_its_task_for_a_day_more(
    tasks: Tasks, collection: Any, finished: object
) -> None:
    document = await insert(collection, status="done", finishedAt=finished)
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert await tasks.sweep.expire(document)
    document = await collection.find_one({})
    assert before + DAY <= document["removeAt"].replace(tzinfo=UTC)


async def test_a_task_that_runs_again_is_not_removed(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    await tasks.run.failed(ME, WHY)
    failed = await tasks.client.get("t1", created_by="u1")
    assert await tasks.asked.reset(failed, asked_by="u1") is not None
    assert "removeAt" not in await collection.find_one({})
    # Another system may set it back as well.
    await collection.update_one({}, {"$set": {"removeAt": datetime.now(UTC)}})
    assert await tasks.run.claim(ME, run_started_at=200) is not None
    assert "removeAt" not in await collection.find_one({})
    # A retry and a claim of an older release leave it.
    await collection.update_one({}, {"$set": {"removeAt": datetime.now(UTC)}})
    await done(tasks.run, ME)
    assert "removeAt" not in await collection.find_one({})


async def test_tasks_are_kept_for_ever_if_the_setting_says_so(
    mongo_database: Database, collection: Any
) -> None:
    tasks = Tasks(mongo_database, kept=timedelta(0))
    await claimed(tasks, collection)
    await tasks.run.failed(ME, WHY)
    assert "removeAt" not in await collection.find_one({})


async def test_the_database_removes_only_tasks_whose_time_is_over(
    tasks: Tasks, mongo_database: Database, collection: Any
) -> None:
    await task_indexes(tasks.collection).ensure()
    over, now = datetime.now(UTC) - DAY, now_ms()
    key = str(ObjectId())
    first = await tasks.asked.create(REQUEST, task_id=key)
    await collection.update_one({}, {"$set": {"status": "failed", "removeAt": over}})
    for kept in (
        {"_id": "old", "status": "failed", "finishedAt": 5},  # from before there was the field
        {"_id": "later", "status": "failed", "removeAt": over + 2 * DAY},
        {"_id": "a number", "status": "done", "removeAt": now - 90 * 86_400_000},
        {"_id": "open", "status": "running"},
    ):
        await insert(collection, **kept)
    # What a real server does by itself every minute.
    await mongo_database.client.admin.command("secantusAdmin.pruneTtl")
    left = {item["_id"] for item in await collection.find().to_list()}
    assert left == {"a number", "later", "old", "open"}
    # An idempotency key lives as long as its task.
    again = await tasks.asked.create(REQUEST, task_id=key)
    assert (again.id, again.joined, again.status) == (first.id, False, TaskStatus.PENDING)

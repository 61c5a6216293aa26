"""With ten million tasks: each query has an index that leads to little else, and a time limit.

The embedded server does not tell what a real one would do, so the shape of each query that is sent
is compared with the indexes that there are: see `tests.support.index_rule`.
"""

from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from typing import Any, Final

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from exports.clock import now_ms
from exports.documents import PAGES_TIMEOUT, READ_TIMEOUT
from exports.encryption.keys import EncryptionKeys
from exports.encryption.sealed import Safe
from exports.errors import ExportError
from exports.messages.deliveries import DeliveryStore
from exports.messages.people import PeopleStore
from exports.messages.webhook.store import WebhookStore
from exports.messages.wechat.grants import WechatGrants
from exports.models import TaskStatus
from exports.recurring.store import RecurringStore
from exports.tasks.asking import Joining
from exports.tasks.feed import TaskFeed
from exports.tasks.indexes import INDEXES, task_indexes
from exports.tasks.listing import Place, Wanted, parts
from exports.tasks.outbox import Outbox
from exports.tasks.quotas import Limit
from exports.tasks.scheduled import ScheduledStore
from exports.tokens import TokenStore
from exports.watcher.lease import Lease
from tests.support.index_rule import Index, served
from tests.support.sent_commands import SentCommands
from tests.support.task_steps import ME, REQUEST, TRANSITIONS, WHY, Tasks, done, insert

Database = AsyncDatabase[dict[str, Any]]
TEXT_ID = "6720c1f0a1b2c3d4e5f60718"
LIMITS: Final = [Limit("open", None, 2), Limit("day", "statsMonthly", 9)]
DELIVERY: Final[dict[str, Any]] = {
    "_id": "d1",
    "taskId": "t1",
    "event": "export.done",
    "channel": "email",
    "address": "a",
    "status": "pending",
    "createdBy": "u1",
    "createdAt": 1,
    "updatedAt": 1,
    "attempts": [],
}
INDEXED: Final = [
    Index([*index.document["key"].items()], index.document.get("partialFilterExpression", {}))
    for index in INDEXES
]


async def _ask_everything(tasks: Tasks, collection: Any) -> None:
    """Call all that reads or changes tasks at least once."""
    await task_indexes(tasks.collection).ensure()
    joining = Joining("k", 1000)
    asked = [
        await tasks.asked.create(REQUEST, joining=joining, limits=LIMITS, force=True)
        for _ in range(2)
    ]
    await tasks.asked.create(REQUEST, joining=joining, task_id=str(ObjectId()))
    await tasks.asked.joinable(REQUEST, task_id=str(ObjectId()), joining=joining)
    await tasks.asked.end_joining(asked[0].id)
    with suppress(ExportError):
        await ScheduledStore(tasks.collection).create(REQUEST, "planned", limits=LIMITS)
    await collection.update_many({}, {"$set": {"status": "failed"}})  # frees slots
    await tasks.asked.create(REQUEST, limits=LIMITS)
    await tasks.run.create_for_run(REQUEST, ME)
    await tasks.run.claim(ME, run_started_at=100)
    for name in ("planned", "attempt started", "progress", "attempt failed"):
        await TRANSITIONS[name](tasks.run, ME)
    await done(tasks.run, ME)
    task = await tasks.client.get("t1", created_by="u1")
    await tasks.client.renew(task, url="https://2", expires_at=1, asked_by="u1")
    await tasks.client.downloaded(task, until=1, asked_by="u1")
    await tasks.client.audit("t1", created_by=None)
    await tasks.client.expire(task, asked_by=None)
    for who, status in product(("u1", None), (None, TaskStatus.DONE, TaskStatus.FAILED)):
        await tasks.client.page(
            created_by=who, wanted=Wanted(status, recurring="r1" if status else None), limit=1
        )
    await insert(collection, _id=TEXT_ID)
    await tasks.client.close_cancelled(TEXT_ID, reason="", asked_by="u1")
    document = await insert(collection, _id="t3")
    await tasks.sweep.check_meant({**document, "_id": TEXT_ID})
    await tasks.sweep.count_start(document, 1)
    await tasks.sweep.is_unchanged(document)
    await tasks.sweep.close_failed(document, WHY)
    await tasks.sweep.owners(["t1", TEXT_ID])
    now, outbox = now_ms(), Outbox(tasks.collection)
    for pages in (
        *(tasks.sweep.due(now), tasks.sweep.due(now, ["t1"]), tasks.sweep.taken()),
        *(tasks.sweep.expired(now), outbox.left(), outbox.to_remind(now)),
    ):
        async for _ in pages:
            pass
    await outbox.remind({**document, "runId": None}, now)
    await outbox.handed_over(document, "m1")
    feed = TaskFeed(tasks.collection)
    for since, who in product((None, 5), ("u1", None)):
        async with (
            feed.listen(created_by=who, since=since),
            feed.listen(task_id="t1", created_by=None),
        ):
            await collection.find_one({})
            await feed._catch_up()  # noqa: SLF001 -- what a poll asks
    await feed.close()


async def test_every_query_has_an_index_and_a_time_limit_and_every_update_an_id(
    mongo_uri: str, mongo_database: Database
) -> None:
    commands = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[commands]) as client:
        await _ask_everything(Tasks(client[mongo_database.name]), mongo_database["ExportTasks"])
    reads = [command for command in commands.sent if "find" in command]
    assert len(reads) > 50
    await _check_reads(reads, mongo_database)
    for read in reads:
        # Of these, the embedded server tells the truth: it has no rule for the others.
        if not {"sort", "$or", "status"} & {*read, *read["filter"]}:
            plan = await mongo_database.command(
                "explain", {"find": read["find"], "filter": read["filter"]}
            )
            assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"]), read
    updates = [update for command in commands.sent for update in command.get("updates", ())]
    assert len(updates) > 20
    for update in updates:
        # What a router needs of one that changes one document of a sharded collection.
        stored_id = update["q"]["_id"]
        assert isinstance(stored_id, str | ObjectId) or {*stored_id} == {"$eq"}, update
        assert not update.get("multi"), update


async def _check_reads(reads: list[dict[str, Any]], database: Database) -> None:
    for read in reads:
        there = Index.all_of(await database[read["find"]].index_information())
        assert served(read["filter"], read.get("sort", {}), there), read
        assert read["maxTimeMS"] in (READ_TIMEOUT, PAGES_TIMEOUT), read
        assert read.get("allowDiskUse", False) is bool(read.get("sort")), read


async def test_so_has_every_query_of_what_belongs_to_messages_tokens_and_recurring_exports(
    mongo_uri: str, mongo_database: Database
) -> None:
    commands = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[commands]) as client:
        database = client[mongo_database.name]
        deliveries, recurring = DeliveryStore(database), RecurringStore(database)
        tokens, webhooks = (
            TokenStore(database),
            WebhookStore(database, Safe(EncryptionKeys.of(None), setting="s")),
        )
        grants = WechatGrants(database, {})
        for store in (deliveries, recurring, tokens, webhooks, grants):
            await store.indexes.ensure()
        await mongo_database["ExportDeliveries"].insert_one(DELIVERY)
        for who, task_id, after in product(("u1", None), ("t1", None), ("d1", None)):
            await deliveries.newest(created_by=who, task_id=task_id, after=after, limit=2)
        for who in ("u1", None):
            await recurring.list(created_by=who)
        await recurring.find("r1")
        await tokens.list()
        text, token = await tokens.create("u1")
        await tokens.find(text)
        await tokens.valid({token.id})
        await webhooks.all_of("u1")
        await grants.take("u1", "template", "d1")
        await Lease(database, "queue", "me").take()
        await PeopleStore(database).find("u1")
        counted = await grants.left("u1", "template")
    assert counted == 0
    reads = [command for command in commands.sent if "find" in command]
    assert len(reads) > 15
    await _check_reads(reads, mongo_database)
    [count] = [command for command in commands.sent if "aggregate" in command]
    assert count["maxTimeMS"] == READ_TIMEOUT


@pytest.mark.parametrize(
    ("query", "sort"),
    [
        ({"status": {"$in": ["done"]}, "createdAt": {"$not": {"$gte": 0}}}, {"_id": -1}),
        ({"createdAt": {"$not": {"$gte": 0}}, "_id": {"$type": ["objectId"]}}, {"_id": -1}),
        ({"status": {"$in": ["pending"]}}, {"createdAt": 1}),
        ({"$or": [{"status": "running"}, {"status": "pending"}]}, {"createdAt": 1}),
        ({"type": "statsMonthly"}, {"createdAt": -1, "_id": -1}),
    ],
)
def test_the_rule_refuses_what_sorts_in_memory_or_looks_at_all_tasks(
    query: dict[str, Any], sort: dict[str, int]
) -> None:
    newest = [("createdAt", -1), ("_id", -1)]
    before = [
        *([("_id", 1)], [("status", 1), ("nextRunAt", 1)], [("status", 1), ("purgeAt", 1)]),
        *([("createdBy", 1), *newest], newest, [("updatedAt", -1)]),
    ]
    assert not served(query, sort, [Index(keys, {}) for keys in before])


STATUSES = [None, *TaskStatus]
PLACES = [
    None,
    Place(0, 5, "t1"),
    Place(0, 5.5, ObjectId()),
    Place(1, datetime(2026, 10, 5, tzinfo=UTC), "t1"),
    Place(2, None, ObjectId()),
    Place(3, None, "t1"),
]


@pytest.mark.parametrize("status", STATUSES)
def test_every_part_of_every_list_has_an_index(status: TaskStatus | None) -> None:
    for who, place, times in product(("u1", None), PLACES, ((None, None), (5, None), (None, 9))):
        for part in parts(Wanted(status, None, "csv", None, *times), who, place):
            assert served(part.query, dict(part.sort), INDEXED), part

"""The audit record is true and complete, entries are only added, and its length is limited."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from exports import envelope, names
from exports.clock import now_ms
from exports.models import Author, AuthorRole, CancelRequest, TaskStatus
from exports.tasks.audit import MAX_ENTRIES, AuditAction, AuditEntry, entries_of, entry, stored
from exports.tasks.task import ExportTask
from tests.support.service import USER, Service, insert_orders, working
from tests.support.task_steps import (
    ENDED,
    FILE,
    LATER,
    ME,
    REQUEST,
    TRANSITIONS,
    WHY,
    Tasks,
    Transition,
    claimed,
    done,
    insert,
)

Database = AsyncDatabase[dict[str, Any]]
Step = Callable[[Tasks], Awaitable[object]]


@pytest.fixture
def tasks(mongo_database: Database) -> Tasks:
    return Tasks(mongo_database, origin="7@host")


@pytest.fixture
def collection(mongo_database: Database) -> Any:
    return mongo_database["ExportTasks"]


async def record(tasks: Tasks, task_id: str = "t1") -> list[AuditEntry]:
    return await tasks.client.audit(task_id, created_by=None)


async def actions(tasks: Tasks) -> list[str]:
    return [item.did.value for item in await record(tasks)]


async def stored_task(tasks: Tasks) -> ExportTask:
    return await tasks.client.get("t1", created_by=None)


async def _renewed(tasks: Tasks) -> object:
    return await tasks.client.renew(
        await stored_task(tasks), url="https://2", expires_at=9, asked_by="u1"
    )


async def _reset(tasks: Tasks) -> object:
    return await tasks.asked.reset(await stored_task(tasks), asked_by="u1")


async def _closed(tasks: Tasks) -> object:
    document = await tasks.collection.find("t1")
    assert document is not None
    return await tasks.sweep.close_cancelled(document)


def _by_me(step: Transition) -> Step:
    return lambda tasks: step(tasks.run, ME)


STEPS: dict[str, Step] = {
    "create": lambda tasks: tasks.run.create_for_run(REQUEST, ME),
    "claim": lambda tasks: tasks.run.claim(ME, run_started_at=100),
    "claim by a later run": lambda tasks: tasks.run.claim(LATER, run_started_at=200),
    **{name: _by_me(step) for name, step in TRANSITIONS.items()},
    "renew": _renewed,
    "reset": _reset,
    "close": _closed,
    "expire": lambda tasks: tasks.sweep.expire({"_id": "t1"}),
}
LIVES = [
    ["create", "claim", "attempt failed", "attempt started", "progress", "done", "renew", "expire"],
    ["create", "claim", "attempt failed", "last attempt failed", "failed", "reset", "claim"],
    ["create", "claim", "cancelled"],
    ["create", "claim", "claim by a later run", "close"],
    ["create", "close"],
]


async def test_a_record_says_what_happened_when_by_whom_and_from_where(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.client.renew(task.id, created_by=USER)
    await service.client.renew(task.id, created_by=None)
    await service.database["ExportTasks"].update_one({}, {"$set": {"purgeAt": 1}})
    await service.client.sweep()
    found = await service.client.audit(task.id, created_by=USER)
    machine = service.temporal.identity
    said = [(item.did.value, item.role.value, item.user, item.origin) for item in found]
    assert said == [
        ("created", "user", USER, "client"),
        ("started", "worker", None, machine),
        ("signed", "worker", None, machine),
        ("done", "worker", None, machine),
        ("renewed", "user", USER, "client"),
        ("renewed", "operator", None, "client"),
        ("expired", "sweep", None, machine),
    ]
    assert [item.at for item in found] == sorted(item.at for item in found)
    first = await service.client.get(task.id, created_by=USER)
    assert (found[0].at, found[1].at, found[3].at, found[-1].at) == (
        *(task.created_at, task.started_at, task.finished_at),
        first.updated_at,
    )
    assert found[2].until == task.expires_at
    assert {item.run for item in found[1:4]} == {task.run_id}


async def test_a_record_holds_no_link_no_object_key_and_no_other_fields(
    service: Service,
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.client.renew(task.id, created_by=USER)
    raw = await service.database["ExportTasks"].find_one({})
    assert raw is not None
    text = json.dumps(raw["audit"])
    assert raw["objectKey"] not in text
    assert "http" not in text
    assert "X-Amz" not in text
    fields = {"at", "did", "role", "user", "origin", "run", "until"}
    assert {name for item in raw["audit"] for name in item} == fields


async def test_a_record_holds_failures_and_who_asked_again(service: Service) -> None:
    task = await service.exported()  # there is no collection to read
    await service.client.retry(task.id, created_by=USER)
    await service.ended(task.id)
    found = await service.client.audit(task.id, created_by=USER)
    assert [(item.did.value, item.role.value, item.code) for item in found] == [
        ("created", "user", None),
        ("started", "worker", None),
        ("failed", "worker", "E_COLLECTION"),
        ("retried", "user", None),
        ("started", "worker", None),
        ("failed", "worker", "E_COLLECTION"),
    ]


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (None, ("operator", None, "temporal")),
        ({"reason": "x"}, ("operator", None, "temporal")),
        (
            {"askedBy": {"role": "worker", "user": "u2", "origin": "1@host"}},
            ("operator", None, "temporal"),
        ),
        ({"askedBy": {"role": "user", "user": {"$ne": 1}}}, ("operator", None, "temporal")),
        (
            CancelRequest(asked_by=Author.person("u1", origin=names.FROM_CLI)),
            ("user", "u1", "cli"),
        ),
    ],
)
async def test_a_cancelled_export_names_who_asked_for_it(
    idle_service: Service, signal: object, expected: tuple[str, str | None, str]
) -> None:
    task = await idle_service.create()
    args = [] if signal is None else [signal]
    await idle_service.run_of(task.id).signal("cancel", args=args)
    async with working(idle_service):
        await idle_service.ended(task.id)
    last = (await idle_service.client.audit(task.id, created_by=USER))[-1]
    assert last.did is AuditAction.CANCELLED
    assert (last.role.value, last.user, last.origin) == expected


async def test_the_record_names_the_envelope_as_the_origin(
    idle_service: Service,
) -> None:
    client = idle_service.client
    payload = {"type": "statsMonthly", "params": {"year": 2026, "month": 10}}
    created = await envelope.handle(client, {"action": "create", "payload": payload, "uid": "u1"})
    assert isinstance(created["data"], dict)
    task_id = str(created["data"]["id"])
    await idle_service.run_of(task_id).terminate()
    cancel = {"action": "cancel", "payload": {"id": task_id}, "uid": "u1"}
    assert (await envelope.handle(client, cancel))["ok"]
    found = await client.audit(task_id, created_by="u1")
    assert [(item.did.value, item.user, item.origin) for item in found] == [
        ("created", "u1", "envelope"),
        ("cancelled", "u1", "envelope"),
    ]


@pytest.mark.parametrize("life", LIVES, ids=" ".join)
async def test_a_write_that_is_repeated_adds_nothing(tasks: Tasks, life: list[str]) -> None:
    for name in life:
        await STEPS[name](tasks)
        once = await record(tasks)
        if name != "renew":  # each call makes another link
            await STEPS[name](tasks)
        assert await record(tasks) == once, name


class _Updates(CommandListener):
    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        for update in event.command.get("updates", []):
            self.sent.append(update["u"])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.mark.parametrize("life", LIVES, ids=" ".join)
async def test_entries_are_added_at_the_end_and_never_changed_nor_removed(
    mongo_uri: str, mongo_database: Database, life: list[str]
) -> None:
    updates = _Updates()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[updates]) as client:
        tasks = Tasks(client[mongo_database.name])
        before: list[AuditEntry] = []
        for name in life:
            await STEPS[name](tasks)
            now = await record(tasks)
            assert now[: len(before)] == before
            before = now
    assert before
    assert all(isinstance(update, dict) for update in updates.sent), "no pipeline rewrites it"
    for update in updates.sent:
        assert set(update) <= {"$set", "$unset", "$max", "$min", "$push"}
        for operator, changes in update.items():
            ours = [name for name in changes if name.split(".")[0] == "audit"]
            assert ours == (["audit"] if operator == "$push" else [])
            assert all(set(changes[name]) == {"$each"} for name in ours), "neither cut nor sorted"


def _full() -> list[dict[str, Any]]:
    author = Author.person("u1", origin="client")
    return stored([entry(author, AuditAction.RENEWED, number) for number in range(MAX_ENTRIES)])


async def test_links_can_be_renewed_without_end_and_the_document_does_not_grow(
    tasks: Tasks, collection: Any
) -> None:
    await insert(collection, status="done", runId=ME.run_id, objectKey=FILE.key, audit=_full())
    for _ in range(3):
        assert await _renewed(tasks) is not None
    task = await stored_task(tasks)
    assert (task.download_url, task.expires_at) == ("https://2", 9)
    assert len(await record(tasks)) == MAX_ENTRIES


async def test_a_full_record_still_says_how_the_export_ended(tasks: Tasks, collection: Any) -> None:
    await insert(collection, audit=_full())
    for name in ("claim", "attempt failed", "failed", "reset", "claim by a later run"):
        await STEPS[name](tasks)
    assert len(await record(tasks)) == MAX_ENTRIES
    await done(tasks.run, LATER)
    await STEPS["expire"](tasks)
    assert (await actions(tasks))[MAX_ENTRIES:] == ["signed", "done", "expired"]


async def test_a_change_that_becomes_possible_between_two_writes_is_not_made_without_its_entry(
    tasks: Tasks, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(collection, status="failed", error=WHY.model_dump())
    plain = tasks.collection._update  # noqa: SLF001 -- to act between two writes

    async def updated(query: dict[str, Any], update: dict[str, Any]) -> bool:
        found = await plain(query, update)
        await collection.update_one({}, {"$set": {"status": "pending"}})
        return found

    monkeypatch.setattr(tasks.collection, "_update", updated)
    assert await tasks.run.claim(ME, run_started_at=100) is None
    assert (await stored_task(tasks)).status is TaskStatus.PENDING


@pytest.mark.parametrize("foreign", ["yes", {"x": 1}, 7, None, {"499": 1}])
async def test_a_foreign_field_named_audit_stops_no_export(
    tasks: Tasks, collection: Any, foreign: object
) -> None:
    await insert(collection, audit=foreign)
    assert await tasks.run.claim(ME, run_started_at=100) is not None
    assert (await done(tasks.run, ME)).result.status is TaskStatus.DONE
    assert await _renewed(tasks) is not None
    assert await record(tasks) == []
    assert (await collection.find_one({}))["audit"] == foreign


async def test_the_record_of_an_older_document_begins_with_the_next_change(
    tasks: Tasks, collection: Any
) -> None:
    await insert(collection)
    assert await record(tasks) == []
    await STEPS["claim"](tasks)
    assert await actions(tasks) == ["started"]


@pytest.mark.parametrize(
    "rubbish",
    [7, None, "x", {}, {"at": "now", "did": "created"}, {"did": "stolen", "at": 1}, [[]]],
)
def test_what_is_not_an_entry_is_left_out_of_the_record(rubbish: object) -> None:
    sweep = Author(role=AuthorRole.SWEEP, origin="1@host")
    good = entry(sweep, AuditAction.EXPIRED, 1)
    assert entries_of({"audit": [rubbish, *stored([good]), rubbish]}) == [good]


@pytest.mark.parametrize("status", ENDED)
async def test_tasks_are_read_without_their_records(
    tasks: Tasks, collection: Any, status: TaskStatus
) -> None:
    await insert(collection, status=status.value, audit=_full(), purgeAt=1)
    found = [
        *[await stored_task(tasks), await tasks.collection.find("t1")],
        *(await tasks.client.page(created_by=None, limit=1)).items,
        *[page async for page in tasks.sweep.expired(now_ms())],
    ]
    assert "renewed" not in repr(found), "the record is read only on request"


async def test_the_name_of_an_author_is_cut_if_it_is_too_long(
    tasks: Tasks, collection: Any
) -> None:
    long = "u" * 5000
    await claimed(tasks, collection)
    await done(tasks.run, ME)
    await collection.update_one({}, {"$set": {"createdBy": long}})
    task = await stored_task(tasks)
    assert await tasks.client.renew(task, url="https://2", expires_at=9, asked_by=long) is not None
    last = (await record(tasks))[-1]
    assert (last.role, last.user) == (AuthorRole.USER, "u" * names.MAX_CREATED_BY_LENGTH)

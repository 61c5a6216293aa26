"""Asking twice: who asks for the same again gets the export that there is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest
from bson import ObjectId

from exports import documents, envelope, names
from exports.client import retrying
from exports.clock import now_ms
from exports.errors import IdempotencyKeyError
from exports.models import TaskRef, TaskStatus
from exports.settings import Settings
from exports.tasks.audit import MAX_ENTRIES, AuditAction
from exports.tasks.transitions import RunTransitions
from tests.support.protections import protected_by
from tests.support.service import (
    MONTH,
    USER,
    Service,
    downloaded,
    insert_orders,
    open_service,
    working,
)

RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
MINUTES: Final = 60_000


@pytest.fixture
def joining(settings: Settings) -> Settings:
    return settings.model_copy(update={"join_within": timedelta(minutes=10)})


@pytest.fixture
async def asked(joining: Settings, temporal_address: str) -> AsyncIterator[Service]:
    """A service whose exports are joined; no worker runs."""
    async with open_service(joining, temporal_address) as service:
        yield service


async def _set(service: Service, task_id: str, **fields: object) -> None:
    await service.database["ExportTasks"].update_one({"_id": ObjectId(task_id)}, {"$set": fields})


def _done(task_id: str, **fields: object) -> dict[str, object]:
    key = names.file_key(task_id, RUN, attempt="3-1", extension="csv")
    now = now_ms()
    file = {"objectKey": key, "fileName": "a.csv", "runId": RUN, "purgeAt": now + 60 * MINUTES}
    link = {"downloadUrl": "https://1", "expiresAt": now + 30 * MINUTES}
    return {"status": "done", "finishedAt": now, **file, **link, **fields}


@protected_by(
    "exports/tasks/indexes.py",
    "unique=True,",
    instead="unique=False,",
)
async def test_two_hundred_calls_at_once_make_one_export(
    asked: Service, joining: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded database answers them one after the other.
    monkeypatch.setattr(documents, "OPERATION_TIMEOUT", 150)
    async with open_service(joining, temporal_address) as other:
        tasks = await asyncio.gather(
            *(service.create() for service in (asked, other) for _ in range(100))
        )
    assert len({task.id for task in tasks}) == 1
    # A client makes no others, which may take minutes: workers do.
    made = await asked.database["ExportTasks"].index_information()
    assert {name for name, index in made.items() if not index.get("unique")} == {"_id_"}
    assert sum(not task.joined for task in tasks) == 1
    assert await asked.database["ExportTasks"].count_documents({}) == 1


async def test_an_export_is_joined_until_ten_minutes_after_it_is_done(asked: Service) -> None:
    first = await asked.create()
    for fields in (
        {"status": "running", "runId": RUN},
        _done(first.id),
        _done(first.id, finishedAt=now_ms() - 9 * MINUTES),
    ):
        await _set(asked, first.id, **fields)
        again = await asked.create(params={"month": "10", "year": "2026"})
        assert (again.id, again.joined) == (first.id, True)
    assert (await asked.client.get(first.id, created_by=USER)).joined is False


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired", "late", "purged", "no file"])
async def test_what_can_not_be_joined_any_more_is_made_again(
    asked: Service, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "LONGEST_PAUSE", 0)  # the run that failed never closes here
    first = await asked.create()
    late: dict[str, dict[str, object]] = {
        "late": _done(first.id, finishedAt=now_ms() - 11 * MINUTES),
        "purged": _done(first.id, purgeAt=now_ms() - 1),
        "no file": _done(first.id, objectKey=None),
    }
    await _set(asked, first.id, **late.get(status, {"status": status}))
    made = await asyncio.gather(*(asked.create() for _ in range(5)))
    [new] = {task.id for task in made}
    assert new != first.id
    assert sum(not task.joined for task in made) == 1
    if status == "failed":
        again = await asked.client.retry(first.id, created_by=USER)
        assert again.status is TaskStatus.PENDING
        assert (await asked.create()).id == new


@pytest.mark.parametrize(
    "other",
    [
        {"created_by": "u2"},
        {"format": "xlsx"},
        {"params": MONTH | {"month": 9}},
        {"params": MONTH | {"columns": ["day", "orders"]}},
        {"kind": "statsAnnual"},
    ],
    ids=str,
)
async def test_another_request_is_another_export(asked: Service, other: dict[str, Any]) -> None:
    first = await asked.create()
    second = await asked.create(**other)
    assert (first.joined, second.joined) == (False, False)
    assert first.id != second.id


async def test_an_export_of_another_definition_of_the_report_is_not_joined(
    asked: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await asked.create()
    report = asked.client.reports.named("statsMonthly")
    monkeypatch.setitem(vars(report), "fingerprint", "another")
    assert (await asked.create()).id != first.id


async def test_who_forces_a_new_export_gets_it_and_later_calls_join_it(asked: Service) -> None:
    first = await asked.create()
    forced = await asyncio.gather(*(asked.create(force=True) for _ in range(5)))
    assert len({first.id, *(task.id for task in forced)}) == 6
    last = await asked.create(force=True)
    assert (await asked.create()).id == last.id


async def test_a_key_belongs_to_one_request_also_if_its_export_was_joined(asked: Service) -> None:
    first = await asked.create()
    for key in ("a", "b", "a"):
        joined = await asked.create(idempotency_key=key)
        assert (joined.id, joined.joined) == (first.id, True)
    await _set(asked, first.id, status="failed")
    assert (await asked.create(idempotency_key="a")).id == first.id
    with pytest.raises(IdempotencyKeyError):
        await asked.create(idempotency_key="b", format="xlsx")
    assert await asked.database["ExportTasks"].count_documents({}) == 1


async def test_one_key_for_two_requests_at_once_is_refused_for_one_of_them(asked: Service) -> None:
    for number in range(5):
        params = MONTH | {"month": 1 + number}
        await asked.create(params=params)
        answers = await asyncio.gather(
            asked.create(params=params, idempotency_key=f"k{number}"),
            asked.create(params=params, format="xlsx", idempotency_key=f"k{number}"),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, IdempotencyKeyError) for answer in answers) == 1


async def test_an_export_that_is_being_cancelled_is_not_joined(asked: Service) -> None:
    task = await asked.create()
    run = await asked.run_of(task.id).describe()
    ref = TaskRef(task_id=task.id, workflow_id=run.id, run_id=run.run_id)
    await RunTransitions(asked.collection).claim(ref, run_started_at=1)
    stopping = await asked.client.cancel(task.id, created_by=USER)
    assert stopping.status is TaskStatus.RUNNING
    assert (await asked.create()).id != task.id


async def test_the_audit_record_says_who_asked_again_but_is_not_filled_by_that(
    asked: Service,
) -> None:
    first = await asked.create()
    await asyncio.gather(*(asked.create() for _ in range(105)))
    entries = await asked.client.audit(first.id, created_by=USER)
    joins = [item for item in entries if item.did is AuditAction.JOINED]
    assert {(item.role.value, item.user, item.origin) for item in joins} == {
        ("user", USER, "client")
    }
    assert len(entries) == 100 < MAX_ENTRIES


@pytest.mark.parametrize("owner", ["mallory", [USER], None])
async def test_nobody_joins_what_is_not_theirs_whatever_its_document_says(
    asked: Service, owner: object
) -> None:
    first = await asked.create(idempotency_key="mine")
    theirs = await asked.document(first.id)
    await asked.database["ExportTasks"].delete_one({"_id": ObjectId(first.id)})
    theirs |= {"_id": "theirs", "createdBy": owner, "joinKey": [theirs["joinKey"], 7]}
    await asked.database["ExportTasks"].insert_one(theirs)
    made = await asked.create(idempotency_key="mine")
    assert (made.joined, made.created_by) == (False, USER)
    assert (await asked.create()).id == made.id
    left = await asked.database["ExportTasks"].find_one({"_id": "theirs"})
    assert left is not None
    kept = set(theirs) - {"joinKey", "askedWith"}
    assert {field: left[field] for field in kept} == {field: theirs[field] for field in kept}


async def test_exports_are_not_joined_if_that_is_switched_off(idle_service: Service) -> None:
    made = [await idle_service.create() for _ in range(2)]
    assert len({task.id for task in made}) == 2
    assert "joinKey" not in await idle_service.document(made[0].id)


async def test_the_link_of_an_export_that_is_joined_can_be_used(
    joining: Settings, temporal_address: str
) -> None:
    async with open_service(joining, temporal_address) as service, working(service):
        await insert_orders(service.database)
        done = await service.exported()
        ends = now_ms() + 10_000
        await _set(service, done.id, downloadUrl="https://ends-soon", expiresAt=ends)
        joined = await service.create()
        assert (joined.id, joined.joined) == (done.id, True)
        assert downloaded(joined.download_url) == downloaded(done.download_url)
        assert (joined.expires_at or 0) > ends
        service.store.remove_file(joined.key_of_file())
        await _set(service, done.id, expiresAt=ends)
        again = await service.create()
        assert (again.id != done.id, again.joined) == (True, False)


async def test_the_envelope_joins_and_its_answer_keeps_its_form(asked: Service) -> None:
    payload = {"type": "statsMonthly", "params": MONTH}
    request = {"action": "create", "payload": payload, "uid": USER}
    first, second = [await envelope.handle(asked.client, request) for _ in range(2)]
    assert first == second
    assert "joined" not in str(first)

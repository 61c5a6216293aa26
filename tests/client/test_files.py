"""The files of exports: a link for one download, and a file that is removed on request."""

from typing import Any, Final

import pytest
from bson import ObjectId

from exports import names
from exports.clock import now_ms
from exports.errors import (
    FileExpiredError,
    StoreUnavailableError,
    TaskInvalidError,
    TaskStateError,
)
from exports.models import TaskStatus
from exports.storage.bucket import ObjectStore
from exports.tasks.audit import MAX_ENTRIES, AuditAction
from tests.support.service import USER, Service, downloaded, working
from tests.support.stored_tasks import insert_task

OWN: Final = "6b04e9c37b18ed84111ce662"
RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
MINUTE: Final = 60_000  # milliseconds


async def _insert_done(service: Service, **changes: Any) -> str:
    """Store a task that is done, and its file; return the key of the file."""
    key = names.file_key(OWN, RUN, attempt="3-1", extension="csv")
    service.store.put(key, b"a file")
    file = {"runId": RUN, "objectKey": key, "fileName": "a.csv", "purgeAt": now_ms() + 60 * MINUTE}
    link = {"downloadUrl": "https://1", "expiresAt": now_ms() + 30 * MINUTE}
    await insert_task(service, _id=ObjectId(OWN), **{"status": "done", **file, **link, **changes})
    return key


async def test_a_link_for_one_download_is_short_and_leaves_the_task_as_it_is(
    idle_service: Service,
) -> None:
    await _insert_done(idle_service)
    before, now = await idle_service.document(OWN), now_ms()
    for who in (USER, None):
        link = await idle_service.client.link(OWN, created_by=who)
        assert downloaded(link.url) == b"a file"
        assert link.url not in repr(link)
        assert link.file_name == "a.csv"
        assert now + 4 * MINUTE < link.expires_at <= now_ms() + 5 * MINUTE
    assert await idle_service.document(OWN) == before
    entries = await idle_service.client.audit(OWN, created_by=USER)
    assert [(item.did, item.user) for item in entries] == [
        (AuditAction.DOWNLOADED, USER),
        (AuditAction.DOWNLOADED, None),
    ]
    assert entries[1].until == link.expires_at


@pytest.mark.parametrize("record", [[{"at": 1}] * MAX_ENTRIES, 7], ids=["full", "no record"])
async def test_a_link_is_made_also_if_the_record_takes_no_entry(
    idle_service: Service, record: object
) -> None:
    await _insert_done(idle_service, audit=record)
    assert downloaded((await idle_service.client.link(OWN, created_by=USER)).url) == b"a file"


async def test_a_link_ends_no_later_than_its_file(idle_service: Service) -> None:
    purge_at = now_ms() + MINUTE
    await _insert_done(idle_service, purgeAt=purge_at)
    assert (await idle_service.client.link(OWN, created_by=USER)).expires_at <= purge_at


async def test_a_file_is_removed_at_once_and_the_record_says_by_whom(
    idle_service: Service,
) -> None:
    key = await _insert_done(idle_service)
    removed = [await idle_service.client.delete_file(OWN, created_by=USER) for _ in range(2)]
    assert removed[0] == removed[1]
    assert (removed[0].status, removed[0].download_url) == (TaskStatus.EXPIRED, None)
    assert idle_service.store.size(key) is None
    [entry] = await idle_service.client.audit(OWN, created_by=USER)
    assert (entry.did, entry.role.value, entry.user) == (AuditAction.EXPIRED, "user", USER)
    with pytest.raises(FileExpiredError):
        await idle_service.client.link(OWN, created_by=USER)


async def test_a_file_that_the_store_does_not_remove_goes_with_the_next_sweep(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailableError("away")

    key = await _insert_done(idle_service)
    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "remove_file", away)
        task = await idle_service.client.delete_file(OWN, created_by=None)
    assert task.status is TaskStatus.EXPIRED
    assert "not removed yet (E_STORE)" in caplog.text
    assert idle_service.store.size(key) is not None
    async with working(idle_service):
        await idle_service.client.sweep()
    assert idle_service.store.size(key) is None


@pytest.mark.parametrize("status", ["pending", "running", "failed", "cancelled"])
async def test_only_an_export_that_is_done_has_a_file(idle_service: Service, status: str) -> None:
    key = await _insert_done(idle_service, status=status)
    for ask in (idle_service.client.link, idle_service.client.delete_file):
        with pytest.raises(TaskStateError):
            await ask(OWN, created_by=USER)
    assert idle_service.store.size(key) is not None


@pytest.mark.parametrize(
    "key", ["invoices/10.pdf", f"files/another/{RUN}/3-1-{'0' * 32}/export.csv"]
)
async def test_no_file_of_another_task_is_linked_or_removed(
    idle_service: Service, key: str
) -> None:
    idle_service.store.put(key, b"of somebody else")
    await _insert_done(idle_service, objectKey=key)
    before = await idle_service.document(OWN)
    for ask in (idle_service.client.link, idle_service.client.delete_file):
        with pytest.raises(TaskInvalidError):
            await ask(OWN, created_by=USER)
    assert idle_service.store.size(key) is not None
    assert await idle_service.document(OWN) == before

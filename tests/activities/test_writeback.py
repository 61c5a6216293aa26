"""A task is done only if its file is in the bucket, with all its bytes."""

from typing import Any

import pytest

from exports.models import TaskStatus
from exports.storage.bucket import ObjectStore
from tests.support.protections import protected_by
from tests.support.recording import answer_to_done_lost, quick_retries, without_grace
from tests.support.service import Service, insert_orders, working

GONE = None
CUT_OFF = b"cut"


@protected_by(
    "activities/writeback.py", "stored != ask.file.bytes and await", instead="False and await"
)
@pytest.mark.parametrize("left", [GONE, CUT_OFF], ids=["gone", "cut off"])
async def test_a_file_that_is_not_there_as_it_was_written_is_not_announced(
    service: Service, left: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = ObjectStore.upload

    def lose(self: ObjectStore, key: str, *given: Any, **named: Any) -> Any:
        uploaded = upload(self, key, *given, **named)
        if left is None:
            self.remove_all([key])
        else:
            self.put(key, left)
        return uploaded

    monkeypatch.setattr(ObjectStore, "upload", lose)
    await insert_orders(service.database)
    with quick_retries():
        task = await service.exported()
    assert (task.status, task.retries, task.download_url) == (TaskStatus.FAILED, 3, None)
    assert task.error is not None
    assert task.error.code == "E_STORE"
    assert "does not have the finished file" in task.error.msg


async def test_a_file_that_can_be_seen_later_costs_one_attempt(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, seen = ObjectStore.size, iter([None])

    def late(self: ObjectStore, key: str) -> int | None:
        return next(seen, size(self, key))

    monkeypatch.setattr(ObjectStore, "size", late)
    await insert_orders(service.database)
    with quick_retries():
        task = await service.exported()
    assert (task.status, task.retries, task.error) == (TaskStatus.DONE, 1, None)


async def test_a_writeback_that_is_repeated_after_the_file_has_expired_has_still_been_done(
    idle_service: Service,
) -> None:
    await insert_orders(idle_service.database)
    with answer_to_done_lost() as written:
        async with working(without_grace(idle_service)):
            task = await idle_service.create()
            await written.wait()
    await idle_service.database["ExportTasks"].update_one({}, {"$set": {"status": "expired"}})
    for item in list(idle_service.store.objects("files/")):
        idle_service.store.remove(item)
    async with working(idle_service):
        result = await idle_service.run_of(task.id).result()
    assert result["status"] == "done"
    assert (await idle_service.ended(task.id)).status is TaskStatus.EXPIRED

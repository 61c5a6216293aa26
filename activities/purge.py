"""What the sweep removes: files after their retention, and objects that no task needs."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Final, TypeVar
from urllib.parse import unquote

from temporalio import activity

from activities.boundary import beating, boundary, check_worker_clock, in_thread
from exports import names
from exports.clock import from_epoch_ms, now_ms
from exports.models import SweepCount, SweepInput, TaskStatus
from exports.storage.bucket import ObjectStore, StoredObject
from exports.tasks.collection import Stored
from exports.tasks.store import SweepStore
from exports.tasks.task import ExportTask

_PAGE: Final = 1000  # objects
_T = TypeVar("_T")


class PurgeActivities:
    """Removes expired files and orphaned objects.

    Args:
        tasks: Decides which objects are needed.
        store: The bucket.
        retention: How long a file is kept. An object without a task is kept that long too, because
            the bucket may be shared with another installation by mistake.
    """

    def __init__(self, *, tasks: SweepStore, store: ObjectStore, retention: timedelta) -> None:
        self._tasks = tasks
        self._store = store
        self._retention = retention

    @activity.defn(name=names.SWEEP_EXPIRED)
    async def expired(self, _: SweepInput) -> SweepCount:
        """Remove the files of tasks that have expired, then all objects that no task needs."""
        async with boundary(), beating():
            check_worker_clock()
            return SweepCount(changed=await self._files(), objects=await self._orphans())

    async def _files(self) -> int:
        purged = 0
        async for page in self._tasks.expired(now_ms()):
            for document in page:
                # The document first: nobody gets a link to a file that is about to be removed.
                if not await self._tasks.expire(document):
                    continue
                purged += 1
                key = ExportTask.from_document(document).object_key
                if key is not None:
                    await self._remove(StoredObject(key, from_epoch_ms(now_ms())))
        return purged

    async def _orphans(self) -> int:
        removed = 0
        sources: list[Callable[[str], Iterator[StoredObject]]] = [
            self._store.open_uploads,
            self._store.objects,
        ]
        for find in sources:
            for root in (names.STAGING, names.FILES):
                found = find(root)
                while page := await _page(found):
                    removed += await self._remove_unneeded(page)
        return removed

    async def _remove_unneeded(self, page: list[StoredObject]) -> int:
        owners = [(item, names.owner_of_key(item.key)) for item in page]
        tasks = await self._tasks.owners(sorted({unquote(key[0]) for _, key in owners if key}))
        oldest = from_epoch_ms(now_ms()) - self._retention
        removed = 0
        for item, owner in owners:
            if owner is None:
                continue
            task = tasks.get(unquote(owner[0]))
            if item.changed_at < oldest if task is None else not _is_needed(item, owner[1], task):
                await self._remove(item)
                removed += 1
        return removed

    async def _remove(self, item: StoredObject) -> None:
        await in_thread(lambda _: self._store.remove(item))


def _is_needed(item: StoredObject, run_id: str, task: Stored) -> bool:
    if task["status"] in (TaskStatus.PENDING, TaskStatus.RUNNING):
        return bool(task.get("runId") == run_id)
    return bool(
        task["status"] == TaskStatus.DONE
        and item.upload_id is None
        and task.get("objectKey") == item.key
    )


async def _page(found: Iterator[_T]) -> list[_T]:
    return await in_thread(lambda _: list(islice(found, _PAGE)))

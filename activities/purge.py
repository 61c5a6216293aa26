"""What the sweep removes: files after their retention, and objects that no task needs."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Final, TypeVar

from temporalio import activity

from activities.boundary import beating, boundary, check_worker_clock, in_thread
from exports import names
from exports.clock import from_epoch_ms, now_ms
from exports.errors import TaskInvalidError
from exports.models import SweepCount, TaskStatus
from exports.storage.bucket import ObjectStore, StoredObject
from exports.tasks.collection import Stored
from exports.tasks.sweep import SweepStore
from exports.tasks.task import ExportTask, TaskError

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
    async def expired(self) -> SweepCount:
        """Remove the files of tasks that have expired, then all objects that no task needs."""
        async with boundary(), beating():
            check_worker_clock()
            files = await self._files()
            return files.model_copy(update={"objects": await self._orphans()})

    async def _files(self) -> SweepCount:
        purged = refused = 0
        async for page in self._tasks.expired(now_ms()):
            for document in page:
                try:
                    await self._tasks.check_meant(document)
                    key = ExportTask.from_document(document).key_of_file()
                except TaskInvalidError as error:
                    # It has no file that could be removed, and is not looked at again.
                    why = TaskError(code=error.code, msg=error.msg)
                    refused += await self._tasks.expire(document, why)
                    continue
                # The document first: nobody gets a link to a file that is about to be removed.
                if await self._tasks.expire(document):
                    await self._remove_file(key)
                    purged += 1
        return SweepCount(changed=purged, refused=refused)

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
        tasks = await self._tasks.owners(sorted({owner[0] for _, owner in owners if owner}))
        oldest = from_epoch_ms(now_ms()) - self._retention
        removed = 0
        for item, owner in owners:
            if owner is None:
                continue
            task_id, run_id = owner
            known = tasks.get(task_id, [])
            needed = any(_is_needed(item, run_id, task) for task in known)
            if not needed and (known or item.changed_at < oldest):
                await self._remove(item)
                removed += 1
        return removed

    async def _remove_file(self, key: str) -> None:
        await in_thread(lambda _: self._store.remove_file(key))

    async def _remove(self, item: StoredObject) -> None:
        await in_thread(lambda _: self._store.remove(item))


def _is_needed(item: StoredObject, run_id: str, task: Stored) -> bool:
    if task["status"] in (TaskStatus.PENDING, TaskStatus.RUNNING):
        return bool(task.get("runId") == run_id)
    return bool(
        task["status"] == TaskStatus.DONE
        and item.upload_id is None
        and (file := ExportTask.from_document(task).object_key) is not None
        and item.key in (file, names.preview_key(file))
    )


async def _page(found: Iterator[_T]) -> list[_T]:
    return await in_thread(lambda _: list(islice(found, _PAGE)))

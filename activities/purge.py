"""What the sweep removes: files after their retention, and objects that no task needs."""

from time import monotonic
from typing import Final

from temporalio import activity

from activities.boundary import beating, boundary, check_worker_clock, in_thread
from activities.orphans import Orphans
from exports import names
from exports.clock import now_ms
from exports.errors import TaskInvalidError
from exports.models import SweepCount
from exports.storage.bucket import ObjectStore
from exports.tasks.sweep import SweepStore
from exports.tasks.task import ExportTask, TaskError

_LONGEST: Final = 150.0
"""Seconds after which the pass through the bucket is left to the next sweep.

A sweep has four and a half minutes, and this is the last of its parts.
"""


class PurgeActivities:
    """Removes expired files and orphaned objects.

    Args:
        tasks: Finds and ends the tasks whose files have expired.
        store: The bucket.
        orphans: Removes the objects that no task needs.
    """

    def __init__(self, *, tasks: SweepStore, store: ObjectStore, orphans: Orphans) -> None:
        self._tasks = tasks
        self._store = store
        self._orphans = orphans

    @activity.defn(name=names.SWEEP_EXPIRED)
    async def expired(self) -> SweepCount:
        """Remove the files of tasks that have expired, then objects that no task needs."""
        until = monotonic() + _LONGEST
        async with boundary(), beating():
            check_worker_clock()
            files = await self._files()
            found = await self._orphans.remove(until)
            return files.model_copy(update={"objects": found.objects, "bucket": found.bucket})

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

    async def _remove_file(self, key: str) -> None:
        await in_thread(lambda _: self._store.remove_file(key))

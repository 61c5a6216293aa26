"""The pass through the bucket: removes the objects and open uploads that no task needs."""

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from threading import Event
from time import monotonic
from typing import Final

from activities.boundary import in_thread
from exports import names
from exports.clock import from_epoch_ms, now_ms
from exports.documents import Stored
from exports.models import SweepCount, TaskStatus
from exports.storage.bucket import ObjectStore, StoredObject
from exports.tasks.bucket_pass import BucketPass, BucketPasses
from exports.tasks.sweep import SweepStore
from exports.tasks.task import ExportTask

_PAGE: Final = 1000  # objects
_DELETES: Final = 100
"""Objects that are deleted before it is looked whether the sweep is to stop."""
_STORED_EVERY: Final = 2.0
"""Seconds after which it is stored how far a pass has come."""
_ROOTS: Final = (names.FILES, names.STAGING)
"""In the order of keys."""

_log = logging.getLogger(__name__)


class Orphans:
    """Looks at every object in the bucket, in as many sweeps as it takes.

    Args:
        tasks: Decides which objects are needed.
        store: The bucket.
        passes: How far the sweeps have come.
        retention: How long a file is kept. An object without a task is kept that long too, because
            the bucket may be shared with another installation by mistake.
        every: How much time is between the beginnings of two passes.
    """

    def __init__(
        self,
        *,
        tasks: SweepStore,
        store: ObjectStore,
        passes: BucketPasses,
        retention: timedelta,
        every: timedelta,
    ) -> None:
        self._tasks = tasks
        self._store = store
        self._passes = passes
        self._retention = retention
        self._every = every

    async def remove(self, until: float) -> SweepCount:
        """Go on with the pass, if one is due, and remove what no task needs.

        Args:
            until: When to stop, by the clock of `monotonic`; the next sweep goes on.
        """
        stored = current = await self._passes.due(self._every)
        if stored is None or current is None:
            return SweepCount()
        stored_at = monotonic()
        removed = 0
        async for page in self._pages(stored.after):
            gone = await self._remove_unneeded(page)
            removed += gone
            objects = [item.key for item in page if item.upload_id is None]
            last = objects[-1] if objects else current.after
            current = current.further(after=last, seen=len(objects), removed=gone)
            if monotonic() >= until:
                break
            if monotonic() - stored_at >= _STORED_EVERY:
                if not await self._passes.move(stored, current):
                    return SweepCount(objects=removed)  # another sweep goes on with it
                stored, stored_at = current, monotonic()
        else:
            current = current.ended()
        if not await self._passes.move(stored, current):
            return SweepCount(objects=removed)
        _log.info("The pass through the bucket %s", _how_far(current))
        return SweepCount(objects=removed, bucket=_how_far(current))

    async def _pages(self, after: str) -> AsyncIterator[list[StoredObject]]:
        found: list[Iterator[StoredObject]] = []
        if not after:
            found += [self._store.open_uploads(root) for root in _ROOTS]
        for root in _ROOTS:
            if after.startswith(root):
                found.append(self._store.objects(root, after=after))
            elif after < root:
                found.append(self._store.objects(root))
        for items in found:
            while page := await in_thread(partial(_next_page, items)):
                yield page

    async def _remove_unneeded(self, page: list[StoredObject]) -> int:
        owners = [(item, names.owner_of_key(item.key)) for item in page]
        tasks = await self._tasks.owners(sorted({owner[0] for _, owner in owners if owner}))
        oldest = from_epoch_ms(now_ms()) - self._retention
        unneeded: list[StoredObject] = []
        for item, owner in owners:
            if owner is None:
                continue
            task_id, run_id = owner
            known = tasks.get(task_id, [])
            needed = any(_is_needed(item, run_id, task) for task in known)
            if not needed and (known or item.changed_at < oldest):
                unneeded.append(item)
        await in_thread(partial(self._remove_all, unneeded))
        return len(unneeded)

    def _remove_all(self, items: list[StoredObject], stop: Event) -> None:
        keys = [item.key for item in items if item.upload_id is None]
        for begin in range(0, len(keys), _DELETES):
            if not stop.is_set():
                self._store.remove_all(keys[begin : begin + _DELETES])
        for item in items:
            if item.upload_id is not None and not stop.is_set():
                self._store.remove(item)


def _next_page(items: Iterator[StoredObject], _: Event) -> list[StoredObject]:
    return list(islice(items, _PAGE))


def _how_far(current: BucketPass) -> str:
    removed = f"and removed {current.removed:,}"
    if current.ended_at is not None:
        return f"has looked at all {current.seen:,} objects, {removed}"
    of = "" if current.seen_before is None else f" of some {current.seen_before:,}"
    return f"has looked at {current.seen:,}{of} objects, {removed}; the next sweep goes on"


def _is_needed(item: StoredObject, run_id: str, task: Stored) -> bool:
    if task["status"] in (TaskStatus.PENDING, TaskStatus.RUNNING):
        return bool(task.get("runId") == run_id)
    return bool(
        task["status"] == TaskStatus.DONE
        and item.upload_id is None
        and (file := ExportTask.from_document(task).object_key) is not None
        and item.key in (file, names.preview_key(file))
    )

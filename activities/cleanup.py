"""Cleaning up after an export that did not end well, and closing a cancelled run."""

import threading
from typing import Final

from temporalio import activity
from temporalio.client import Client

from activities.boundary import beating, boundary, in_thread
from activities.patience import Outages
from exports import names
from exports.models import DiscardResult, TaskRef, TaskStatus
from exports.storage.bucket import ObjectStore
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions

_SIDE_BY_SIDE: Final = 100
"""Objects that are removed between two looks at whether to stop."""


class CleanupActivities:
    """Removes what a run left behind, and closes a run as Canceled.

    Args:
        tasks: The store of the documents; they name the finished files.
        store: The bucket.
        temporal: Asks the server to cancel a run.
        outages: Lets it wait for servers.
    """

    def __init__(
        self, *, tasks: RunTransitions, store: ObjectStore, temporal: Client, outages: Outages
    ) -> None:
        self._tasks = tasks
        self._store = store
        self._temporal = temporal
        self._outages = outages

    @activity.defn(name=names.DISCARD)
    async def discard(self, task: TaskRef) -> DiscardResult:
        """Remove all objects and open uploads of a run, except the file of a task that is done."""
        # The first attempt is enough: a cancelled export has not ended before this has.
        async with self._outages.waited_for(waits=activity.info().attempt == 1):
            self._store.check_is(task.store)
            document = await self._tasks.find(task.task_id)
            keep = (
                ExportTask.from_document(document).object_key
                if document is not None and document["status"] == TaskStatus.DONE
                else None
            )
            removed = await in_thread(lambda stop: self._remove(task, keep, stop))
            return DiscardResult(removed=removed)

    def _remove(self, task: TaskRef, file: str | None, stop: threading.Event) -> int:
        removed = 0
        keep = [] if file is None else [file, names.preview_key(file)]
        for root in (names.STAGING, names.FILES):
            prefix = names.run_prefix(root, task.task_id, task.run_id)
            for upload in list(self._store.open_uploads(prefix)):
                self._store.remove(upload)
                removed += 1
            keys = [item.key for item in self._store.objects(prefix) if item.key not in keep]
            for first in range(0, len(keys), _SIDE_BY_SIDE):
                if stop.is_set():
                    return removed
                # A large export has staged tens of thousands.
                self._store.remove_all(keys[first : first + _SIDE_BY_SIDE])
                removed += len(keys[first : first + _SIDE_BY_SIDE])
        return removed

    @activity.defn(name=names.CLOSE_AS_CANCELED)
    async def close_as_canceled(self, task: TaskRef) -> None:
        """Ask the server to cancel the run.

        A run that was cancelled by signal can't close as Canceled without this, and a workflow
        can't request its own cancellation.
        """
        async with boundary(), beating():
            await self._temporal.get_workflow_handle(task.workflow_id, run_id=task.run_id).cancel()

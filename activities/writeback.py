"""The last transition of a task: to done, failed or cancelled."""

import asyncio
import logging
from datetime import timedelta

from temporalio import activity

from activities.attempts import Attempts
from activities.boundary import check_worker_clock, in_thread
from activities.patience import Outages
from exports import names
from exports.clock import millis, now_ms
from exports.errors import StoreUnavailableError
from exports.messages.handover import Messenger
from exports.models import (
    CancelledInput,
    DoneInput,
    ExportResult,
    FailedInput,
    Stage,
)
from exports.runtime.outages import at_once, waits
from exports.storage.bucket import ObjectStore
from exports.tasks.task import TaskError
from exports.tasks.transitions import Done, RunTransitions

_log = logging.getLogger(__name__)


class WritebackActivities:
    """Writes how an export ended.

    Args:
        attempts: Makes the attempts.
        tasks: The store of the documents.
        store: The bucket; signs the link.
        url_ttl: How long a link is valid.
        retention: How long a file is kept.
        messenger: Tells the person.
        outages: Lets it wait for servers.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        tasks: RunTransitions,
        store: ObjectStore,
        url_ttl: timedelta,
        retention: timedelta,
        messenger: Messenger,
        outages: Outages,
    ) -> None:
        self._attempts = attempts
        self._tasks = tasks
        self._store = store
        self._url_ttl = url_ttl
        self._retention = retention
        self._messenger = messenger
        self._outages = outages

    @activity.defn(name=names.WRITEBACK_DONE)
    async def done(self, ask: DoneInput) -> ExportResult:
        """Move the task to `done`. Only the document gets the link."""
        async with self._attempts.at(
            Stage.WRITEBACK, ask.task, retries_before=ask.retries_before, rows=ask.file.rows
        ):
            check_worker_clock()
            # The file is complete: whatever becomes of this step, nobody needs its parts any more.
            removing = asyncio.create_task(self._remove(ask.leftovers))
            try:
                await self._check_stored(ask)
                done = await self._written(ask)
            finally:
                await removing
            if done.tells:
                await self._messenger.hand_over_now(ask.task.task_id)
            return done.result

    async def _remove(self, parts: list[str]) -> None:
        try:
            with at_once():
                await in_thread(lambda _: self._store.remove_all(parts))
        except Exception as error:  # noqa: BLE001 -- the export is done nevertheless; a sweep removes them
            _log.warning("Staged parts are left to the sweep: %s", type(error).__name__)

    @waits  # with a link of its own for each try: it may be valid for less time than that takes
    async def _written(self, ask: DoneInput) -> Done:
        purge_at = now_ms() + millis(self._retention)
        link = await in_thread(
            lambda _: self._store.link(
                ask.file.key,
                file_name=ask.file.file_name,
                ttl=min(self._url_ttl, self._retention),
            )
        )
        return await self._tasks.done(
            ask.task,
            ask.file,
            url=link.url,
            expires_at=min(link.expires_at, purge_at),
            purge_at=purge_at,
            tells_by_default=await self._messenger.tells_by_default(ask.created_by),
        )

    async def _check_stored(self, ask: DoneInput) -> None:
        """Check that the file is in the bucket, unless the task has ended or is another run's.

        Raises:
            StoreUnavailableError: It is not, or not with all its bytes.
        """
        stored = await in_thread(lambda _: self._store.size(ask.file.key))
        if stored != ask.file.bytes and await self._tasks.owns(ask.task):
            raise StoreUnavailableError(
                f"The object store does not have the finished file of {ask.file.bytes} bytes."
                " Check that EXPORTS_S3_ENDPOINT_URL leads all workers to the same store, and that"
                " nothing removes objects under `files/`."
            )

    @activity.defn(name=names.WRITEBACK_FAILED)
    async def failed(self, ask: FailedInput) -> ExportResult:
        """Move the task to `failed`, with the reason."""
        async with self._outages.waited_for():
            error = TaskError(code=ask.code, msg=ask.msg)
            result = await self._tasks.failed(ask.task, error, retries=ask.retries)
            await self._messenger.hand_over_now(ask.task.task_id)
            return result

    @activity.defn(name=names.WRITEBACK_CANCELLED)
    async def cancelled(self, ask: CancelledInput) -> ExportResult:
        """Move the task to `cancelled`."""
        async with self._outages.waited_for():
            result = await self._tasks.cancelled(ask.task, ask.reason, asked_by=ask.asked_by)
            await self._messenger.hand_over_now(ask.task.task_id)
            return result

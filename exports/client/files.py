"""Makes links to finished files, and removes files."""

import asyncio
import logging
from datetime import timedelta

from pydantic import Field

from exports.client.part import ClientPart
from exports.clock import millis, now_ms
from exports.errors import ExportError, FileExpiredError, TaskInvalidError, TaskStateError
from exports.models import TaskStatus, WireModel
from exports.tasks.task import ExportTask

_log = logging.getLogger(__name__)


class FileLink(WireModel):
    """A link for one download.

    Attributes:
        url: The link. Anyone who has it can read the file.
        expires_at: When it expires (epoch milliseconds).
        file_name: The name of the file, for people.
    """

    url: str = Field(repr=False)
    expires_at: int
    file_name: str


class Files(ClientPart):
    """Gives people the files of their exports."""

    async def renew(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Make a new link to the file of an export that is done.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            TaskStateError: It is not done, so it has no file.
            TaskInvalidError: Its document does not name a file of its own.
            FileExpiredError: Its file has been removed.
            StoreDiffersError: Its file is not in the object store of this client, whose settings
                are not those of the worker that wrote it.
            ClockError: The clock of this machine is wrong, so the link would expire at another
                time than it says.
            StoreUnavailableError: The object store did not answer.
            StoreAccessError: The object store refused the keys or the permission.
            StoreRefusedError: The object store refused the request.
            BucketMissingError: The bucket does not exist.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        signed = await self._sign(task, self._settings.url_ttl)
        renewed = await self._tasks.renew(
            task, url=signed.url, expires_at=signed.expires_at, asked_by=created_by
        )
        if renewed is None:
            raise expired()
        return renewed

    async def link(self, task_id: str, *, created_by: str | None) -> FileLink:
        """Make a link for one download, valid for `EXPORTS_SHORT_URL_TTL`.

        The task keeps the link that it has. The audit record says who got this one.

        Raises:
            ExportError: See `renew`.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        link = await self._sign(task, self._settings.short_url_ttl)
        if not await self._tasks.downloaded(task, until=link.expires_at, asked_by=created_by):
            raise expired()
        return link

    async def delete_file(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Remove the file of an export that is done; do nothing if that has happened already.

        The task is `expired` first, so that nobody gets a link to a file that is about to be
        removed. If the object store does not remove it now, the next sweep does.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            TaskStateError: It is not done, so it has no file.
            TaskInvalidError: Its document does not name a file of its own.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        if task.status is TaskStatus.EXPIRED:
            return task
        key = key_of_done(task)
        if await self._tasks.expire(task, asked_by=created_by):
            try:
                await asyncio.to_thread(self._store.remove_file, key)
            except ExportError as error:
                _log.warning(
                    "The file of task %s is not removed yet (%s); the next sweep removes it",
                    task.id,
                    error.code,
                )
        # Otherwise it has expired meanwhile, or it was done again with another file.
        return await self._tasks.get(task_id, created_by=created_by)

    async def _sign(self, task: ExportTask, ttl: timedelta) -> FileLink:
        """Sign a link to the file of a task; it ends no later than the file."""
        if task.status is TaskStatus.EXPIRED:
            raise expired()
        key, name = key_of_done(task), task.file_name
        if name is None:
            raise TaskInvalidError(
                "The fileName of the task must be the name of a file, without a path."
            )
        await self._tasks.check_clock()
        now = now_ms()
        ends = now + millis(ttl)
        if task.purge_at is not None:
            ends = min(ends, task.purge_at)
        ttl = timedelta(milliseconds=ends - now)
        if ttl < timedelta(seconds=1):
            raise expired()
        if await asyncio.to_thread(self._store.size, key) is None:
            self._store.check_is(task.store)
            raise expired()
        link = await asyncio.to_thread(self._store.link, key, file_name=name, ttl=ttl)
        return FileLink(url=link.url, expires_at=min(link.expires_at, ends), file_name=name)


def key_of_done(task: ExportTask) -> str:
    """Return the key of the file of a task.

    Raises:
        TaskStateError: It is not done, so it has no file.
        TaskInvalidError: Its document does not name a file of its own.
    """
    if task.status is not TaskStatus.DONE:
        raise TaskStateError(f"The export is {task.status}; only one that is done has a file.")
    return task.key_of_file()


def expired() -> FileExpiredError:
    """Return the error of a file that has been removed."""
    return FileExpiredError("The file has been removed; create the export again.")

"""Makes links to finished files."""

import asyncio
from datetime import timedelta

from exports.client.part import ClientPart
from exports.clock import millis, now_ms
from exports.errors import FileExpiredError, TaskInvalidError, TaskStateError
from exports.models import TaskStatus
from exports.tasks.task import ExportTask


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
        if task.status is TaskStatus.EXPIRED:
            raise _expired()
        if task.status is not TaskStatus.DONE:
            raise TaskStateError(f"The export is {task.status}; only one that is done has a file.")
        key, name = task.key_of_file(), task.file_name
        if name is None:
            raise TaskInvalidError(
                "The fileName of the task must be the name of a file, without a path."
            )
        await self._tasks.check_clock()
        now = now_ms()
        ends = now + millis(self._settings.url_ttl)
        if task.purge_at is not None:
            ends = min(ends, task.purge_at)
        ttl = timedelta(milliseconds=ends - now)
        if ttl < timedelta(seconds=1):
            raise _expired()
        if await asyncio.to_thread(self._store.size, key) is None:
            self._store.check_is(task.store)
            raise _expired()
        link = await asyncio.to_thread(self._store.link, key, file_name=name, ttl=ttl)
        renewed = await self._tasks.renew(
            task, url=link.url, expires_at=min(link.expires_at, ends), asked_by=created_by
        )
        if renewed is None:
            raise _expired()
        return renewed


def _expired() -> FileExpiredError:
    return FileExpiredError("The file has been removed; create the export again.")

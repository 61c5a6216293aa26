"""Shows what is in a finished file without the file."""

import asyncio

from pydantic import ValidationError

from exports import names
from exports.client.files import expired, key_of_done
from exports.client.part import ClientPart
from exports.clock import now_ms
from exports.errors import PreviewMissingError
from exports.formats.preview import Preview
from exports.models import TaskStatus


class Previews(ClientPart):
    """Gives people previews of the files of their exports."""

    async def preview(self, task_id: str, *, created_by: str | None) -> Preview:
        """Return the columns, the first 50 rows and the chart of an export that is done.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            TaskStateError: It is not done, so it has no file.
            TaskInvalidError: Its document does not name a file of its own.
            FileExpiredError: Its file has been removed.
            PreviewMissingError: A worker of an older release made it, without a preview.
            StoreDiffersError: Its file is not in the object store of this client, whose settings
                are not those of the worker that wrote it.
            StoreUnavailableError: The object store did not answer.
            StoreAccessError: The object store refused the keys or the permission.
            StoreRefusedError: The object store refused the request.
            BucketMissingError: The bucket does not exist.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        is_over = task.purge_at is not None and task.purge_at <= now_ms()
        if task.status is TaskStatus.EXPIRED or (task.status is TaskStatus.DONE and is_over):
            raise expired()
        file = key_of_done(task)
        found = await asyncio.to_thread(self._store.find, names.preview_key(file))
        if found is None and await asyncio.to_thread(self._store.size, file) is None:
            self._store.check_is(task.store)
            raise expired()
        try:
            return Preview.model_validate_json(found or b"")
        except ValidationError:
            raise PreviewMissingError(
                "This export was made without a preview; download its file, or create it again."
            ) from None

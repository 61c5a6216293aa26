"""Reads tasks, and follows them until they end."""

import asyncio
import builtins
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from exports import names
from exports.client.part import ClientPart
from exports.clock import LAST_MS
from exports.errors import RequestError, WaitTimeoutError
from exports.models import TaskStatus
from exports.tasks.audit import AuditEntry
from exports.tasks.listing import Wanted
from exports.tasks.task import ExportTask

FIRST_POLL: Final = 0.05  # seconds
SLOWEST_POLL: Final = 1.0  # seconds
SLOWER: Final = 1.5  # how much longer each pause is than the last one
_MAX_LISTED: Final = 1000  # tasks


class Following(ClientPart):
    """Shows tasks to the people that they belong to."""

    async def get(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Return a task.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        return await self._tasks.get(task_id, created_by=created_by)

    async def audit(self, task_id: str, *, created_by: str | None) -> builtins.list[AuditEntry]:
        """Return what happened to a task, oldest entry first: see `exports.tasks.audit`.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        return await self._tasks.audit(task_id, created_by=created_by)

    async def list(
        self,
        *,
        created_by: str | None,
        status: TaskStatus | None = None,
        type: str | None = None,  # noqa: A002 -- the field's name everywhere
        format: str | None = None,  # noqa: A002 -- same
        created_from: int | None = None,
        created_before: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[ExportTask]:
        """Return tasks, newest first. Those whose creation has no time come last.

        Args:
            created_by: Whose tasks; None for all.
            status: Only tasks with this status; None for all, as for the next four.
            type: Only tasks of this report.
            format: Only tasks in this file format.
            created_from: Only tasks that were created then or later (epoch milliseconds).
            created_before: Only tasks that were created before (epoch milliseconds).
            after: Only what follows the task with this id, which was the last one of a page.
            limit: How many, from 1 to 1,000.

        Raises:
            RequestError: A text is not valid, a time is not one, or the person has no task `after`.
        """
        for what, text in (
            ("createdBy", created_by),
            ("The type", type),
            ("The format", format),
            ("The id", after),
        ):
            names.check_text(text or "", what)
        if any(abs(time or 0) > LAST_MS for time in (created_from, created_before)):
            raise RequestError("A time must be in epoch milliseconds.")
        wanted = Wanted(status, type, format, created_from, created_before)
        return await self._tasks.newest(
            created_by=created_by,
            wanted=wanted,
            after=after,
            limit=max(1, min(limit, _MAX_LISTED)),
        )

    async def watch(self, task_id: str, *, created_by: str | None) -> AsyncIterator[ExportTask]:
        """Yield the task as it is now, then each time it has changed, until it has ended.

        It polls: it reads the document after 0.05 seconds, then less and less often, down to once
        a second. After each change it starts with 0.05 seconds again. If the document changes
        several times between two reads, it is yielded once.

        Raises:
            TaskNotFoundError: There is no such task, it belongs to somebody else, or it was deleted
                meanwhile.
        """
        seen: ExportTask | None = None
        pause = FIRST_POLL
        while True:
            task = await self._tasks.get(task_id, created_by=created_by)
            looks = task.model_copy(update={"updated_at": None})
            if looks != seen:
                yield task
                seen, pause = looks, FIRST_POLL
            if task.status.ended:
                return
            await asyncio.sleep(pause)
            pause = min(pause * SLOWER, SLOWEST_POLL)

    async def wait(
        self,
        task_id: str,
        *,
        created_by: str | None,
        timeout: timedelta | None = None,  # noqa: ASYNC109 -- part of the interface, with an error of its own
    ) -> ExportTask:
        """Wait until a task has ended, and return it. Its status says how it ended.

        Args:
            task_id: The task.
            created_by: Who asks.
            timeout: How long to wait; None for as long as it takes.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            WaitTimeoutError: It did not end in time. The export goes on.
        """
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                async for task in self.watch(task_id, created_by=created_by):
                    if task.status.ended:
                        return task
        except TimeoutError:
            pass
        raise WaitTimeoutError("The export has not ended yet. It goes on; ask for it again later.")

"""Reads tasks, and follows them until they end."""

import asyncio
import builtins
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Final

from exports import names
from exports.client.part import ClientPart
from exports.clock import YEAR_9999_MS
from exports.errors import RequestError, WaitTimeoutError
from exports.models import TaskStatus
from exports.tasks.audit import AuditEntry
from exports.tasks.listener import Listener
from exports.tasks.listing import Page, Wanted
from exports.tasks.task import ExportTask

_MAX_PER_PAGE: Final = 1000  # tasks


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
        recurring: str | None = None,
        created_from: int | None = None,
        created_before: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[ExportTask]:
        """Return tasks, newest first, however many; the arguments and errors are those of `page`.

        Args:
            created_by: As for `page`, like the others.
            status: Same.
            type: Same.
            format: Same.
            recurring: Same.
            created_from: Same.
            created_before: Same.
            after: Same.
            limit: How many at most, at least 1.
        """
        found: builtins.list[ExportTask] = []
        limit = max(1, limit)
        while True:
            page = await self.page(
                created_by=created_by,
                status=status,
                type=type,
                format=format,
                recurring=recurring,
                created_from=created_from,
                created_before=created_before,
                after=after,
                limit=limit - len(found),
            )
            found += page.items
            after = page.next
            if after is None or len(found) >= limit:
                return found

    async def page(
        self,
        *,
        created_by: str | None,
        status: TaskStatus | None = None,
        type: str | None = None,  # noqa: A002 -- the field's name everywhere
        format: str | None = None,  # noqa: A002 -- same
        recurring: str | None = None,
        created_from: int | None = None,
        created_before: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return some tasks, newest first, and where the list goes on.

        Those whose creation is a date come after those whose creation is a number, and those whose
        creation is not a time come last.

        Args:
            created_by: Whose tasks; None for all.
            status: Only tasks with this status; None for all, as for the next five.
            type: Only tasks of this report.
            format: Only tasks in this file format.
            recurring: Only tasks of the recurring export with this id.
            created_from: Only tasks that were created then or later (epoch milliseconds).
            created_before: Only tasks that were created before (epoch milliseconds).
            after: The `next` of the page before, which stays good when tasks are removed; or the id
                of a task, only what follows it.
            limit: How many at most, from 1 to 1,000.

        Raises:
            RequestError: A text is not valid, a time is not one, or the person has no task `after`.
        """
        for what, text in (
            ("createdBy", created_by),
            ("The type", type),
            ("The format", format),
            ("The recurring export", recurring),
            ("The id", after),
        ):
            names.check_text(text or "", what)
        if any(not 0 <= (time or 0) <= YEAR_9999_MS for time in (created_from, created_before)):
            raise RequestError("A time must be in epoch milliseconds, from 1970 to 9999.")
        wanted = Wanted(status, type, format, recurring, created_from, created_before)
        return await self._tasks.page(
            created_by=created_by,
            wanted=wanted,
            after=after,
            limit=max(1, min(limit, _MAX_PER_PAGE)),
        )

    async def watch(self, task_id: str, *, created_by: str | None) -> AsyncGenerator[ExportTask]:
        """Yield the task as it is now, then each time it has changed, until it has ended.

        All who watch through this client share one change stream of the database. If it has none,
        one query a second asks for all of them: see `exports.tasks.feed`. Of changes that follow
        each other faster than this is iterated, the newest is yielded. While the database is away
        it waits, and logs that it does.

        Raises:
            TaskNotFoundError: There is no such task, it belongs to somebody else, or it was deleted
                meanwhile.
        """
        async with self._feed.listen(task_id=task_id, created_by=created_by) as states:
            async for task in states:
                yield task
                if task.status.ended:
                    return

    @asynccontextmanager
    async def watch_all(
        self, *, created_by: str | None, since: int | None = None
    ) -> AsyncGenerator[Listener]:
        """Follow all tasks of a person, by the same means as `watch`.

        It is an async context manager:

            async with client.watch_all(created_by="u1") as tasks:
                async for task in tasks:
                    print(task.id, task.status)

        It yields the tasks as they are now, oldest first, then each one that is new or has changed.
        It ends by itself only if it is iterated so slowly that more than 1,000 tasks wait. A task
        that was deleted is not yielded again.

        Args:
            created_by: Whose tasks; None for all.
            since: Begin with the tasks that have changed since then (epoch milliseconds), at most
                1,000. By default, it begins with the newest 50.

        Raises:
            RequestError: `created_by` is not valid text.
        """
        async with self._feed.listen(created_by=created_by, since=since) as tasks:
            yield tasks

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
                async with aclosing(self.watch(task_id, created_by=created_by)) as watched:
                    async for task in watched:
                        if task.status.ended:
                            return task
        except TimeoutError:
            pass
        raise WaitTimeoutError("The export has not ended yet. It goes on; ask for it again later.")

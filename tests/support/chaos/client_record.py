"""A user of the service whose calls and answers are all recorded."""

from collections.abc import Awaitable, Mapping
from datetime import timedelta

from exports.client import ExportClient
from exports.errors import ExportError
from exports.tasks.task import ExportTask
from tests.support.chaos.operations import Operation, Record, asked_for


class RecordedUser:
    """Calls the service as one user.

    A domain error counts as an answer; any other error is raised.

    Args:
        name: The user.
        client: The client that all users share.
        record: Gets every operation.
    """

    def __init__(self, name: str, client: ExportClient, record: Record) -> None:
        self.name = name
        self._client = client
        self._record = record

    async def create(self, kind: str, params: Mapping[str, object], form: str) -> str:
        """Ask for an export; return the id of its task."""
        asked = asked_for(kind, params, form)
        task = await self._answered(
            "create",
            self._client.create(kind, params, created_by=self.name, format=form),
            asked=asked,
        )
        assert task is not None
        return task.id

    async def get(self, task: str) -> ExportTask | None:
        return await self._answered("get", self._client.get(task, created_by=self.name), task)

    async def cancel(self, task: str) -> ExportTask | None:
        return await self._answered("cancel", self._client.cancel(task, created_by=self.name), task)

    async def retry(self, task: str) -> ExportTask | None:
        return await self._answered("retry", self._client.retry(task, created_by=self.name), task)

    async def renew(self, task: str) -> ExportTask | None:
        return await self._answered("renew", self._client.renew(task, created_by=self.name), task)

    async def wait(self, task: str, timeout: timedelta) -> ExportTask | None:  # noqa: ASYNC109 -- the client's own
        return await self._answered(
            "wait", self._client.wait(task, created_by=self.name, timeout=timeout), task
        )

    async def list(self) -> None:
        tasks = await self._client.list(created_by=self.name, limit=1000)
        self._record.add(Operation(what="list", who=self.name, tasks=[task.id for task in tasks]))

    async def _answered(
        self, what: str, answer: Awaitable[ExportTask], task: str = "", asked: str = ""
    ) -> ExportTask | None:
        try:
            task_then = await answer
        except ExportError as error:
            self._record.add(
                Operation(what=what, who=self.name, task=task, asked=asked, code=error.code)
            )
            return None
        self._record.add(
            Operation(
                what=what,
                who=self.name,
                task=task_then.id,
                asked=asked,
                status=task_then.status.value,
                sha256=task_then.sha256 or "",
            )
        )
        return task_then

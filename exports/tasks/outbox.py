"""What is still to be told of a task: the array `outbox` of its document.

An entry is added by the same update that moves the task, so that no crash loses it, and removed
when a delivery has been started for everybody who is told.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self, cast

from pydantic import ConfigDict, ValidationError

from exports import names
from exports.documents import Stored
from exports.models import TaskStatus, WireModel
from exports.tasks.collection import IN_OUTBOX, OUTBOX, REMIND_AT, TaskCollection, has_status
from exports.tasks.task import TaskError

EXPIRING: Final = "export.expiring"
REMINDER_SHARE: Final = 4
"""What part of the time that a file is kept is left when its person is reminded: a quarter."""


class OutboxEntry(WireModel):
    """Something to be told.

    Attributes:
        id: That of the message.
        event: What it tells of: `export.done`.
        at: When that happened (epoch milliseconds).
        error: Why the export failed, if it did: the document may not say so any more.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    event: str
    at: int
    error: TaskError | None = None

    @classmethod
    def all_of(cls, document: Mapping[str, object]) -> list[Self]:
        """Return the entries of a document. One that says nothing has no `event`.

        What has no text as `id` is left out: it is not found by the sweep either.
        """
        found = document.get(OUTBOX)
        entries: list[Self] = []
        for item in cast("list[object]", found) if isinstance(found, list) else []:
            try:
                entries.append(cls.model_validate(item, by_alias=True, by_name=False))
            except ValidationError:
                named = cast("dict[str, object]", item) if isinstance(item, dict) else {}
                if isinstance(entry_id := named.get("id"), str):
                    entries.append(cls(id=entry_id, event="", at=0))
        return entries


def to_tell(
    task_id: str, status: TaskStatus | str, at: int, *, run: object, error: Stored | None
) -> Stored:
    """Return what the update that ends a task adds with `$push`, so that its person is told.

    Args:
        task_id: The task.
        status: How it ends.
        at: When (epoch milliseconds).
        run: The run that it belongs to; anything but a text if it belongs to none.
        error: Why it failed, if it did.
    """
    return _pushed(task_id, f"export.{status}", at, run=run, error=error)


def _pushed(task_id: str, event: str, at: int, *, run: object, error: Stored | None) -> Stored:
    occasion = run if isinstance(run, str) else str(at)
    entry: Stored = {"id": names.message_id(task_id, event, occasion), "event": event, "at": at}
    return {OUTBOX: entry if error is None else {**entry, "error": error}}


def _due(now: int) -> Stored:
    return {"status": has_status(TaskStatus.DONE), REMIND_AT: {"$gt": 0, "$lte": now}}


class Outbox:
    """Finds what is still to be told of tasks, and removes what has been handed over.

    Args:
        tasks: The collection.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks

    async def of(self, task_id: str) -> Stored | None:
        """Return the document of a task of any owner; None if there is none."""
        return await self._tasks.find(task_id)

    def left(self) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks of which something is still to be told."""
        return self._tasks.pages(IN_OUTBOX)

    def to_remind(self, now: int) -> AsyncIterator[list[Stored]]:
        """Yield, in pages, the tasks of which it is time to say that their file goes soon."""
        return self._tasks.pages(_due(now))

    async def remind(self, document: Mapping[str, Any], now: int) -> Stored | None:
        """Add, once, that the file of a task goes soon.

        Args:
            document: One of `to_remind`.
            now: The same time as there (epoch milliseconds).

        Returns:
            The document with the new entry alone in its outbox; None if it was added before.
        """
        run = document.get("runId")
        told = _pushed(str(document["_id"]), EXPIRING, now, run=run, error=None)
        added = await self._tasks.update(
            {"_id": {"$eq": document["_id"]}, **_due(now)},
            {"$unset": {REMIND_AT: ""}, "$push": told},
        )
        return {**document, OUTBOX: [told[OUTBOX]]} if added else None

    async def handed_over(self, document: Mapping[str, Any], entry_id: str) -> None:
        """Remove an entry, for which everybody's delivery has been started."""
        await self._tasks.update(
            {"_id": {"$eq": document["_id"]}}, {"$pull": {OUTBOX: {"id": entry_id}}}
        )

"""Who listens to tasks: each listener keeps the newest states that it has not got yet."""

import asyncio
from typing import Final, NamedTuple, Self

from bson import ObjectId

from exports.documents import Stored
from exports.tasks.task import ExportTask

MAX_WAITING: Final = 1000
"""How many tasks may wait for a listener."""


class Key(NamedTuple):
    """The `_id` of a task: an ObjectId and a text may be written in the same way."""

    text: str
    is_object_id: bool

    @classmethod
    def of(cls, stored_id: object) -> Self:
        """Return the key of an `_id`."""
        return cls(str(stored_id), isinstance(stored_id, ObjectId))


class State(NamedTuple):
    """A task as a change left it; `looks` is the same if nothing but `updatedAt` has changed."""

    key: Key
    task: ExportTask
    looks: int

    @classmethod
    def of(cls, document: Stored) -> Self:
        """Read a document, whose status is a `TaskStatus`."""
        task = ExportTask.from_document(document)
        looks = hash(task.model_dump_json(exclude={"updated_at"}))
        return cls(Key.of(document["_id"]), task, looks)


class Listener:
    """Yields each task that it listens to as it is, then each time it has changed.

    Of a task that changes faster than it is asked for, only the newest state is kept. The iteration
    ends if more than `MAX_WAITING` tasks wait.

    Raises:
        TaskNotFoundError: By the iteration: the one task that it listens to was deleted.
        ExportError: By the iteration: the database refuses to tell of changes.
    """

    def __init__(self, created_by: str | None) -> None:
        self._created_by = created_by
        self._waiting: dict[Key, ExportTask] = {}
        self._seen: dict[Key, int] = {}
        self._news = asyncio.Event()
        self._end: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ExportTask:
        while not self._waiting:
            if self._end is not None:
                raise self._end
            self._news.clear()
            await self._news.wait()
        return self._waiting.pop(next(iter(self._waiting)))

    def take(self) -> list[ExportTask]:
        """Return at once all that waits; at the beginning, the tasks as they are then."""
        waiting, self._waiting = [*self._waiting.values()], {}
        return waiting

    def may_see(self, document: Stored) -> bool:
        """Return whether a document belongs to the person who listens."""
        return self._created_by in (None, document.get("createdBy"))

    def knows(self, key: Key) -> bool:
        """Return whether it has got a state of a task."""
        return key in self._seen

    def put(self, state: State) -> None:
        """Take the newest state of a task, unless it looks like the one before."""
        key, task, looks = state
        if not key.is_object_id and key._replace(is_object_id=True) in self._seen:
            return  # to this service, an id that both have means the ObjectId
        before = self._seen.pop(key, None)
        self._seen[key] = looks
        if before == looks:
            return
        if len(self._seen) > MAX_WAITING:
            del self._seen[next(iter(self._seen))]
        self._waiting[key] = task
        if len(self._waiting) > MAX_WAITING:
            self._waiting.clear()
            self._end = StopAsyncIteration()
        self._news.set()

    def end(self, error: Exception) -> None:
        """End the iteration, after what is waiting."""
        self._end = error
        self._news.set()

"""Follows tasks: one change stream for everybody who listens, or one query where there is none."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from exports import names
from exports.clock import MAX_SKEW_MS, now_ms
from exports.documents import Stored, read
from exports.errors import ExportError, TaskNotFoundError
from exports.models import TaskStatus
from exports.tasks.changes import Stream, next_change, open_changes
from exports.tasks.collection import OPEN, WITHOUT_AUDIT, TaskCollection, has_status, is_known
from exports.tasks.listener import Key, Listener, State
from exports.tasks.store import owned
from exports.tasks.task import stored_ids

NEWEST: Final = 50
"""How many tasks of a person a listener gets first, unless it says since when."""
MOST_CHANGED: Final = 1000
"""How many of them if it does say so."""

_PAUSE: Final = 0.05  # seconds after an empty answer of the stream: what comes, comes together
_POLL: Final = 1.0  # seconds between two queries, and until a lost stream is opened again
_SLOWEST: Final = 10.0  # seconds between two queries while the database is away
_POLLS: Final = 60  # queries until a change stream is tried again
# Two writers' clocks may differ by this many milliseconds.
_MARGIN: Final = 2 * MAX_SKEW_MS
_CHANGES: Final[list[Stored]] = [{"$project": {"fullDocument.audit": 0, "updateDescription": 0}}]

_log = logging.getLogger(__name__)


class TaskFeed:
    """Tells any number of listeners what becomes of tasks.

    While somebody listens, it has one change stream open, and asks one query for each listener at
    its beginning. If no stream can be opened, because the server is not a replica set or the user
    lacks the privilege `changeStream`, it asks one query a second for all of them together. While
    the database is away, listeners wait.

    Args:
        tasks: The collection.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks
        self._of_task = defaultdict[str, set[Listener]](set)
        self._of_person = defaultdict[str | None, set[Listener]](set)
        self._following: asyncio.Task[None] | None = None
        self._ending = set[asyncio.Task[None]]()
        self._told_until = 0  # epoch milliseconds: whatever changed before has been told

    @asynccontextmanager
    async def listen(
        self, *, task_id: str | None = None, created_by: str | None, since: int | None = None
    ) -> AsyncGenerator[Listener]:
        """Listen to one task, or to all tasks of a person. It begins with how they are now.

        Args:
            task_id: The task; None for all.
            created_by: Who asks; None for an operator, who sees everybody's tasks.
            since: Of all tasks, begin with those that have changed since then (epoch milliseconds),
                not with the newest ones.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
        """
        listener = Listener(created_by)
        topic = self._of_person[created_by] if task_id is None else self._of_task[task_id]
        topic.add(listener)
        try:
            first = [State.of(found) for found in await self._first(task_id, created_by, since)]
            for state in first:
                if not listener.knows(state.key):  # what it was told meanwhile is newer
                    listener.put(state)
            if task_id is None or not first[0].task.status.ended:
                self._start()
            yield listener
        finally:
            topic.discard(listener)
            if not self._of_task.get(task_id or ""):
                self._of_task.pop(task_id or "", None)
            if not self._of_person.get(created_by):
                self._of_person.pop(created_by, None)
            if not self._of_task and not self._of_person:
                self._stop()

    async def close(self) -> None:
        """End the change stream, before the database's client is closed."""
        self._stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _start(self) -> None:
        # Everybody who listens by now is brought up to date as soon as the stream is open.
        if self._following is None:
            self._told_until = now_ms()
            self._following = asyncio.create_task(self._follow())

    def _stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._ending.add(self._following)
            self._following.add_done_callback(self._ending.discard)
            self._following = None

    async def _first(
        self, task_id: str | None, created_by: str | None, since: int | None
    ) -> Iterable[Stored]:
        if task_id is not None:
            return [owned(await self._tasks.find(task_id), created_by)]
        query: Stored = {"status": has_status(*TaskStatus)}
        if created_by is not None:
            names.check_text(created_by, "createdBy")
            query["createdBy"] = {"$eq": created_by, "$not": {"$type": "array"}}
        sort, limit = [("createdAt", -1), ("_id", -1)], NEWEST
        if since is not None:
            query["updatedAt"] = {"$gte": since}
            sort, limit = [("updatedAt", -1)], MOST_CHANGED
        found = await read(self._tasks.documents, query, WITHOUT_AUDIT, sort=sort, limit=limit)
        return reversed(found)

    async def _follow(self) -> None:
        try:
            while self._is_followed():
                await self._follow_stream()
        except Exception as error:  # noqa: BLE001 -- the listeners raise it
            self._following = None
            for listeners in (*self._of_task.values(), *self._of_person.values()):
                for listener in listeners:
                    listener.end(error)

    def _is_followed(self) -> bool:
        # If the URI has a `timeoutMS`, the driver uses `asyncio.wait_for`, which may swallow a
        # cancellation in Python 3.11: https://github.com/python/cpython/issues/86296
        return self._following is asyncio.current_task()

    async def _follow_stream(self) -> None:
        """Follow a change stream until it is lost; if there is none, poll for a while."""
        try:
            stream = await open_changes(self._tasks, _CHANGES, full_document="updateLookup")
        except ExportError as error:
            _log.info(
                "One query a second follows exports, because there is no change stream: that needs "
                "a replica set and the privilege changeStream. %s",
                error.msg,
            )
            await self._poll()
            return
        try:
            async with stream:
                await self._catch_up()
                while stream.alive and self._is_followed():
                    await self._read(stream)
        except ExportError as error:
            _log.info("The change stream of ExportTasks is opened again. %s", error.msg)
        # The next one does not resume where this one was lost, which may be why it was lost. It
        # begins now, and a query brings everybody up to date.
        await asyncio.sleep(_POLL)

    async def _read(self, stream: Stream) -> None:
        """Tell of the next change, or wait a while for one."""
        change = await next_change(self._tasks, stream)
        if change is None:
            self._told_until = now_ms()
            await asyncio.sleep(_PAUSE)
        elif change["operationType"] == "delete":
            self._end(Key.of(change["documentKey"]["_id"]))
        elif change.get("fullDocument") is not None:  # it may have been deleted meanwhile
            self._tell(change["fullDocument"])

    async def _poll(self) -> None:
        """Ask once a second, for about a minute; less often while the database is away."""
        pause = _POLL
        for _ in range(_POLLS):
            await asyncio.sleep(pause)
            if not self._is_followed():
                return
            try:
                await self._catch_up()
                pause = _POLL
            except ExportError as error:
                if error.permanent:
                    raise
                if pause == _POLL:
                    _log.warning("Exports are followed again as soon as possible. %s", error.msg)
                pause = min(pause * 2, _SLOWEST)

    async def _catch_up(self) -> None:
        """Read everything that is listened to, in one query, and tell of what has changed."""
        began, missing = now_ms(), set(self._of_task)
        async for page in self._tasks.pages(self._listened_to()):
            for document in page:
                missing.discard(str(document["_id"]))
                self._tell(document)
        for task_id in missing:
            for key in (Key(task_id, is_object_id=True), Key(task_id, is_object_id=False)):
                self._end(key)
        self._told_until = began

    def _listened_to(self) -> Stored:
        ids = [stored_id for task_id in self._of_task for stored_id in stored_ids(task_id)]
        if not self._of_person:
            return {"_id": {"$in": ids}}
        people = [person for person in self._of_person if person is not None]
        theirs = {} if None in self._of_person else {"createdBy": {"$in": people}}
        return {
            "$or": [
                {"_id": {"$in": ids}},
                {"updatedAt": {"$gte": self._told_until - _MARGIN}, **theirs},
                # Other systems insert tasks without `updatedAt`.
                {"status": {"$in": OPEN}, **theirs},
            ]
        }

    def _tell(self, document: Stored) -> None:
        key, owner = Key.of(document["_id"]), document.get("createdBy")
        listeners = self._of_task.get(key.text, set()) | self._of_person.get(None, set())
        if isinstance(owner, str):
            listeners |= self._of_person.get(owner, set())
        if not is_known(document):
            self._end(key)
        elif listeners:
            state = State.of(document)
            for listener in listeners:
                if listener.may_see(document):
                    listener.put(state)
                elif listener.knows(key):
                    listener.end(_not_found())

    def _end(self, key: Key) -> None:
        """Tell those who listen to this task alone that there is none any more."""
        for listener in self._of_task.get(key.text, set()):
            if listener.knows(key):
                listener.end(_not_found())


def _not_found() -> TaskNotFoundError:
    return TaskNotFoundError("There is no such task.")

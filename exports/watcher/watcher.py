"""The watcher: starts the exports that other systems insert, as soon as they are inserted."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from exports.clock import now_ms
from exports.documents import Stored
from exports.errors import ExportError
from exports.models import SweepCount
from exports.task_starts import TaskStarter, each
from exports.tasks.changes import (
    NoStreamsError,
    Place,
    Stream,
    StreamLostError,
    next_change,
    open_changes,
)
from exports.tasks.collection import TaskCollection
from exports.tasks.sweep import SweepStore
from exports.watcher.lease import RENEWED_EVERY, Lease

STAGES: Final[list[Stored]] = [
    {
        "$match": {
            "$or": [
                {
                    "operationType": {"$in": ["insert", "replace"]},
                    "fullDocument.status": "pending",
                    "fullDocument.runId": None,
                    # Clients store one, and start what they have stored.
                    "fullDocument.audit": {"$exists": False},
                },
                {
                    "operationType": "update",
                    "updateDescription.updatedFields.status": "pending",
                    # Every update of this service sets it.
                    "updateDescription.updatedFields.updatedAt": {"$exists": False},
                },
            ]
        }
    },
    {"$project": {"documentKey": 1}},
]
"""Leaves of all changes those that make a task due, and that nobody else acts on."""

_TRIES: Final = 3  # to start one task, while all servers answer
_FIRST_PAUSE: Final = 1.0  # seconds, then twice as many each time
_SLOWEST: Final = 10.0  # seconds between two tries while a server is away
_SLOWEST_WITHOUT: Final = 300.0  # the same, where there are no change streams
_STOPS_WITHIN: Final = 3.0  # seconds until a work that does not stop is asked again
_MOST_FAILURES: Final = 9  # that are counted
_MOST_WAITING: Final = 500  # changes

_NEEDS: Final = " A change stream needs a replica set and the privilege changeStream."

_log = logging.getLogger("exports.watcher")


class Change(NamedTuple):
    """What was read from the stream: the `_id` of a document, or nothing, and the place after."""

    ids: list[object]
    token: Place | None


class Watcher:
    """Watches `ExportTasks`, and starts the tasks that were stored without the client.

    It starts what a sweep would start, by the same rules; what it can't start is left to the
    sweep. Of all workers of a task queue, one watches at a time.

    Args:
        tasks: The collection; its origin is the worker's identity.
        temporal: Starts workflows.
        task_queue: Of the workers.
    """

    def __init__(self, tasks: TaskCollection, temporal: Client, task_queue: str) -> None:
        self._tasks = tasks
        self._temporal = temporal
        self._task_queue = task_queue
        self._sweep = SweepStore(tasks)
        self._starter = TaskStarter(self._sweep, temporal)
        self._lease = Lease(tasks.documents.database, task_queue, tasks.origin)
        self._failures = 0  # in a row, of one kind
        self._failed_with: type[Exception] | None = None

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None]:
        """Watch until the block is left."""
        watching = asyncio.create_task(self._run())
        try:
            yield
        finally:
            await _stopped(watching)

    async def _run(self) -> None:
        while True:
            pause = RENEWED_EVERY
            try:
                await self._watch_with_lease()
            except Exception as error:  # noqa: BLE001 -- a worker works without a watcher, too
                pause = self._failed(error)
            await asyncio.sleep(pause)

    def _failed(self, error: Exception) -> float:
        """Say once why nothing is watched, and again for another reason.

        Returns:
            The seconds until the next try.
        """
        unsupported = isinstance(error, NoStreamsError)
        if type(error) is not self._failed_with:
            self._failures, self._failed_with = 0, type(error)
            _log.warning(
                "What other systems insert may wait for the next sweep. %s%s",
                error.msg if isinstance(error, ExportError) else type(error).__name__,
                _NEEDS if unsupported else "",
            )
        pause: float = _FIRST_PAUSE * 2**self._failures
        self._failures = min(self._failures + 1, _MOST_FAILURES)
        return min(pause, _SLOWEST_WITHOUT if unsupported else _SLOWEST)

    async def _watch_with_lease(self) -> None:
        """Take the lease if it is free, and watch until it is lost."""
        may_be_taken = True  # also if this is stopped, or fails, before the answer
        try:
            may_be_taken = await self._lease.take()
            if may_be_taken:
                await _until_one_ends(self._lease.keep(), self._watch())
        finally:
            if may_be_taken:
                await self._lease.give_back()

    async def _watch(self) -> None:
        """Start what is stored until the stream is lost, and say how far everything is started."""
        await self._tasks.check_clock()  # which decides what is due
        async with await self._open() as stream:
            changes = asyncio.Queue[Change](_MOST_WAITING)
            try:
                await _until_one_ends(self._read(stream, changes), self._follow(changes))
            except StreamLostError:
                self._lease.token = None  # which may be the reason
                raise

    async def _open(self) -> Stream:
        """Go on where the last holder was; if that is not possible, look for what is due."""
        if self._lease.token is not None:
            try:
                return await open_changes(self._tasks, STAGES, resume_after=self._lease.token)
            except StreamLostError as error:
                _log.info("The place in the change stream is lost; all is looked at. %s", error.msg)
                self._lease.token = None
        # First the stream and then the look, so that nothing falls in between.
        stream = await open_changes(self._tasks, STAGES)
        try:
            await self._start(None)
        except BaseException:
            await stream.close()
            raise
        self._lease.token = stream.resume_token
        return stream

    async def _read(self, stream: Stream, changes: asyncio.Queue[Change]) -> None:
        while stream.alive:
            found = await next_change(self._tasks, stream)
            ids = [] if found is None else [found["documentKey"]["_id"]]
            await changes.put(Change(ids, stream.resume_token))
        raise StreamLostError("The collection ExportTasks was dropped or renamed.")

    async def _follow(self, changes: asyncio.Queue[Change]) -> None:
        while True:
            found = [await changes.get()]
            while not changes.empty():
                found.append(changes.get_nowait())
            if ids := [one for change in found for one in change.ids]:
                await self._start(ids)
            self._lease.token = found[-1].token
            self._failed_with = None

    async def _start(self, ids: list[object] | None) -> None:
        """Start what is due of some documents, or of all."""
        await each(self._sweep.due(now_ms(), ids), self._start_one)

    async def _start_one(self, document: Stored) -> SweepCount:
        why = "Temporal refuses it"
        for _ in range(_TRIES):
            try:
                return await self._starter.handle(document, self._begin)
            except RPCError as error:
                if error.status == RPCStatusCode.INVALID_ARGUMENT:
                    break  # the sweep finds out whether it refuses every export
                why = error.status.name
            except Exception as error:  # noqa: BLE001 -- one document must not hold up all others
                why = error.msg if isinstance(error, ExportError) else type(error).__name__
            await self._until_servers_answer()
            if not await self._sweep.is_unchanged(document):
                return SweepCount()
        _log.warning("A task could not be started and is left to the next sweep: %s", why)
        return SweepCount()

    async def _begin(self, document: Stored) -> bool:
        # Who reads the stream again after a crash finds what has been started and may have ended.
        return await self._starter.start(
            document,
            task_queue=self._task_queue,
            reuse=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )

    async def _until_servers_answer(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _SLOWEST)
            try:
                await self._temporal.service_client.check_health()
                await self._tasks.check_clock()
            except (RPCError, ExportError):
                continue
            return


async def _until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run works side by side; when one ends or fails, end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            await _stopped(task)


async def _stopped(task: asyncio.Task[None]) -> None:
    # If the URI has a `timeoutMS`, the driver uses `asyncio.wait_for`, which may swallow a
    # cancellation in Python 3.11: https://github.com/python/cpython/issues/86296
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_STOPS_WITHIN)
    await asyncio.gather(task, return_exceptions=True)  # so that nobody misses its error

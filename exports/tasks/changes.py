"""A change stream of `ExportTasks`, each answer within a deadline."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import ConnectionFailure, OperationFailure

from exports.documents import Stored
from exports.errors import DatabaseRefusedError
from exports.server_errors.mongo import MONGO_ERRORS, tasks_error
from exports.tasks.collection import TaskCollection

_LONGEST_WAIT: Final = 1.0  # seconds that the server waits for a change before it answers
_NO_STREAMS: Final = {
    13: "Unauthorized",
    59: "CommandNotFound",
    115: "CommandNotSupported",
    238: "NotImplemented",
    40324: "(unknown stage)",
    40573: "(only supported on replica sets)",
}
"""The answers of a server that has no change streams, or has none for this user."""

Stream = AsyncChangeStream[Stored]
Place = Mapping[str, Any]
"""A place in a change stream; MongoDB calls it a resume token."""


class NoStreamsError(DatabaseRefusedError):
    """The database has no change streams, or has none for this user."""


class StreamLostError(DatabaseRefusedError):
    """The database answered that a change stream can't go on from this place."""


async def open_changes(
    tasks: TaskCollection,
    stages: list[Stored],
    *,
    resume_after: Place | None = None,
    full_document: str | None = None,
) -> Stream:
    """Open a change stream.

    Args:
        tasks: The collection.
        stages: What becomes of each change.
        resume_after: Where it begins; None for the present.
        full_document: `updateLookup` if the server is to look up the document of each update.

    Raises:
        NoStreamsError: There are none: the server is not a replica set, or the user lacks the
            privilege `changeStream`.
        StreamLostError: It answered that it does not begin at this place.
        ExportError: The database can't be reached, or has another reason.
    """
    # The server must answer before the deadline, also if nothing changes.
    seconds = min(_LONGEST_WAIT, (tasks.documents.database.client.options.timeout or math.inf) / 2)
    async with tasks.operation():
        with _none() if resume_after is None else _lost():
            return await tasks.documents.watch(
                stages,
                full_document,
                resume_after,
                max_await_time_ms=int(1000 * seconds),
            )


async def next_change(tasks: TaskCollection, stream: Stream) -> Stored | None:
    """Return the next change; None if there was none for about a second.

    After an election or a broken connection, the driver goes on where it was.

    Raises:
        StreamLostError: The stream can't go on.
        ExportError: The database can't be reached.
    """
    async with tasks.operation():
        with _lost():
            return await stream.try_next()


@contextmanager
def _none() -> Generator[None]:
    try:
        yield
    except OperationFailure as error:
        if error.code in _NO_STREAMS:
            raise NoStreamsError(tasks_error(error).msg) from None
        raise


@contextmanager
def _lost() -> Generator[None]:
    """Tell an answer that is an error from none: after the latter, the same may be asked again."""
    try:
        yield
    except ConnectionFailure:
        raise
    except MONGO_ERRORS as error:
        raise StreamLostError(tasks_error(error).msg) from None

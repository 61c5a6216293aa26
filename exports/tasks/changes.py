"""A change stream of `ExportTasks`, each answer within a deadline."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import ConnectionFailure

from exports.errors import DatabaseRefusedError
from exports.server_errors.mongo import MONGO_ERRORS, tasks_error
from exports.tasks.collection import Stored, TaskCollection

_LONGEST_WAIT: Final = 1.0  # seconds that the server waits for a change before it answers

Stream = AsyncChangeStream[Stored]
Place = Mapping[str, Any]
"""A place in a change stream; MongoDB calls it a resume token."""


class NoStreamsError(DatabaseRefusedError):
    """The database answered that it opens no change stream, from wherever it should begin."""


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
        NoStreamsError: There are none: the server is no replica set, or the user lacks the
            privilege `changeStream`.
        StreamLostError: There is no longer this place in them.
        ExportError: The database can't be reached.
    """
    # The server must answer before the deadline, also if nothing changes.
    seconds = min(_LONGEST_WAIT, (tasks.documents.database.client.options.timeout or math.inf) / 2)
    refused = NoStreamsError if resume_after is None else StreamLostError
    async with tasks.operation():
        with _answers(refused):
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
        with _answers(StreamLostError):
            return await stream.try_next()


@contextmanager
def _answers(refused: type[DatabaseRefusedError]) -> Generator[None]:
    """Tell an answer that is an error from none: after the latter, the same may be asked again."""
    try:
        yield
    except ConnectionFailure:
        raise
    except MONGO_ERRORS as error:
        raise refused(tasks_error(error).msg) from None

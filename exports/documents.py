"""What all collections of this service share: majority concerns, deadlines, errors and indexes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from bson.codec_options import CodecOptions
from pymongo import IndexModel, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from exports.errors import DatabaseRefusedError
from exports.server_errors.mongo import MONGO_ERRORS, UNCONFIRMED, tasks_error

# Other systems insert documents too, which may hold anything: there is no narrower type.
Stored = dict[str, Any]

OPERATION_TIMEOUT: Final = 10.0
"""Seconds for one operation, with its retries; `timeoutMS` in the URI replaces them."""
MAJORITY_TIMEOUT: Final = 8000
"""Milliseconds that the server lets a write wait for the majority: `wtimeout`.

Shorter than `OPERATION_TIMEOUT`, so that the server can still answer, with code 64.
"""
READ_TIMEOUT: Final = 8000
"""Milliseconds that the server may work on a read: `maxTimeMS`. The same, with code 50."""
PAGES_TIMEOUT: Final = 240_000
"""The same for all pages of a cursor together: less than a sweep takes at most."""
PAGE: Final = 500
"""Documents that the sweep reads at once."""
INDEX_TIMEOUT: Final = 600.0
"""Seconds for the creation of indexes: the server reads the whole collection for them."""

ANY_TEXT: Final = {"$gt": ""}  # to MongoDB, nothing of another type is more or less than a text

Sort = list[tuple[str, int]]


class ConflictError(DatabaseRefusedError):
    """A document can't be stored, because another one has a text that must be unique.

    Attributes:
        field: The field.
        value: The text.
    """

    def __init__(self, error: DuplicateKeyError) -> None:
        super().__init__(tasks_error(error).msg)
        details: Mapping[str, Any] = error.details or {}
        self.field, self.value = next(iter(details.get("keyValue", {"": None}).items()))


@contextmanager
def translated() -> Generator[None]:
    """Translate the driver's errors to domain errors, which repeat no value of a document."""
    try:
        yield
    except DuplicateKeyError as error:
        raise ConflictError(error) from None
    except MONGO_ERRORS as error:
        raise tasks_error(error) from None


async def server_time(database: AsyncDatabase[Stored]) -> datetime:
    """Return the time of a database server's clock, with its time zone."""
    local: datetime = (await database.command("hello"))["localTime"]
    return local if local.tzinfo else local.replace(tzinfo=UTC)


@asynccontextmanager
async def deadline(
    documents: AsyncCollection[Stored], seconds: float | None = None
) -> AsyncGenerator[None]:
    """Give what this block asks of the database a deadline, and translate its errors.

    Not the driver's own deadline (`pymongo.timeout`), which replaces the time for finding a
    server, so that a server that is away would be noticed late.

    Args:
        documents: The collection.
        seconds: How long it may take; by default the URI's `timeoutMS`, or `OPERATION_TIMEOUT`.

    Raises:
        DatabaseUnavailableError: The deadline passed. A write may have been applied.
    """
    seconds = seconds or documents.database.client.options.timeout or OPERATION_TIMEOUT
    try:
        async with asyncio.timeout(seconds):
            with translated():
                yield
    except TimeoutError:
        raise UNCONFIRMED.to_error(what=f"no answer within {seconds:g} s") from None


def majority_collection(
    database: AsyncDatabase[Stored], name: str, *, codec_options: CodecOptions[Stored] | None = None
) -> AsyncCollection[Stored]:
    """Return a collection whose writes wait for the majority, and whose reads see no others.

    Args:
        database: Its database.
        name: Its name.
        codec_options: How its documents are decoded; None: as the database's are.
    """
    return database.get_collection(
        name,
        codec_options=codec_options,
        write_concern=WriteConcern("majority", wtimeout=MAJORITY_TIMEOUT),
        read_concern=ReadConcern("majority"),
        # A write must be visible to the next read, even if the URI has a `readPreference`.
        read_preference=ReadPreference.PRIMARY,
    )


async def read(
    documents: AsyncCollection[Stored],
    query: Stored,
    fields: Stored | None = None,
    *,
    sort: Sort | None = None,
    limit: int = 0,
) -> list[Stored]:
    """Return the documents that match a query, within the deadline.

    Args:
        documents: The collection.
        query: Which ones.
        fields: Which of their fields; None for all.
        sort: In which order.
        limit: How many at most; 0 for all.

    Raises:
        ExportError: The database could not read them in time, or refused to.
    """
    async with deadline(documents):
        found = _find(documents, query, fields, sort, READ_TIMEOUT)
        return await found.limit(limit).to_list()


async def read_one(
    documents: AsyncCollection[Stored], query: Stored, fields: Stored | None = None
) -> Stored | None:
    """Return a document that matches a query; None if there is none. See `read`."""
    return next(iter(await read(documents, query, fields, limit=1)), None)


async def pages(
    documents: AsyncCollection[Stored],
    query: Stored,
    fields: Stored | None = None,
    *,
    sort: Sort | None = None,
) -> AsyncIterator[list[Stored]]:
    """Yield, in pages, the documents that match a query; the arguments are those of `read`."""
    found = _find(documents, query, fields, sort, PAGES_TIMEOUT).batch_size(PAGE)
    while True:
        async with deadline(documents):
            page = await found.to_list(PAGE)
        if not page:
            return
        yield page


def _find(
    documents: AsyncCollection[Stored],
    query: Stored,
    fields: Stored | None,
    sort: Sort | None,
    timeout: int,
) -> AsyncCursor[Stored]:
    # An index gives nearly every order. Where it does not, because a document of another system
    # has an array in one of its fields, the server must not fail at 100 MB.
    disk = True if sort else None
    return documents.find(query, fields, sort=sort, allow_disk_use=disk, max_time_ms=timeout)


class Indexes:
    """The indexes of a collection, made once for this object: the one way to make them.

    Without them, texts that must be unique are not, and nothing is removed in time.

    Args:
        documents: The collection.
        models: The indexes.
    """

    def __init__(self, documents: AsyncCollection[Stored], models: Sequence[IndexModel]) -> None:
        self._documents = documents
        self._models = models
        self._lock = asyncio.Lock()
        self._are_there = False

    async def ensure(self) -> None:
        """Create those that are missing.

        Raises:
            ExportError: The database refused to, or can't be reached.
        """
        async with self._lock:
            if not self._are_there:
                async with deadline(self._documents, INDEX_TIMEOUT):
                    await self._documents.create_indexes(self._models)
                self._are_there = True

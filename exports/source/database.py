"""Reads the database that reports are about, and says in our words what went wrong."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from exports.clock import millis
from exports.errors import CollectionMissingError, ExportError, SourceUnavailableError
from exports.server_errors.mongo import MONGO_VALUES, NO_VALUES, mongo_name, mongo_verdict

Stage = dict[str, Any]
"""One stage of an aggregation pipeline."""

_T = TypeVar("_T")

_DOCUMENTS_PER_BATCH: Final = 1000
# Decoding a batch holds the interpreter: this many small documents for about 15 ms, during which
# neither heartbeats nor other exports get on.
ROWS_PER_BATCH: Final = 10_000
"""At most so many documents come with one answer of the database to a query."""
# The server keeps the query timeout. This is for a server that does not answer at all.
_GRACE: Final = timedelta(seconds=15)

CODEC: Final = CodecOptions[dict[str, Any]](
    tz_aware=True,
    # One damaged document must not stop an export: a date beyond the year 9999 stays a number of
    # milliseconds, and what is not UTF-8 shows as replacement characters.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)


@dataclass(frozen=True)
class RowQuery:
    """A query over single documents.

    Attributes:
        filter: Which documents.
        projection: What of them.
        sort: In which order.
        limit: At most how many; None for all.
    """

    filter: dict[str, Any]
    projection: dict[str, Any]
    sort: list[tuple[str, int]]
    limit: int | None = None


class Source:
    """The database that reports read, which is never written.

    It reads what a majority of the replica set has, so that no failover takes a row back.

    Args:
        database: Where the collections are.
        query_timeout: Longest time of one aggregation or query on the server (`maxTimeMS`).
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], query_timeout: timedelta) -> None:
        self.database = database
        self._query_timeout = query_timeout

    async def aggregate(self, collection: str, pipeline: list[Stage]) -> list[dict[str, Any]]:
        """Run an aggregation and return its whole result.

        Args:
            collection: A collection or a view.
            pipeline: Its stages.

        Raises:
            CollectionMissingError: There is no such collection; MongoDB itself gives no rows.
            PipelineError: The database refuses the aggregation as such.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database can't be reached or did not answer in time.
        """
        with self._in_our_words(collection):
            found = await self._in_time(self._aggregated(collection, pipeline))
            if not found:
                await self._check_exists(collection)
            return found

    async def raw_batches(self, collection: str, query: RowQuery) -> AsyncGenerator[bytes]:
        """Run a query and yield its result as it comes from the wire.

        Args:
            collection: A collection or a view.
            query: What to read.

        Yields:
            BSON documents, one after the other, some thousand at a time.

        Raises:
            CollectionMissingError: There is no such collection; MongoDB itself gives no rows.
            PipelineError: The database refuses the query as such.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database can't be reached or did not answer in time.
        """
        with self._in_our_words(collection):
            cursor = self._collection(collection).find_raw_batches(
                query.filter,
                query.projection,
                sort=query.sort,
                limit=query.limit or 0,
                batch_size=ROWS_PER_BATCH,
                allow_disk_use=True,
                max_time_ms=self._max_time_ms,
            )
            some = False
            async with cursor:
                # The last one of a cursor may be empty.
                while batch := await self._in_time(anext(cursor, b"")):
                    some = True
                    yield cast("bytes", batch)  # the driver types it as a document
            if not some:
                await self._check_exists(collection)

    async def newest_id(self, collection: str) -> ObjectId | None:
        """Return the greatest `_id` of a collection.

        Returns:
            None if there is none, or if it is not an ObjectId and so may be somebody's name.

        Raises:
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database can't be reached or did not answer in time.
        """
        with self._in_our_words(collection):
            found = await self._in_time(
                self._collection(collection).find_one(
                    {}, {"_id": True}, sort=[("_id", -1)], max_time_ms=self._max_time_ms
                )
            )
        newest: object = (found or {}).get("_id")
        return newest if isinstance(newest, ObjectId) else None

    @property
    def _max_time_ms(self) -> int:
        return max(1, millis(self._query_timeout))

    def _collection(self, name: str) -> AsyncCollection[dict[str, Any]]:
        return self.database.get_collection(
            name, codec_options=CODEC, read_concern=ReadConcern("majority")
        )

    async def _check_exists(self, collection: str) -> None:
        # The names that this user may read are enough: needs no privilege on the whole database.
        names = await self.database.list_collection_names(
            filter={"name": collection}, authorizedCollections=True
        )
        if not names:
            raise _missing(collection)

    async def _aggregated(self, collection: str, pipeline: list[Stage]) -> list[dict[str, Any]]:
        cursor = await self._collection(collection).aggregate(
            pipeline,
            allowDiskUse=True,
            maxTimeMS=self._max_time_ms,
            batchSize=_DOCUMENTS_PER_BATCH,
        )
        async with cursor:
            return await cursor.to_list()

    async def _in_time(self, answer: Awaitable[_T]) -> _T:
        async with asyncio.timeout((self._query_timeout + _GRACE).total_seconds()):
            return await answer

    @contextmanager
    def _in_our_words(self, collection: str) -> Generator[None]:
        try:
            yield
        except TimeoutError:
            raise SourceUnavailableError("The source database did not answer in time.") from None
        except PyMongoError as error:
            raise source_error(error, collection) from None
        except NO_VALUES as error:
            raise MONGO_VALUES.source.about(
                what=type(error).__name__, where=repr(collection)
            ) from None


def source_error(error: PyMongoError, collection: str) -> ExportError:
    """Say in our words what the database or the driver said.

    Args:
        error: What pymongo raised.
        collection: The collection that was read.

    Returns:
        An error whose message has the code, its name and the collection, and nothing else that
        the server wrote.
    """
    return mongo_verdict(error).source.about(what=mongo_name(error), where=repr(collection))


def _missing(collection: str) -> CollectionMissingError:
    return CollectionMissingError(f"There is no collection {collection!r} in the source database.")

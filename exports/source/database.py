"""Reads the source database, and translates its errors into those of this service."""

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
from pymongo.read_concern import ReadConcern

from exports.clock import millis
from exports.errors import CollectionMissingError, SourceUnavailableError
from exports.server_errors.mongo import MONGO_ERRORS, source_error

Stage = dict[str, Any]
"""One stage of an aggregation pipeline."""

_T = TypeVar("_T")

_DOCUMENTS_PER_BATCH: Final = 1000
ROWS_PER_BATCH: Final = 10_000
"""Most documents in one batch of a query.

Decoding a batch holds the interpreter lock, for about 15 ms if the documents are small. Heartbeats
and other exports wait meanwhile.
"""
_GRACE: Final = timedelta(seconds=15)
"""How much longer than the query timeout to wait for a server that does not answer at all."""

CODEC: Final = CodecOptions[dict[str, Any]](
    tz_aware=True,
    # One damaged document must not stop an export: a date after the year 9999 stays a number of
    # milliseconds, and bytes that are not UTF-8 become replacement characters.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)


@dataclass(frozen=True)
class RowQuery:
    """A query over single documents.

    Attributes:
        filter: Which documents.
        projection: Which of their fields.
        sort: In which order: fields with 1 (ascending) or -1.
        limit: The largest number of documents; None for all.
    """

    filter: dict[str, Any]
    projection: dict[str, Any]
    sort: list[tuple[str, int]]
    limit: int | None = None


class Source:
    """The database that reports read. Nothing is ever written to it.

    Reads have read concern `majority`, so that a failover cannot roll back a row that was read.

    Args:
        database: The database with the collections.
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
            CollectionMissingError: There is no such collection. (MongoDB returns no rows.)
            PipelineError: The database refuses the aggregation, whenever it is sent.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """
        with self._translate_errors(collection):
            found = await self._with_timeout(self._run_aggregation(collection, pipeline))
            if not found:
                await self._check_exists(collection)
            return found

    async def raw_batches(self, collection: str, query: RowQuery) -> AsyncGenerator[bytes]:
        """Run a query and yield its result as raw BSON.

        Args:
            collection: A collection or a view.
            query: What to read.

        Yields:
            BSON documents, one after the other, at most `ROWS_PER_BATCH` at a time.

        Raises:
            CollectionMissingError: There is no such collection. (MongoDB returns no rows.)
            PipelineError: The database refuses the query, whenever it is sent.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """
        with self._translate_errors(collection):
            cursor = self._collection(collection).find_raw_batches(
                query.filter,
                query.projection,
                sort=query.sort,
                limit=query.limit or 0,
                batch_size=ROWS_PER_BATCH,
                allow_disk_use=True,
                max_time_ms=self._max_time_ms,
            )
            found = False
            async with cursor:
                # The last batch of a cursor may be empty.
                while batch := await self._with_timeout(anext(cursor, b"")):
                    found = True
                    yield cast("bytes", batch)  # the driver types it as a document
            if not found:
                await self._check_exists(collection)

    async def newest_id(self, collection: str) -> ObjectId | None:
        """Return the greatest `_id` of a collection.

        Returns:
            None if the collection is empty, or if the `_id` is not an ObjectId: it may be personal
            data, such as a name.

        Raises:
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """
        query = RowQuery(filter={}, projection={"_id": True}, sort=[("_id", -1)])
        newest: object = (await self.first(collection, query) or {}).get("_id")
        return newest if isinstance(newest, ObjectId) else None

    async def first(self, collection: str, query: RowQuery) -> dict[str, Any] | None:
        """Return the first document of a query, or None; its `limit` is not used.

        Raises:
            PipelineError: The database refuses the query, whenever it is sent.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """
        with self._translate_errors(collection):
            return await self._with_timeout(
                self._collection(collection).find_one(
                    query.filter, query.projection, sort=query.sort, max_time_ms=self._max_time_ms
                )
            )

    @property
    def _max_time_ms(self) -> int:
        return max(1, millis(self._query_timeout))

    def _collection(self, name: str) -> AsyncCollection[dict[str, Any]]:
        return self.database.get_collection(
            name, codec_options=CODEC, read_concern=ReadConcern("majority")
        )

    async def _check_exists(self, collection: str) -> None:
        # Only the names that this user may read, so that it needs no privilege on the database.
        names = await self._with_timeout(
            self.database.list_collection_names(
                filter={"name": collection}, authorizedCollections=True
            )
        )
        if not names:
            raise _missing(collection)

    async def _run_aggregation(
        self, collection: str, pipeline: list[Stage]
    ) -> list[dict[str, Any]]:
        cursor = await self._collection(collection).aggregate(
            pipeline,
            allowDiskUse=True,
            maxTimeMS=self._max_time_ms,
            batchSize=_DOCUMENTS_PER_BATCH,
        )
        async with cursor:
            return await cursor.to_list()

    async def _with_timeout(self, answer: Awaitable[_T]) -> _T:
        async with asyncio.timeout((self._query_timeout + _GRACE).total_seconds()):
            return await answer

    @contextmanager
    def _translate_errors(self, collection: str) -> Generator[None]:
        try:
            yield
        except TimeoutError:
            raise SourceUnavailableError("The source database did not answer in time.") from None
        except MONGO_ERRORS as error:
            raise source_error(error, collection) from None


def _missing(collection: str) -> CollectionMissingError:
    return CollectionMissingError(f"There is no collection {collection!r} in the source database.")

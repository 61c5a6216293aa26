"""Reads the source database, and translates its errors into those of this service."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self, TypeVar, cast

from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from exports.clock import millis
from exports.errors import CollectionMissingError, SnapshotError
from exports.runtime.outages import waits
from exports.server_errors.mongo import MONGO_ERRORS, NO_CODE, source_error
from exports.source.moments import AtClusterTime, Reads, advance, moment_of
from exports.source.types import NotFrozen

Stage = dict[str, Any]
"""One stage of an aggregation pipeline."""

_T = TypeVar("_T")

_DOCUMENTS_PER_BATCH: Final = 1000
ROWS_PER_BATCH: Final = 16_384
"""Most documents in one batch of a query; memory holds a few batches of each unit."""
_GRACE: Final = timedelta(seconds=15)
"""How much longer than the query timeout to wait for a server that does not answer at all."""
_PRIMARY_TIMEOUT: Final = 10
"""Seconds that the primary has to tell its time."""
_SNAPSHOT_WIRE_VERSION: Final = 13
"""The `maxWireVersion` of MongoDB 5.0, the first that reads snapshots outside of transactions."""
_NOT_FROZEN: Final[dict[str, NotFrozen]] = {"view": "a view", "timeseries": "a time series"}

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
    Those of one export also have a moment in common: see `at`.

    Args:
        database: The database with the collections.
        query_timeout: Longest time of one aggregation or query on the server (`maxTimeMS`).
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], query_timeout: timedelta) -> None:
        self.database = database
        self._query_timeout = query_timeout
        self._reads = Reads()

    @asynccontextmanager
    async def at(self, moment: str | None, *, snapshot: bool = False) -> AsyncGenerator[Self]:
        """Give a block a source whose reads belong together, whichever member answers each.

        Args:
            moment: What another such source has seen, which may be in another process: its
                `moment`. None: what the primary has now.
            snapshot: Whether all is read exactly as it was at that moment. Otherwise the reads are
                causally consistent: each sees at least what was there at that moment, and what the
                reads before it saw.

        Yields:
            The source, for one read at a time.

        Raises:
            SnapshotError: There are no snapshots here: no replica set, or MongoDB before 5.0.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """
        client = self.database.client
        async with client.start_session(causal_consistency=not snapshot) as session:
            if moment is None:
                await self._ask_primary(session, snapshot=snapshot)
                moment = moment_of(session)
            reads = Reads(session)
            if moment is not None:
                time = advance(session, moment)
                if snapshot:
                    reads = Reads(session, AtClusterTime(time), moment)
            source = copy(self)
            source._reads = reads  # noqa: SLF001 -- a copy of ours
            yield source

    @property
    def moment(self) -> str | None:
        """The moment of a snapshot; otherwise the moment of the newest read.

        None if this source did not come from `at`, or if the database is not a replica set.
        """
        session, _, fixed = self._reads
        return fixed or (moment_of(session) if session else None)

    async def now(self, *, snapshot: bool = False) -> str | None:
        """Return the present moment, for several sources: see `at`, also for the errors."""
        async with self.at(None, snapshot=snapshot) as source:
            return source.moment

    @waits
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
                session=self._reads.session,
            )
            found = False
            async with cursor:
                # The last batch of a cursor may be empty.
                while batch := await self._with_timeout(anext(cursor, b"")):
                    found = True
                    yield cast("bytes", batch)  # the driver types it as a document
            if not found:
                await self._check_exists(collection)

    @waits
    async def newest_id(self, collection: str) -> ObjectId | NotFrozen | None:
        """Return the greatest `_id` of a collection.

        Returns:
            None if the collection is empty. What it is instead, if its `_id` does not tell what was
            inserted later: a view, a time series, or a collection with another greatest `_id`,
            which may be personal data, such as a name.

        Raises:
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """
        with self._translate_errors(collection):
            kind = await self._with_timeout(self._kind(collection))
        if kind in _NOT_FROZEN:
            return _NOT_FROZEN[kind]
        query = RowQuery(filter={}, projection={"_id": True}, sort=[("_id", -1)])
        document = await self.first(collection, query)
        if document is None:
            return None
        newest: object = document["_id"]
        return newest if isinstance(newest, ObjectId) else "_id"

    @waits
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
                    query.filter,
                    query.projection,
                    sort=query.sort,
                    max_time_ms=self._max_time_ms,
                    session=self._reads.session,
                )
            )

    @property
    def _max_time_ms(self) -> int:
        return max(1, millis(self._query_timeout))

    def _collection(self, name: str) -> AsyncCollection[dict[str, Any]]:
        return self.database.get_collection(
            name, codec_options=CODEC, read_concern=self._reads.read_concern
        )

    @waits
    async def _ask_primary(self, session: AsyncClientSession, *, snapshot: bool) -> None:
        """Ask the primary for its time, which the driver keeps in the session."""
        admin = self.database.client.admin
        with self._translate_errors("ping"):
            async with asyncio.timeout(_PRIMARY_TIMEOUT):
                await admin.command("ping", session=session)
                newest = (await admin.command("hello"))["maxWireVersion"] if snapshot else None
        if snapshot and session.operation_time is None:
            raise SnapshotError(
                'consistency = "snapshot" needs a replica set as the source database; this one is'
                " a single server."
            )
        if newest is not None and newest < _SNAPSHOT_WIRE_VERSION:
            raise SnapshotError(
                'consistency = "snapshot" needs MongoDB 5.0 or newer as the source database; this'
                " one is older."
            )

    async def _kind(self, collection: str) -> str | None:
        """Return `collection`, `view` or `timeseries`; None if there is no such collection."""
        # Only the names that this user may read, so that it needs no privilege on the database.
        found = await self.database.list_collections(
            filter={"name": collection}, nameOnly=True, authorizedCollections=True
        )
        async with found:
            kinds = [item["type"] async for item in found]
        return kinds[0] if kinds else None

    async def _check_exists(self, collection: str) -> None:
        if await self._with_timeout(self._kind(collection)) is None:
            raise _missing(collection)

    async def _run_aggregation(
        self, collection: str, pipeline: list[Stage]
    ) -> list[dict[str, Any]]:
        cursor = await self._collection(collection).aggregate(
            pipeline,
            allowDiskUse=True,
            maxTimeMS=self._max_time_ms,
            batchSize=_DOCUMENTS_PER_BATCH,
            session=self._reads.session,
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
            raise NO_CODE.source.to_error(what="no answer in time") from None
        except MONGO_ERRORS as error:
            raise source_error(error, collection) from None


def _missing(collection: str) -> CollectionMissingError:
    return CollectionMissingError(f"There is no collection {collection!r} in the source database.")

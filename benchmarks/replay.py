"""A source that answers from recordings, so that the database is not what is measured.

The recordings are the answers of the real database to the real queries, as BSON. A replayed answer
is decoded in the same way as an answer from the database.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import bson
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from benchmarks.rows import Rows
from exports.reports.report import ReportCatalog
from exports.source.database import CODEC, RowQuery, Source, Stage

_AGGREGATES: Final = "aggregates.bson"
_ROWS: Final = "rows.bson"
_USER: Final = "bench"


class RecordingSource(Source):
    """A source that reads the real database and keeps its answers.

    Attributes:
        answers: The answer to each aggregation: BSON documents, one after the other.
        rows: The answers to queries, one after the other.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], query_timeout: timedelta) -> None:
        super().__init__(database, query_timeout)
        self.answers: dict[str, bytes] = {}
        self.rows: list[bytes] = []

    async def aggregate(self, collection: str, pipeline: list[Stage]) -> list[dict[str, Any]]:
        """See `Source.aggregate`."""
        found = await super().aggregate(collection, pipeline)
        self.answers[_key(collection, pipeline)] = b"".join(map(bson.encode, found))
        return found

    async def raw_batches(self, collection: str, query: RowQuery) -> AsyncGenerator[bytes]:
        """See `Source.raw_batches`."""
        async for batch in super().raw_batches(collection, query):
            self.rows.append(batch)
            yield batch


async def record(
    source: RecordingSource,
    reports: ReportCatalog,
    asked: Mapping[str, Mapping[str, object]],
    directory: Path,
) -> None:
    """Read the first units of exports and keep the answers of the database.

    Args:
        source: Where the rows are.
        reports: The configured reports.
        asked: Parameters, by type of export.
        directory: Where the recording is stored.
    """
    for name, given in asked.items():
        report = reports.named(name)
        params = report.check_params(dict(given))
        for unit in report.units(params):
            async for _ in report.read(source, unit, params=params, created_by=_USER):
                pass
    (directory / _AGGREGATES).write_bytes(bson.encode(source.answers))
    (directory / _ROWS).write_bytes(b"".join(source.rows))


def recorded_rows(directory: Path, count: int) -> Rows:
    """Return `count` rows, made from the recorded ones."""
    return Rows((directory / _ROWS).read_bytes(), count)


class ReplaySource(Source):
    """Answers from a recording, after a while.

    Args:
        database: Not used.
        query_timeout: Not used.
        directory: Where the recording is.
        rows: How many rows a row-level report finds in the year that `benchmarks.rows` names.
        delay: Seconds before each answer.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        query_timeout: timedelta,
        *,
        directory: Path,
        rows: int = 0,
        delay: float = 0,
    ) -> None:
        super().__init__(database, query_timeout)
        recorded = directory / _AGGREGATES
        # pyright cannot see the type of an array among what the driver's functions may take.
        self._answers: dict[str, bytes] = (
            bson.decode(recorded.read_bytes(), CODEC)  # pyright: ignore[reportUnknownMemberType] -- see above
            if recorded.exists()
            else {}
        )
        self._rows = recorded_rows(directory, rows) if rows else None
        self._delay = delay

    @asynccontextmanager
    async def at(
        self,
        moment: str | None,  # noqa: ARG002 -- always the recorded one
        *,
        snapshot: bool = False,  # noqa: ARG002 -- as above
    ) -> AsyncGenerator[Self]:
        """See `Source.at`: this source."""
        yield self

    async def aggregate(self, collection: str, pipeline: list[Stage]) -> list[dict[str, Any]]:
        """See `Source.aggregate`."""
        await asyncio.sleep(self._delay)
        answer = self._answers[_key(collection, pipeline)]
        return bson.decode_all(answer, CODEC)  # pyright: ignore[reportUnknownMemberType] -- as above

    async def raw_batches(
        self,
        collection: str,  # noqa: ARG002 -- of any
        query: RowQuery,
    ) -> AsyncGenerator[bytes]:
        """See `Source.raw_batches`."""
        for batch in self._rows.of(query) if self._rows else ():
            await asyncio.sleep(self._delay)
            yield batch

    async def first(
        self,
        collection: str,  # noqa: ARG002 -- of any
        query: RowQuery,
    ) -> dict[str, Any] | None:
        """See `Source.first`: the time of the first or the last row."""
        return self._rows.first(query) if self._rows else None

    async def newest_id(self, collection: str) -> ObjectId | None:  # noqa: ARG002 -- of any
        """See `Source.newest_id`: later than everything that is recorded."""
        return ObjectId(b"\xff" * 12)


def _key(collection: str, pipeline: list[Stage]) -> str:
    # The key covers the whole aggregation, including its dates.
    asked = bson.encode({"collection": collection, "pipeline": pipeline}, codec_options=CODEC)
    return hashlib.sha256(asked).hexdigest()

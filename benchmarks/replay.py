"""A source that answers from recordings, so that the database is not what is measured.

What is recorded are the answers of the real database to the real queries, as BSON: a replayed
answer is decoded as one from the wire is.
"""

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import bson
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from exports.pipelines import Stage
from exports.reports import ReportCatalog
from exports.source import CODEC, Source

_AGGREGATES: Final = "aggregates.bson"
_USER: Final = "bench"


class RecordingSource(Source):
    """The real source, whose answers to aggregations are kept.

    Attributes:
        answers: BSON documents one after the other, by aggregation.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], query_timeout: timedelta) -> None:
        super().__init__(database, query_timeout)
        self.answers: dict[str, bytes] = {}

    async def aggregate(self, collection: str, pipeline: list[Stage]) -> list[dict[str, Any]]:
        """See `Source.aggregate`."""
        found = await super().aggregate(collection, pipeline)
        self.answers[_key(collection, pipeline)] = b"".join(map(bson.encode, found))
        return found


async def record_aggregates(
    source: RecordingSource,
    reports: ReportCatalog,
    asked: dict[str, dict[str, int]],
    directory: Path,
) -> None:
    """Run the aggregations of exports and keep their answers.

    Args:
        source: Where the rows are.
        reports: The configured reports.
        asked: Parameters, by type of export.
        directory: Where the recording goes.
    """
    for name, given in asked.items():
        report = reports.named(name)
        params = report.check_params(given)
        for unit in report.units(params):
            async for _ in report.read(source, unit, params=params, created_by=_USER):
                pass
    (directory / _AGGREGATES).write_bytes(bson.encode(source.answers))


class ReplaySource(Source):
    """Answers from a recording, after a while.

    Args:
        database: Never read.
        query_timeout: Never needed.
        directory: Where the recording is.
        delay: Seconds that each answer takes to come.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        query_timeout: timedelta,
        *,
        directory: Path,
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
        self._delay = delay

    async def aggregate(self, collection: str, pipeline: list[Stage]) -> list[dict[str, Any]]:
        """See `Source.aggregate`."""
        if self._delay:
            await asyncio.sleep(self._delay)
        answer = self._answers[_key(collection, pipeline)]
        return bson.decode_all(answer, CODEC)  # pyright: ignore[reportUnknownMemberType] -- as above

    async def newest_id(self, collection: str) -> ObjectId | None:  # noqa: ARG002 -- of any
        """See `Source.newest_id`: later than everything that is recorded."""
        return ObjectId(b"\xff" * 12)


def _key(collection: str, pipeline: list[Stage]) -> str:
    # An answer is that of one aggregation, dates and all.
    asked = bson.encode({"collection": collection, "pipeline": pipeline}, codec_options=CODEC)
    return hashlib.sha256(asked).hexdigest()

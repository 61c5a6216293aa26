"""The reads of one export belong together, whichever member of a replica set answers each."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import bson
import pytest
from bson import ObjectId, Timestamp
from pymongo import AsyncMongoClient

from exports.errors import SnapshotError, SourceUnavailableError
from exports.source.database import RowQuery, Source
from exports.source.moments import moment_of
from tests.support.mongo_stand_in import Member

DAY = datetime(2026, 10, 1, tzinfo=UTC)
WRITTEN = [(time, {"_id": ObjectId(f"{time:024x}"), "at": DAY}) for time in (10, 20, 30)]
EVERYTHING = RowQuery(filter={}, projection={"_id": True}, sort=[("at", 1)])


@asynccontextmanager
async def source_of(member: Member) -> AsyncGenerator[Source]:
    """The source of a worker that is connected to this member."""
    async with (
        member.listening() as uri,
        AsyncMongoClient[dict[str, Any]](uri, tz_aware=True) as client,
    ):
        yield Source(client["shop"], timedelta(minutes=1))


@pytest.fixture
def fresh() -> Member:
    return Member(WRITTEN, applied=30)


@pytest.fixture
def lagging() -> Member:
    return Member(WRITTEN, applied=20)


@pytest.fixture
async def primary(fresh: Member) -> AsyncIterator[Source]:
    async with source_of(fresh) as source:
        yield source


@pytest.fixture
async def secondary(lagging: Member) -> AsyncIterator[Source]:
    async with source_of(lagging) as source:
        yield source


async def _rows(source: Source) -> int:
    batches = [raw async for raw in source.raw_batches("orders", EVERYTHING)]
    return len(bson.decode_all(b"".join(batches)))


def test_a_server_that_tells_no_cluster_time_has_no_moments() -> None:
    session: Any = SimpleNamespace(operation_time=Timestamp(30, 1), cluster_time=None)
    assert moment_of(session) is None


async def test_a_secondary_that_lags_behind_loses_no_row_that_another_worker_has_seen(
    primary: Source, secondary: Source, fresh: Member, lagging: Member
) -> None:
    async with primary.at(None) as first:
        newest = await first.newest_id("orders")
        moment = first.moment
    assert newest == ObjectId(f"{30:024x}")
    assert await _rows(secondary) == 2, "what a report would lose, if it did not tell the moment"

    async with secondary.at(moment) as second:
        assert await _rows(second) == 3
        assert await second.aggregate("orders", []) == [{"n": 3}]
        assert (await second.first("orders", EVERYTHING) or {})["_id"] == WRITTEN[0][1]["_id"]
    for sent in lagging.sent[-3:]:
        assert sent["readConcern"] == {"level": "majority", "afterClusterTime": Timestamp(30, 1)}
        assert sent["$clusterTime"] == fresh.cluster_time, "with its signature"


async def test_a_moment_whose_signature_was_changed_is_never_read_without_it(
    primary: Source, secondary: Source
) -> None:
    moment = await primary.now()
    assert moment is not None
    signature = base64.b64encode(bytes([30]) * 20).decode()
    forged = moment.replace(signature, base64.b64encode(bytes([31]) * 20).decode())
    assert forged != moment
    async with secondary.at(forged) as source:
        with pytest.raises(SourceUnavailableError, match="KeyNotFound"):
            await _rows(source)


async def test_each_read_of_a_unit_sees_what_the_one_before_it_saw(
    primary: Source, fresh: Member
) -> None:
    async with primary.at(None) as source:
        await source.newest_id("orders")
        fresh.written, fresh.applied = [*WRITTEN, (40, {"_id": 1, "at": DAY})], 40
        await source.first("orders", EVERYTHING)
        await source.first("orders", EVERYTHING)
        moment = source.moment
    times = [sent["readConcern"]["afterClusterTime"].time for sent in fresh.sent[1:]]
    assert times == [30, 30, 40]
    assert moment is not None
    assert '"t":40' in moment.replace(" ", "")


async def test_a_snapshot_shows_all_units_what_was_there_when_the_export_began(
    primary: Source, secondary: Source, fresh: Member, lagging: Member
) -> None:
    moment = await primary.now(snapshot=True)
    later = [*WRITTEN, (40, {"_id": 1, "at": DAY})]
    fresh.written, fresh.applied = later, 40
    lagging.written, lagging.applied = later, 40
    for source, member in ((primary, fresh), (secondary, lagging)):
        async with source.at(moment, snapshot=True) as unit:
            assert await _rows(unit) == 3
            assert await unit.aggregate("orders", []) == [{"n": 3}]
            assert unit.moment == moment
        for sent in member.sent[-2:]:
            assert sent["readConcern"] == {"level": "snapshot", "atClusterTime": Timestamp(30, 1)}


async def test_a_snapshot_whose_history_is_over_is_a_clear_error(
    primary: Source, fresh: Member
) -> None:
    moment = await primary.now(snapshot=True)
    fresh.oldest = 31
    async with primary.at(moment, snapshot=True) as unit:
        with pytest.raises(SnapshotError, match="minSnapshotHistoryWindowInSeconds") as raised:
            await _rows(unit)
    assert raised.value.permanent


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (Member(WRITTEN, applied=30, replica_set=False), "needs a replica set"),
        (Member(WRITTEN, applied=30, version=9), "needs MongoDB 5.0"),
    ],
)
async def test_a_server_without_snapshots_is_a_clear_error_and_can_be_read_without(
    member: Member, reason: str
) -> None:
    async with source_of(member) as source:
        with pytest.raises(SnapshotError, match=reason):
            await source.now(snapshot=True)
        async with source.at(await source.now()) as unit:
            assert await _rows(unit) == 3


async def test_a_source_that_is_away_is_worth_a_retry() -> None:
    async with AsyncMongoClient[dict[str, Any]](
        "mongodb://user:secret@%2Fnowhere.sock", serverSelectionTimeoutMS=200
    ) as client:
        with pytest.raises(SourceUnavailableError):
            await Source(client["any"], timedelta(minutes=1)).now()


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("collection", WRITTEN, ObjectId(f"{30:024x}")),
        ("collection", [(10, {"_id": "Ada Lovelace"})], "_id"),
        ("collection", [], None),
        ("view", WRITTEN, "a view"),
        ("timeseries", WRITTEN, "a time series"),
    ],
)
async def test_what_has_no_newest_id_is_told_apart(
    kind: str, written: list[tuple[int, dict[str, Any]]], expected: ObjectId | str | None
) -> None:
    async with source_of(Member(written, applied=30, kind=kind)) as source:
        assert await source.newest_id("orders") == expected

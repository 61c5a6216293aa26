"""What is sent to the source database, and which error follows if it does not answer."""

from datetime import timedelta
from typing import Any

import pytest
from bson import Decimal128
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    AutoReconnect,
    CursorNotFound,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from exports.errors import (
    CollectionMissingError,
    ExportError,
    PipelineError,
    SnapshotError,
    SourceAccessError,
    SourceUnavailableError,
)
from exports.server_errors.mongo import source_error
from exports.source.database import RowQuery, Source, Stage
from tests.support.sent_commands import SentCommands

Database = AsyncDatabase[dict[str, Any]]

MINUTE = timedelta(minutes=1)


async def test_an_aggregation_is_sent_with_its_read_concern_and_limits(
    mongo_uri: str, mongo_database: Database
) -> None:
    await mongo_database["orders"].insert_many([{"n": number} for number in range(1500)])
    commands = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[commands]) as client:
        rows = await Source(client[mongo_database.name], MINUTE).aggregate(
            "orders", [{"$match": {}}]
        )

    (sent,) = [command for command in commands.sent if "aggregate" in command]
    assert sent["readConcern"]["level"] == "majority"
    assert sent["allowDiskUse"] is True
    assert sent["maxTimeMS"] == 60_000
    assert sent["cursor"] == {"batchSize": 1000}
    assert [1000 for command in commands.sent if "getMore" in command] == [
        command["batchSize"] for command in commands.sent if "getMore" in command
    ]
    assert len(rows) == 1500


async def test_the_first_document_is_asked_for_with_read_concern_and_limits(
    mongo_uri: str, mongo_database: Database
) -> None:
    await mongo_database["orders"].insert_many([{"_id": number, "n": -number} for number in (1, 2)])
    query = RowQuery(filter={"n": {"$lt": 0}}, projection={"_id": True}, sort=[("n", 1)])
    commands = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[commands]) as client:
        found = await Source(client[mongo_database.name], MINUTE).first("orders", query)

    assert found == {"_id": 2}
    (sent,) = [command for command in commands.sent if "find" in command]
    assert sent["readConcern"]["level"] == "majority"
    assert (sent["maxTimeMS"], sent["limit"]) == (60_000, 1)


async def test_a_missing_collection_is_named(mongo_database: Database) -> None:
    with pytest.raises(CollectionMissingError, match="There is no collection 'ordres'"):
        await Source(mongo_database, MINUTE).aggregate("ordres", [])


async def test_an_empty_collection_a_view_and_a_capped_collection_can_be_read(
    mongo_database: Database,
) -> None:
    await mongo_database.create_collection("empty")
    await mongo_database.create_collection("some", capped=True, size=10_000)
    await mongo_database["some"].insert_one({"n": 1})
    await mongo_database.command({"create": "seen", "viewOn": "some", "pipeline": []})

    for name, count in (("empty", 0), ("some", 1), ("seen", 1)):
        assert len(await Source(mongo_database, MINUTE).aggregate(name, [])) == count


@pytest.mark.parametrize(
    "stage",
    [
        {"$nonsense": 1},
        {"$group": {"_id": None, "x": {"$nonsense": 1}}},
        {"$project": {"x": {"$dateToString": {"date": "$a"}}}},
        {"$project": {"x": {"$dateToString": {"date": "$d", "timezone": "Mars/Base"}}}},
    ],
)
async def test_a_pipeline_that_the_server_refuses_fails_at_once_and_its_error_shows_no_value(
    mongo_database: Database, stage: Stage
) -> None:
    await mongo_database["orders"].insert_one({"a": Decimal128("471.1"), "d": None})

    with pytest.raises(PipelineError) as raised:
        await Source(mongo_database, MINUTE).aggregate("orders", [stage])

    assert raised.value.msg.startswith("The database refused the aggregation over 'orders' (code ")
    assert not any(text in raised.value.msg for text in ("471", "decimal", "nonsense", "Mars"))


async def test_a_database_that_cannot_be_reached_is_worth_a_retry() -> None:
    # A Unix socket fails at once. A client that is closed while it connects would leave a socket.
    async with AsyncMongoClient[dict[str, Any]](
        "mongodb://user:secret@%2Fnowhere.sock", serverSelectionTimeoutMS=200
    ) as client:
        with pytest.raises(SourceUnavailableError) as raised:
            await Source(client["any"], MINUTE).aggregate("orders", [])

    assert raised.value.msg == (
        "The source database can't be reached (ServerSelectionTimeoutError)."
    )


@pytest.mark.parametrize(
    ("code", "reason"), [(40485, "does not know the time zone"), (16006, "a view converts a value")]
)
def test_a_conversion_that_the_server_refuses_is_named(code: int, reason: str) -> None:
    assert reason in source_error(_refused(code), "orders").msg


def _refused(code: int | None, name: str = "Name") -> OperationFailure:
    return OperationFailure("text with a row", code, {"codeName": name})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_refused(13), SourceAccessError),
        (_refused(18), SourceAccessError),
        (_refused(40324), PipelineError),
        (_refused(40485), PipelineError),
        (_refused(14), PipelineError),
        (_refused(123), SnapshotError),
        (_refused(239), SnapshotError),
        (_refused(246), SnapshotError),
        (_refused(26), CollectionMissingError),
        (_refused(91), SourceUnavailableError),  # ShutdownInProgress
        (_refused(189), SourceUnavailableError),  # PrimarySteppedDown
        (_refused(11600), SourceUnavailableError),  # InterruptedAtShutdown
        (_refused(134), SourceUnavailableError),  # ReadConcernMajorityNotAvailableYet
        (_refused(99_999), SourceUnavailableError),
        (_refused(None), SourceUnavailableError),
        (ExecutionTimeout("text with a row", 50), SourceUnavailableError),
        (CursorNotFound("text with a row", 43), SourceUnavailableError),
        (NotPrimaryError("text with a row"), SourceUnavailableError),
        (AutoReconnect("text with a row"), SourceUnavailableError),
        (NetworkTimeout("text with a row"), SourceUnavailableError),
        (ServerSelectionTimeoutError("text with a row"), SourceUnavailableError),
        (PyMongoError("text with a row"), SourceUnavailableError),
    ],
)
def test_only_errors_that_a_retry_cannot_help_are_permanent(
    error: PyMongoError, kind: type[ExportError]
) -> None:
    found = source_error(error, "orders")

    assert type(found) is kind
    assert found.permanent is (kind is not SourceUnavailableError)
    assert "row" not in found.msg


def test_the_name_of_a_code_is_shown_only_if_it_is_a_name() -> None:
    assert "(code 13, Unauthorized)" in source_error(_refused(13, "Unauthorized"), "orders").msg
    assert "(code 13)" in source_error(_refused(13, "amount: 4711"), "orders").msg

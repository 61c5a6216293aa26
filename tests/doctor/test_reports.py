"""Each fault of a report or of what it reads is named by the check that is for it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128
from pydantic import SecretStr
from pymongo.asynchronous.database import AsyncDatabase

from exports.doctor.check import Check, examine
from exports.doctor.reports import ReportsDoctor, scans
from exports.settings import Settings
from tests.support.doctor import wrong_of
from tests.support.leaks import CANARY
from tests.support.mongo_stand_in import Member

Database = AsyncDatabase[dict[str, Any]]

STATS = """
[reports.stats]
collection = "orders"
time_field = "createdAt"
period = "month"
[reports.stats.group_by]
category = "category"
region = { field = "region", type = "text", on_mismatch = "null" }
[reports.stats.measures]
revenue = { op = "sum", field = "amount" }
"""
ROWS = """
[reports.rows]
kind = "rows"
collection = "orders"
time_field = "createdAt"
on_mismatch = "fail"
[reports.rows.columns]
amount = { field = "amount", type = "decimal" }
buyer = "buyer.name"
"""
GOOD: Mapping[str, Any] = {
    "createdAt": datetime(2026, 10, 1, tzinfo=UTC),
    "category": CANARY,
    "region": CANARY,
    "amount": Decimal128("1.50"),
    "buyer": {"name": CANARY},
}


async def _checks(settings: Settings, path: Path, text: str) -> list[Check]:
    await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    settings = settings.model_copy(update={"reports_file": path})
    async with AsyncExitStack() as closing:
        checks = await examine(ReportsDoctor(settings, closing).server(), fix=True)
    assert CANARY not in str(checks), "no value of a document"
    return checks


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({}, {}),
        ({"createdAt": "2026-10-01"}, {"stats: values": "failed", "rows: values": "failed"}),
        ({"amount": CANARY}, {"stats: values": "warning", "rows: values": "failed"}),
        ({"region": 7}, {"stats: values": "warning"}),
        ({"amount": 1.005}, {"rows: values": "failed"}),  # it has no two decimal places
        ({"category": None}, {"stats: values": "warning"}),
        ({"buyer": {}}, {"rows: values": "warning"}),
    ],
)
async def test_values_that_are_not_as_declared_are_named_and_never_shown(
    settings: Settings,
    mongo_database: Database,
    tmp_path: Path,
    document: dict[str, Any],
    named: dict[str, str],
) -> None:
    orders = mongo_database["orders"]
    await orders.create_index("createdAt")
    await orders.insert_one({**GOOD, **document})
    assert wrong_of(await _checks(settings, tmp_path / "r.toml", STATS + ROWS)) == named


async def test_the_oldest_and_the_newest_documents_are_looked_at(
    settings: Settings, mongo_database: Database, tmp_path: Path
) -> None:
    orders = mongo_database["orders"]
    await orders.create_index("createdAt")
    days = [datetime(2026, 10, 1, 0, minute % 60, tzinfo=UTC) for minute in range(200)]
    await orders.insert_many([{**GOOD, "createdAt": day} for day in days])
    assert wrong_of(await _checks(settings, tmp_path / "r.toml", STATS)) == {}
    await orders.insert_one({**GOOD, "createdAt": datetime(2030, 1, 1, tzinfo=UTC), "region": 1})
    await orders.insert_one({**GOOD, "createdAt": "yesterday"})
    [values] = [
        check for check in await _checks(settings, tmp_path / "r.toml", STATS) if check.mend
    ]
    assert (values.name, values.outcome) == ("stats: values", "warning")
    assert "'createdAt' is not a date (string) in 1 of 100" in values.what
    assert "'region' is not of the type text (int) in 1 of 100" in values.what


async def test_a_collection_without_an_index_or_without_documents_is_told_from_none(
    settings: Settings, mongo_database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    assert wrong_of(await _checks(settings, path, STATS)) == {"stats: collection": "failed"}
    await mongo_database.create_collection("orders")
    checks = await _checks(settings, path, STATS)
    assert wrong_of(checks) == {"stats: index": "warning"}
    [index] = [check for check in checks if check.mend]
    assert index.mend is not None
    assert 'mongosh "$EXPORTS_MONGO_URI" --eval' in index.mend
    assert 'createIndex({"createdAt": 1})' in index.mend
    owned = STATS.replace('period = "month"', 'period = "month"\nowner_field = "uid"')
    await mongo_database["orders"].create_index([("uid", 1), ("createdAt", 1)])
    assert wrong_of(await _checks(settings, path, owned)) == {}


async def test_an_index_for_the_documents_of_the_report_alone_is_an_index(
    settings: Settings, mongo_database: Database, tmp_path: Path
) -> None:
    paid = STATS.replace('period = "month"', 'period = "month"\nfilter = { status = "paid" }')
    only = {"status": {"$eq": "paid"}}
    await mongo_database["orders"].create_index("createdAt", partialFilterExpression=only)
    assert wrong_of(await _checks(settings, tmp_path / "r.toml", paid)) == {}
    assert wrong_of(await _checks(settings, tmp_path / "r.toml", STATS)) == {
        "stats: index": "warning"
    }


@pytest.mark.parametrize(
    ("member", "found"),
    [
        (Member([], applied=30), {}),
        (Member([], applied=30, replica_set=False), {"snapshot": "failed"}),
        (Member([], applied=30, version=9), {"snapshot": "failed"}),
    ],
)
async def test_a_database_without_snapshots_is_named_if_a_report_needs_them(
    settings: Settings, tmp_path: Path, member: Member, found: dict[str, str]
) -> None:
    path = tmp_path / "r.toml"
    text = ROWS.replace("on_mismatch", 'consistency = "snapshot"\non_mismatch')
    await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    async with member.listening() as uri, AsyncExitStack() as closing:
        reading = {"reports_file": path, "source_uri": SecretStr(uri)}
        server = ReportsDoctor(settings.model_copy(update=reading), closing).server()
        # The stand-in has no documents for the other questions.
        asked = replace(server, questions=lambda: server.questions()[:1])
        checks = await examine(asked, fix=False)
        assert [check.name for check in checks] == ["reports file", "source", "snapshot"]
        assert wrong_of(checks) == found


async def test_a_view_and_a_time_series_are_collections_too(
    settings: Settings, mongo_database: Database, tmp_path: Path
) -> None:
    await mongo_database["all"].insert_one(dict(GOOD))
    await mongo_database.create_collection("orders", viewOn="all", pipeline=[])
    checks = await _checks(settings, tmp_path / "r.toml", STATS)
    assert "'orders' is a view." in str(checks)
    assert not [check for check in checks if check.outcome == "failed"]


async def test_every_mistake_in_the_reports_file_is_a_line(
    settings: Settings, tmp_path: Path
) -> None:
    broken = STATS.replace('op = "sum"', 'op = "summ"') + ROWS.replace("decimal", "decimel")
    checks = await _checks(settings, tmp_path / "r.toml", broken)
    assert [check.name for check in checks if check.outcome == "failed"] == ["reports file"] * 2


async def test_a_source_that_is_away_is_named_once(settings: Settings, tmp_path: Path) -> None:
    uri = SecretStr("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100")
    away = settings.model_copy(update={"source_uri": uri})
    assert wrong_of(await _checks(away, tmp_path / "r.toml", STATS)) == {"source": "failed"}


IXSCAN = {"stage": "FETCH", "inputStage": {"stage": "IXSCAN", "indexName": "createdAt_1"}}
COLLSCAN = {"stage": "COLLSCAN", "direction": "forward"}


@pytest.mark.parametrize(
    ("plan", "whole"),
    [
        ({"queryPlanner": {"winningPlan": IXSCAN, "rejectedPlans": [COLLSCAN]}}, False),
        ({"queryPlanner": {"winningPlan": COLLSCAN}}, True),
        # The engine of slot-based execution, since MongoDB 5.3.
        ({"queryPlanner": {"winningPlan": {"queryPlan": IXSCAN, "slotBasedPlan": {}}}}, False),
        # A sharded collection.
        (
            {
                "queryPlanner": {
                    "winningPlan": {"stage": "SHARD_MERGE", "shards": [{"winningPlan": COLLSCAN}]}
                }
            },
            True,
        ),
        # A view.
        ({"stages": [{"$cursor": {"queryPlanner": {"winningPlan": COLLSCAN}}}]}, True),
        ({"stages": [{"$cursor": {"queryPlanner": {"winningPlan": IXSCAN}}}]}, False),
    ],
)
def test_a_plan_that_reads_a_whole_collection_is_found_in_all_forms_of_explain(
    plan: dict[str, Any],
    whole: bool,  # noqa: FBT001 -- what is expected
) -> None:
    assert scans(plan) is whole

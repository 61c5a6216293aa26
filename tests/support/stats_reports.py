"""Statistics reports over a few documents, for tests of their rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pymongo.asynchronous.database import AsyncDatabase

from exports.reports.definition import StatsDefinition
from exports.reports.report import Rows
from exports.reports.stats.report import StatsReport
from exports.source.database import Source
from exports.tables.warnings import TaskWarning

Database = AsyncDatabase[dict[str, Any]]

OCTOBER: dict[str, object] = {"year": 2026, "month": 10}
COUNT: dict[str, object] = {"n": {"op": "count"}}


def make_report(**table: object) -> StatsReport:
    definition: dict[str, object] = {
        "collection": "orders",
        "time_field": "at",
        "period": "month",
        "measures": COUNT,
    }
    name = "statsAnnual" if table.get("period") == "year" else "statsMonthly"
    return StatsReport(name, StatsDefinition.model_validate(definition | table))


async def read_units(
    database: Database, report: StatsReport, params: dict[str, object], created_by: str = "u1"
) -> list[list[Rows]]:
    checked = report.check_params(params)
    return [
        [
            rows
            async for rows in report.read(
                Source(database, timedelta(minutes=1)), unit, params=checked, created_by=created_by
            )
        ]
        for unit in report.units(checked)
    ]


async def read_batches(
    database: Database, report: StatsReport, params: dict[str, object], created_by: str = "u1"
) -> list[list[pa.RecordBatch]]:
    units = await read_units(database, report, params, created_by)
    return [[rows.batch for rows in unit] for unit in units]


async def read_rows(
    database: Database, report: StatsReport, params: dict[str, object], created_by: str = "u1"
) -> list[dict[str, Any]]:
    units = await read_batches(database, report, params, created_by)
    return [row for batches in units for batch in batches for row in batch.to_pylist()]


async def read_warnings(
    database: Database, report: StatsReport, params: dict[str, object]
) -> list[TaskWarning]:
    units = await read_units(database, report, params)
    return [warning for unit in units for rows in unit for warning in rows.warnings]


async def insert_orders(database: Database, *documents: dict[str, Any]) -> None:
    noon = datetime(2026, 10, 5, 12, tzinfo=UTC)
    await database["orders"].insert_many([{"at": noon} | document for document in documents])

"""A row-level report of a small collection, and its rows as an export reads them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import JsonValue
from pymongo.asynchronous.database import AsyncDatabase

from exports.models import Unit
from exports.reports.report import Rows
from exports.reports.rows.definition import RowsDefinition
from exports.reports.rows.report import RowsReport
from exports.source.database import Source
from exports.tables.warnings import TaskWarning

Database = AsyncDatabase[dict[str, Any]]

OCTOBER: dict[str, JsonValue] = {"from": "2026-10-01", "to": "2026-11-01"}
START = datetime(2026, 10, 1, tzinfo=UTC)


def row_report(**table: object) -> RowsReport:
    definition: dict[str, object] = {
        "kind": "rows",
        "collection": "orders",
        "time_field": "at",
        "columns": {"id": {"field": "_id"}, "n": {"field": "n", "type": "integer"}},
    }
    return RowsReport("detail", RowsDefinition.model_validate(definition | table))


def source_of(database: Database) -> Source:
    return Source(database, timedelta(minutes=1))


async def read_unit(
    source: Source, report: RowsReport, unit: Unit, created_by: str = "u1", **params: JsonValue
) -> list[Rows]:
    return [
        rows
        async for rows in report.read(source, unit, params=OCTOBER | params, created_by=created_by)
    ]


async def read_all(
    source: Source, report: RowsReport, created_by: str = "u1", **params: JsonValue
) -> list[list[Rows]]:
    """Read every unit, and after each the rest of it, as the workflow does."""
    units = report.units(report.check_params(OCTOBER | params))
    return await read_with_rest(source, report, units, created_by, **params)


async def read_with_rest(
    source: Source,
    report: RowsReport,
    units: Sequence[Unit],
    created_by: str = "u1",
    **params: JsonValue,
) -> list[list[Rows]]:
    waiting = list(units)
    done: list[list[Rows]] = []
    while waiting:
        found = await read_unit(source, report, waiting.pop(0), created_by, **params)
        waiting[:0] = found[-1].rest
        done.append(found)
    return done


def warnings_of(units: list[list[Rows]]) -> list[TaskWarning]:
    return [warning for unit in units for rows in unit for warning in rows.warnings]


def rows_of(units: list[list[Rows]]) -> list[dict[str, Any]]:
    return [row for unit in units for rows in unit for row in rows.batch.to_pylist()]


async def insert(database: Database, *documents: dict[str, Any]) -> None:
    await database["orders"].insert_many(
        [{"_id": index, "at": START, "n": 1} | item for index, item in enumerate(documents)]
    )

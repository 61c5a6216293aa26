"""The page on reports says what becomes of every odd value, in statistics and in rows."""

import io
import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from bson import Decimal128, ObjectId
from pyarrow.csv import ConvertOptions, read_csv

from exports.errors import MismatchError
from exports.formats.csv import Csv
from exports.reports.report import Report
from exports.reports.rows.definition import RowsDefinition
from exports.reports.rows.report import RowsReport
from exports.source.database import Source
from exports.tables.warnings import WarningCounts
from tests.support import pages
from tests.support.stats_reports import OCTOBER, Database, make_report

NOON: Final = datetime(2026, 10, 5, 12, tzinfo=UTC)
VALUES: Final[dict[str, dict[str, Any]]] = {
    "missing": {},
    "null": {"v": None},
    "double NaN": {"v": math.nan},
    "double Infinity": {"v": math.inf},
    "Decimal128 NaN": {"v": Decimal128("NaN")},
    "Decimal128 -Infinity": {"v": Decimal128("-Infinity")},
    "double -0.0": {"v": -0.0},
    "double 7.0": {"v": 7.0},
    "Decimal128 7.00": {"v": Decimal128("7.00")},
    "Decimal128 1E+6000": {"v": Decimal128("1E+6000")},
    "text n/a": {"v": "n/a"},
    "text -7": {"v": "-7"},
    "empty text": {"v": ""},
    "true": {"v": True},
    "date": {"v": NOON},
    "array": {"v": [1, 2]},
    "document": {"v": {"a": 1}},
    "ObjectId": {"v": ObjectId("65f0c0ffee65f0c0ffee65f0")},
}
COLUMNS: Final = (
    ("sum",),
    ("avg",),
    ("min", "max"),
    ("first", "last"),
    ("distinct",),
    ("group",),
    ("number",),
    ("text",),
)
"""What the columns of the table are called here."""
STATS: Final = make_report(
    group_by={"group": "v"},
    measures={
        **{op: {"op": op, "field": "v"} for op in ("sum", "avg", "min", "max")},
        "first": {"op": "min", "field": "v", "type": "datetime"},
        "last": {"op": "max", "field": "v", "type": "datetime"},
        "distinct": {"op": "count_distinct", "field": "v"},
    },
)
[TABLE] = pages.tables(pages.section(pages.DOCS / "reports.md", "Odd values"))


def _rows_report(kind: str) -> RowsReport:
    table = {"kind": "rows", "collection": "orders", "time_field": "at"}
    columns = {kind: {"field": "v", "type": kind}, "at": "at"}
    return RowsReport("rows", RowsDefinition.model_validate(table | {"columns": columns}))


def test_the_table_has_the_values_that_are_tested() -> None:
    assert [row[0] for row in TABLE] == list(VALUES)


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
async def test_each_cell_of_the_table_is_true(mongo_database: Database, row: list[str]) -> None:
    await mongo_database["orders"].insert_one({"at": NOON} | VALUES[row[0]])
    days = {"from": "2026-10-01", "to": "2026-11-01"}

    shown = await _shown(mongo_database, STATS, OCTOBER)
    shown |= await _shown(mongo_database, _rows_report("number"), days)
    shown |= await _shown(mongo_database, _rows_report("text"), days)

    assert len(row[1:]) == len(COLUMNS)
    for cell, names in zip(row[1:], COLUMNS, strict=True):
        for name in names:
            assert (name, *shown[name]) == (name, _text(cell, name), "counted" in cell)


def _text(cell: str, name: str) -> str | None:
    """The text that a cell of the table stands for; None for no value."""
    match cell.removesuffix(", counted"):
        case "left out":
            return "0" if name == "sum" else None
        case "empty":
            return None
        case "empty text":
            return ""
        case "does not fit" as words:
            return words
        case code:
            [text] = pages.quoted(code)
            return text


async def _shown(
    database: Database, report: Report, params: dict[str, Any]
) -> dict[str, tuple[str | None, bool]]:
    """The cell of each column, and whether there is a warning for the column."""
    checked = report.check_params(params)
    [unit] = report.units(checked)
    source = Source(database, timedelta(minutes=1))
    try:
        found = [rows async for rows in report.read(source, unit, params=checked, created_by="u1")]
    except MismatchError:
        return {"number": ("does not fit", False)}
    warned = {warning.column for rows in found for warning in rows.warnings}
    batches = [rows.batch for rows in found]
    data = b"".join(Csv().encode(batches[0].schema, batches, WarningCounts()))
    options = ConvertOptions(
        column_types=dict.fromkeys(batches[0].schema.names, "string"),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    [cells] = read_csv(io.BytesIO(data), convert_options=options).to_pylist()
    return {name: (cell, name in warned) for name, cell in cells.items()}

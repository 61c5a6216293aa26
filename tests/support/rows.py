"""Small tables for the tests of file formats."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from exports.tables.arrow import record_batch
from exports.tables.columns import Column, Sheet, field, schema

ABOUT = Sheet(title="Sales 销售", summary="statsMonthly 2026-10")
ROWS = Sheet(title="Orders 订单", summary="recordsDetail 2026-10", layout="rows")
DAY = (Column(name="day", title="Day", role="period", period="day"), pa.date32())
MONTH = (Column(name="month", title="Month", role="period", period="month"), pa.date32())

Described = tuple[Column, pa.DataType]


def group(title: str = "Category", kind: pa.DataType | None = None) -> Described:
    return (Column(name=title, title=title, role="group"), kind or pa.string())


def measure(
    title: str, kind: pa.DataType, total: Literal["sum", "min", "max"] | None = None
) -> Described:
    return (Column(name=title, title=title, role="measure", total=total), kind)


def table(*columns: Described, about: Sheet = ABOUT) -> pa.Schema:
    return schema([field(column, kind) for column, kind in columns], about)


def batch(of: pa.Schema, *rows: Sequence[object]) -> pa.RecordBatch:
    cells = zip(*rows, strict=True) if rows else [() for _ in of.names]
    return record_batch(
        [pa.array(list(values), kind) for values, kind in zip(cells, of.types, strict=True)],
        of,
    )


def numbered(of: pa.Schema, first: int, end: int) -> pa.RecordBatch:
    """The rows `("row 7", 7)` from one number to another."""
    numbers = range(first, end)
    return record_batch(
        [pa.array([f"row {number}" for number in numbers]), pa.array(numbers, pa.int64())], of
    )

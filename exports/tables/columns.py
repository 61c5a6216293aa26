"""What a file format needs to know about a column, kept in the Arrow schema of staged parts.

The schema travels with the rows, so that the worker that encodes a file needs neither the
report's definition nor the database.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter

from exports.tables.arrow import fields_of, schema_of

_COLUMN: Final = b"export.column"
_SHEET: Final = b"export.sheet"
_ABOUT: Final = b"export.about"
_LINES: Final = TypeAdapter(list[tuple[str, str]])


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Metadata):
    """One column of a file.

    Attributes:
        name: Its name in the report's definition.
        title: Its heading in the file.
        role: A `period` is a date32 (a day, or the first day of a month), a `group` is what rows
            are grouped by, a `measure` is a figure that was computed, and a `field` is a value of
            the one document that a row stands for.
        period: For a period: whether the date stands for its day or for its month.
        total: How the totals row combines the column. None leaves the cell empty: the sum of
            averages or of distinct counts would be a wrong figure.
        number_format: How spreadsheets show the column, in Excel's notation (`#,##0.00`); None
            for the usual format of the type.
    """

    name: str
    title: str
    role: Literal["period", "group", "measure", "field"]
    period: Literal["day", "month"] | None = None
    total: Literal["sum", "min", "max"] | None = None
    number_format: str | None = None


class Sheet(_Metadata):
    """A description of all rows of a file together.

    Attributes:
        title: The report's title.
        summary: Which export this is: `statsMonthly 2026-10`.
        layout: `stats` is a short table, with totals and a chart if the format can have them;
            `rows` is a row for each document and nothing else.
        long_text: What happens to a text that is longer than the format allows: the export
            fails, or the text is cut and counted in the warnings.
        grouped: Whether several rows may have the same period, even if the group columns that
            tell them apart are not shown. Then only columns with a `total` can be combined.
    """

    title: str
    summary: str
    layout: Literal["stats", "rows"] = "stats"
    long_text: Literal["fail", "cut"] = "fail"
    grouped: bool = False


def field(column: Column, kind: pa.DataType) -> "pa.Field[Any]":
    """Return the Arrow field of a column, with the description attached."""
    return pa.field(column.name, kind, metadata={_COLUMN: column.model_dump_json().encode()})


def schema(fields: Iterable["pa.Field[Any]"], sheet: Sheet) -> pa.Schema:
    """Return the Arrow schema of a report's rows, with the sheet's description attached."""
    return pa.schema(list(fields), metadata={_SHEET: sheet.model_dump_json().encode()})


def columns_of(of: pa.Schema) -> list[Column]:
    """Return the descriptions that `field` attached, in order."""
    return [Column.model_validate_json((item.metadata or {})[_COLUMN]) for item in fields_of(of)]


def sheet_of(of: pa.Schema) -> Sheet:
    """Return the description that `schema` attached."""
    return Sheet.model_validate_json((of.metadata or {})[_SHEET])


def with_about(of: pa.Schema, lines: Sequence[tuple[str, str]]) -> pa.Schema:
    """Return a schema with what a file says of its export attached: labels with their values."""
    return schema_of(fields_of(of), {**(of.metadata or {}), _ABOUT: _LINES.dump_json([*lines])})


def about_of(of: pa.Schema) -> list[tuple[str, str]]:
    """Return what `with_about` attached; empty if nothing was."""
    attached = (of.metadata or {}).get(_ABOUT)
    return [] if attached is None else _LINES.validate_json(attached)

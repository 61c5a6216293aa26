"""The columns of a statistics report, from the documents that its pipeline returned."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from exports.errors import MismatchError
from exports.reports.definition import GroupBy, Measure, StatsDefinition
from exports.reports.stats.pipeline import group_key, measure_key, mismatch_key
from exports.source.inferred import column, group_column, normal
from exports.tables.arrow import AnyArray
from exports.tables.columns import Column
from exports.tables.described import ColumnDescription
from exports.tables.warnings import MISMATCH_NULL, MISMATCH_TEXT, NOT_FINITE, WarningCounts

Row = tuple[date, Mapping[str, Any]]
"""The day or the first day of the month, and the document; an empty one if there is none."""

_OF_NO_DOCUMENTS: Final = {"count": 0, "sum": 0, "count_distinct": 0}
"""Figures of a day or a month without documents. It has no average, minimum or maximum."""


def column_named(
    name: str, definition: StatsDefinition, rows: Sequence[Row], warn: WarningCounts
) -> tuple[Column, AnyArray]:
    """Return one column of a report and its values.

    Args:
        name: Its name: the period of a row, a group, or a measure.
        definition: The report.
        rows: All rows of a unit.
        warn: Counts the values that do not have the type of the column, and the figures that are
            not finite.

    Raises:
        MismatchError: A value does not have the type of the column, and the report says to fail.
    """
    if name in definition.measures:
        return _measure(name, definition, rows, warn)
    if name in definition.group_by:
        return _group(name, definition, rows, warn)
    period = definition.row_period
    return (
        Column(name=name, title=definition.period_title or name, role="period", period=period),
        pa.array([label for label, _ in rows], pa.date32()),
    )


def described(definition: StatsDefinition) -> list[ColumnDescription]:
    """Describe the columns of a report, in order."""
    period = definition.row_period
    return [
        ColumnDescription(
            name=period,
            title=definition.period_title or period,
            type="month" if period == "month" else "date",
        ),
        *(
            ColumnDescription(name=name, title=group.title or name, type=group.type or "any")
            for name, group in definition.group_by.items()
        ),
        *(
            ColumnDescription(name=name, title=measure.title or name, type=_type_of(measure))
            for name, measure in definition.measures.items()
        ),
    ]


def _type_of(measure: Measure) -> str:
    if measure.op in ("count", "count_distinct"):
        return "integer"
    return measure.checked_type or "any"


def _group(
    name: str, definition: StatsDefinition, rows: Sequence[Row], warn: WarningCounts
) -> tuple[Column, AnyArray]:
    group, key = definition.group_by[name], group_key(list(definition.group_by).index(name))
    _check_types(name, group, [document.get(mismatch_key(key)) for _, document in rows], warn)
    found = group_column((document["_id"][key] for _, document in rows), definition.timezone)
    warn.add(MISMATCH_TEXT, name, found.as_text)
    return Column(name=name, title=group.title or name, role="group"), found.values


def _measure(
    name: str, definition: StatsDefinition, rows: Sequence[Row], warn: WarningCounts
) -> tuple[Column, AnyArray]:
    measure, key = definition.measures[name], measure_key(list(definition.measures).index(name))
    _check_types(name, measure, [document.get(mismatch_key(key)) for _, document in rows], warn)
    nothing = _OF_NO_DOCUMENTS.get(measure.op)
    figures = [normal(document.get(key, nothing)) for _, document in rows]
    described = Column(name=name, title=measure.title or name, role="measure", total=measure.total)
    if measure.op in ("count", "count_distinct"):
        return described, pa.array(figures, pa.int64())
    if measure.op == "avg":
        figures = [_rounded(figure) for figure in figures]
    found = column(figures, definition.timezone)
    warn.add(NOT_FINITE, name, sum(not _is_finite(figure) for figure in figures))
    warn.add(MISMATCH_TEXT, name, found.as_text)
    return described, found.values


def _check_types(
    name: str, of: GroupBy | Measure, found: Sequence[Any], warn: WarningCounts
) -> None:
    if of.on_mismatch == "null":
        warn.add(MISMATCH_NULL, name, sum(count or 0 for count in found))
    for kind in found if of.on_mismatch == "fail" else ():
        if kind is not None:
            raise MismatchError(
                f"The column {name!r} has the type {of.type}, but a document has a value of BSON "
                f'type {kind}; correct the document, or set `on_mismatch` to "null".'
            )


def _rounded(average: object) -> object:
    """Return an average as a float, unless it is too large for one.

    A quotient is rounded anyway. Nobody needs the 34 digits of a quotient of decimals, and a
    spreadsheet could hold them only as text.
    """
    if not isinstance(average, Decimal):
        return average
    nearest = float(average)
    return nearest if math.isfinite(nearest) else average


def _is_finite(figure: object) -> bool:
    return not isinstance(figure, float) or math.isfinite(figure)

"""The first measures of statistics, combined over all groups of a period: what a chart shows."""

import math
from datetime import date
from decimal import Decimal
from typing import Final

import pyarrow as pa

from exports.formats.totals import Total, total_of
from exports.tables.arrow import cells_of, is_number, types_of
from exports.tables.columns import Column, columns_of, sheet_of

MOST_MEASURES: Final = 2


class PeriodTotals:
    """The first measures, combined over all groups of a period.

    Where rows have groups, only measures with a total can be combined: adding up averages or
    distinct counts gives a wrong curve.

    Attributes:
        columns: The period, then the measures; empty if there is no period.
        kinds: Their Arrow types.
    """

    def __init__(self, schema: pa.Schema) -> None:
        columns = columns_of(schema)
        kinds = types_of(schema)
        groups = any(column.role == "group" for column in columns)
        grouped = groups or sheet_of(schema).grouped
        periods = [index for index, column in enumerate(columns) if column.role == "period"]
        measures = [
            index
            for index, column in enumerate(columns)
            if column.role == "measure"
            and is_number(kinds[index])
            and (column.total is not None or not grouped)
        ][:MOST_MEASURES]
        self._indexes = [*periods[:1], *measures] if periods else []
        self.kinds = [kinds[index] for index in self._indexes]
        self.columns: list[Column] = [columns[index] for index in self._indexes]
        self._totals: dict[date, list[Total | None]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        if len(self.columns) <= 1:
            return
        values = (cells_of(batch, index) for index in self._indexes)
        for period, *measures in zip(*values, strict=True):
            if not isinstance(period, date):
                continue
            if period not in self._totals:
                self._totals[period] = self._empty()
            for total, value in zip(self._totals[period], measures, strict=True):
                if total is not None and value is not None:
                    total.add(value)

    def _empty(self) -> list[Total | None]:
        return [
            total_of(column.total or "sum", kind)
            for column, kind in zip(self.columns[1:], self.kinds[1:], strict=True)
        ]

    def rows(self) -> list[tuple[date, list[float | None]]]:
        """Return each period with its measures, in order of time; empty if there are none.

        A chart can draw a measure: unlike in the table, the nearest float is good enough. NaN and
        the infinities are None, a gap.
        """
        return [
            (period, [_number(total.value) if total else None for total in totals])
            for period, totals in sorted(self._totals.items(), key=lambda item: item[0])
        ]


def _number(value: object) -> float | None:
    if not isinstance(value, Decimal | int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None

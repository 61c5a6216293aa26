"""The second sheet of an xlsx file: one row for each period, and a native chart of them."""

import math
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from exports.formats.totals import Total, total_of
from exports.formats.xlsx.cells import (
    DAY_ZERO,
    FIRST_DAY,
    PlainWorksheet,
    cell_look,
    display_width,
    number_format,
    write_cell,
)
from exports.formats.xlsx.sheet import HEADING_LOOK, PADDING, fit_to_page_width
from exports.tables.arrow import is_number, types_of, values_of
from exports.tables.columns import Column, Sheet, columns_of, sheet_of

_MAX_MEASURES: Final = 2
_HEADING_ROW: Final = 3  # counted from 0
_FIRST_ROW: Final = _HEADING_ROW + 1
_SIZE: Final = {"width": 960, "height": 460}
"""Size of the chart, in pixels."""


class ChartData:
    """The first measures, combined over all groups of a period.

    Where rows have groups, only measures with a total can be combined: adding up averages or
    distinct counts gives a wrong curve.

    Attributes:
        columns: The period, then the measures.
        kinds: Their Arrow types.
        formats: Their number formats.
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
        ][:_MAX_MEASURES]
        self._indexes = [*periods[:1], *measures] if periods else []
        self.kinds = [kinds[index] for index in self._indexes]
        self.columns: list[Column] = [columns[index] for index in self._indexes]
        self.formats = [
            number_format(kind, column.period)
            for kind, column in zip(self.kinds, self.columns, strict=True)
        ]
        self._totals: dict[date, list[Total | None]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        if len(self.columns) <= 1:
            return
        values = values_of(batch)
        for period, *measures in zip(*(values[index] for index in self._indexes), strict=True):
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

    def rows(self) -> list[list[object]]:
        """Return the period and the measures of each row of the chart, in order of time.

        Returns:
            Nothing if there is nothing to draw, or if a period is too early for Excel's calendar.
        """
        if not self._totals or min(self._totals) < FIRST_DAY:
            return []
        return [
            [period, *(_number(total.value) if total else None for total in totals)]
            for period, totals in sorted(self._totals.items(), key=lambda item: item[0])
        ]


def _number(value: object) -> object:
    """Return what a chart can draw: unlike in the table, the nearest float is good enough.

    NaN and the infinities are gaps, because Excel draws a text as zero.
    """
    if not isinstance(value, Decimal | int | float):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def add_chart(workbook: Workbook, name: str, about: Sheet, data: ChartData) -> None:
    """Add the sheet with the chart, unless there is nothing to draw.

    Days are drawn as lines; months as columns, with the second measure as a line. The second
    measure has its own axis, because orders and revenue differ in size.
    """
    rows = data.rows()
    if not rows:
        return
    sheet = workbook.add_worksheet(name, worksheet_class=PlainWorksheet)
    fit_to_page_width(sheet)
    _write_table(workbook, sheet, about, data, rows)
    monthly = data.columns[0].period == "month"
    chart = workbook.add_chart({"type": "column" if monthly else "line"})
    second = workbook.add_chart({"type": "line"}) if monthly else chart
    for index, drawn in zip(range(1, len(data.columns)), (chart, second), strict=False):
        drawn.add_series(_series(name, data.columns[index], index, rows))
    if len(data.columns) > _MAX_MEASURES:
        second.set_y2_axis(_axis(name, data, _MAX_MEASURES))
        if second is not chart:
            chart.combine(second)
    chart.set_title({"name": [name, 0, 0], "data": [about.title]})
    chart.set_x_axis({"text_axis" if monthly else "date_axis": True, "num_format": data.formats[0]})
    chart.set_y_axis(_axis(name, data, 1))
    chart.set_legend({"position": "bottom"})
    chart.set_size(_SIZE)
    sheet.insert_chart(_HEADING_ROW, len(data.columns) + 1, chart, {})


def _series(
    sheet: str, column: Column, index: int, rows: Sequence[Sequence[object]]
) -> dict[str, Any]:
    last = _HEADING_ROW + len(rows)
    # Everything is a reference, because XlsxWriter takes a literal name such as "=A1" for one.
    # The values are given too, for viewers that show a chart without calculating.
    return {
        "name": [sheet, _HEADING_ROW, index],
        "name_data": [column.title],
        "categories": [sheet, _FIRST_ROW, 0, last, 0],
        "categories_data": [_serial(row[0]) for row in rows],
        "values": [sheet, _FIRST_ROW, index, last, index],
        "values_data": [row[index] for row in rows],
        "y2_axis": index == _MAX_MEASURES,
        "marker": {"type": "circle", "size": 5},
    }


def _serial(period: object) -> int | None:
    """Return a date as Excel counts days."""
    return (period - DAY_ZERO).days if isinstance(period, date) else None


def _axis(sheet: str, data: ChartData, index: int) -> dict[str, Any]:
    return {
        "name": [sheet, _HEADING_ROW, index],
        "data": [data.columns[index].title],
        "num_format": data.formats[index],
    }


def _write_table(
    workbook: Workbook,
    sheet: Worksheet,
    about: Sheet,
    data: ChartData,
    rows: Sequence[Sequence[object]],
) -> None:
    text = workbook.add_format({"num_format": "@"})
    looks = [cell_look(kind, item) for kind, item in zip(data.kinds, data.formats, strict=True)]
    styles = [workbook.add_format(look) for look in looks]
    write_cell(
        sheet, 0, 0, about.title, workbook.add_format({"num_format": "@", "bold": True, "size": 14})
    )
    write_cell(sheet, 1, 0, about.summary, text)
    for index, column in enumerate(data.columns):
        heading = workbook.add_format({**looks[index], **HEADING_LOOK})
        write_cell(sheet, _HEADING_ROW, index, column.title, heading)
    for number, row in enumerate(rows, start=_FIRST_ROW):
        for index, value in enumerate(row):
            write_cell(sheet, number, index, value, styles[index])
    for index, column in enumerate(data.columns):
        width = max(
            display_width(column.title, None),
            *(display_width(row[index], data.formats[index]) for row in rows),
        )
        sheet.set_column(index, index, width + PADDING)

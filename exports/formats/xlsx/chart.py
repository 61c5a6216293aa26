"""The second sheet of an xlsx file: one value for each period, and a native chart of them."""

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
    HEADING_LOOK,
    PlainWorksheet,
    cell_look,
    display_width,
    fit_pages,
    number_format,
    write_cell,
)
from exports.tables.arrow import is_number, types_of, values_of
from exports.tables.columns import Column, Sheet, columns_of, sheet_of

_MOST_MEASURES: Final = 2
_HEADING_ROW: Final = 3
_FIRST_ROW: Final = _HEADING_ROW + 1
_SIZE: Final = {"width": 960, "height": 460}
_PADDING: Final = 2


class PeriodSums:
    """What is drawn: the first measures, combined over all groups of a period.

    Where rows have groups, only measures that have a total can be combined: adding up averages
    or distinct counts gives a wrong curve.
    """

    def __init__(self, schema: pa.Schema) -> None:
        columns = columns_of(schema)
        kinds = types_of(schema)
        groups = any(column.role == "group" for column in columns)
        grouped = groups or sheet_of(schema).grouped
        periods = [index for index, column in enumerate(columns) if column.role == "period"]
        drawn = [
            index
            for index, column in enumerate(columns)
            if column.role == "measure"
            and is_number(kinds[index])
            and (column.total is not None or not grouped)
        ][:_MOST_MEASURES]
        self._at = [*periods[:1], *drawn] if periods else []
        self.kinds = [kinds[index] for index in self._at]
        self.columns: list[Column] = [columns[index] for index in self._at]
        self.formats = [
            number_format(kind, column.period)
            for kind, column in zip(self.kinds, self.columns, strict=True)
        ]
        self._sums: dict[date, list[Total | None]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        if len(self.columns) <= 1:
            return
        values = values_of(batch)
        for period, *measures in zip(*(values[index] for index in self._at), strict=True):
            if not isinstance(period, date):
                continue
            if period not in self._sums:
                self._sums[period] = self._empty()
            for total, value in zip(self._sums[period], measures, strict=True):
                if total is not None and value is not None:
                    total.add(value)

    def _empty(self) -> list[Total | None]:
        return [
            total_of(column.total or "sum", kind)
            for column, kind in zip(self.columns[1:], self.kinds[1:], strict=True)
        ]

    def rows(self) -> list[list[object]]:
        """Return period and measures, in order of time.

        Returns:
            Nothing if there is nothing to draw, or a period is too early for Excel's calendar.
        """
        if not self._sums or min(self._sums) < FIRST_DAY:
            return []
        return [
            [period, *(_drawable(total.value) if total else None for total in totals)]
            for period, totals in sorted(self._sums.items(), key=lambda item: item[0])
        ]


def _drawable(value: object) -> object:
    """A chart draws numbers only: here, unlike in the table, the nearest float will do."""
    return float(value) if isinstance(value, Decimal | int) else value


def add_chart(workbook: Workbook, name: str, about: Sheet, sums: PeriodSums) -> None:
    """Add the sheet with the chart; none if there is nothing to draw.

    Days are drawn as lines; months as columns, with the second measure as a line. The second
    measure has an axis of its own, because orders and revenue are seldom of one size.
    """
    rows = sums.rows()
    if not rows:
        return
    sheet = workbook.add_worksheet(name, worksheet_class=PlainWorksheet)
    fit_pages(sheet)
    _write_table(workbook, sheet, about, sums, rows)
    monthly = sums.columns[0].period == "month"
    chart = workbook.add_chart({"type": "column" if monthly else "line"})
    second = workbook.add_chart({"type": "line"}) if monthly else chart
    for index, drawn in zip(range(1, len(sums.columns)), (chart, second), strict=False):
        drawn.add_series(_series(name, sums.columns[index], index, rows))
    if len(sums.columns) > _MOST_MEASURES:
        second.set_y2_axis(_axis(name, sums, _MOST_MEASURES))
        if second is not chart:
            chart.combine(second)
    chart.set_title({"name": [name, 0, 0], "data": [about.title]})
    chart.set_x_axis({"text_axis" if monthly else "date_axis": True, "num_format": sums.formats[0]})
    chart.set_y_axis(_axis(name, sums, 1))
    chart.set_legend({"position": "bottom"})
    chart.set_size(_SIZE)
    sheet.insert_chart(_HEADING_ROW, len(sums.columns) + 1, chart, {})


def _series(
    sheet: str, column: Column, index: int, rows: Sequence[Sequence[object]]
) -> dict[str, Any]:
    last = _HEADING_ROW + len(rows)
    # Everything is a reference, because a literal name that looks like one is taken for one; and
    # comes with its values, so that viewers that do not calculate show the chart.
    return {
        "name": [sheet, _HEADING_ROW, index],
        "name_data": [column.title],
        "categories": [sheet, _FIRST_ROW, 0, last, 0],
        "categories_data": [_serial(row[0]) for row in rows],
        "values": [sheet, _FIRST_ROW, index, last, index],
        "values_data": [row[index] for row in rows],
        "y2_axis": index == _MOST_MEASURES,
        "marker": {"type": "circle", "size": 5},
    }


def _serial(period: object) -> int | None:
    return (period - DAY_ZERO).days if isinstance(period, date) else None


def _axis(sheet: str, sums: PeriodSums, index: int) -> dict[str, Any]:
    return {
        "name": [sheet, _HEADING_ROW, index],
        "data": [sums.columns[index].title],
        "num_format": sums.formats[index],
    }


def _write_table(
    workbook: Workbook,
    sheet: Worksheet,
    about: Sheet,
    sums: PeriodSums,
    rows: Sequence[Sequence[object]],
) -> None:
    text = workbook.add_format({"num_format": "@"})
    looks = [cell_look(kind, item) for kind, item in zip(sums.kinds, sums.formats, strict=True)]
    styles = [workbook.add_format(look) for look in looks]
    write_cell(
        sheet, 0, 0, about.title, workbook.add_format({"num_format": "@", "bold": True, "size": 14})
    )
    write_cell(sheet, 1, 0, about.summary, text)
    for index, column in enumerate(sums.columns):
        heading = workbook.add_format({**looks[index], **HEADING_LOOK})
        write_cell(sheet, _HEADING_ROW, index, column.title, heading)
    for number, row in enumerate(rows, start=_FIRST_ROW):
        for index, value in enumerate(row):
            write_cell(sheet, number, index, value, styles[index])
    for index, column in enumerate(sums.columns):
        width = max(
            display_width(column.title, None),
            *(display_width(row[index], sums.formats[index]) for row in rows),
        )
        sheet.set_column(index, index, width + _PADDING)

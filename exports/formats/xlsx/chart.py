"""The second sheet of an xlsx file: one row for each period, and a native chart of them."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from exports.formats.period_totals import MOST_MEASURES, PeriodTotals
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
from exports.tables.columns import Column, Sheet

_HEADING_ROW: Final = 3  # counted from 0
_FIRST_ROW: Final = _HEADING_ROW + 1
_SIZE: Final = {"width": 960, "height": 460}
"""Size of the chart, in pixels."""


def add_chart(workbook: Workbook, name: str, about: Sheet, data: PeriodTotals) -> None:
    """Add the sheet with the chart, unless there is nothing to draw.

    Days are drawn as lines; months as columns, with the second measure as a line. The second
    measure has its own axis, because orders and revenue differ in size.
    """
    found = data.rows()
    # Excel's calendar is wrong before.
    if not found or found[0][0] < FIRST_DAY:
        return
    rows: list[list[object]] = [[period, *measures] for period, measures in found]
    sheet = workbook.add_worksheet(name, worksheet_class=PlainWorksheet)
    fit_to_page_width(sheet)
    _write_table(workbook, sheet, about, data, rows)
    monthly = data.columns[0].period == "month"
    chart = workbook.add_chart({"type": "column" if monthly else "line"})
    second = workbook.add_chart({"type": "line"}) if monthly else chart
    for index, drawn in zip(range(1, len(data.columns)), (chart, second), strict=False):
        drawn.add_series(_series(name, data.columns[index], index, rows))
    if len(data.columns) > MOST_MEASURES:
        second.set_y2_axis(_axis(name, data, MOST_MEASURES))
        if second is not chart:
            chart.combine(second)
    chart.set_title({"name": [name, 0, 0], "data": [about.title]})
    chart.set_x_axis(
        {"text_axis" if monthly else "date_axis": True, "num_format": _formats(data)[0]}
    )
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
        "y2_axis": index == MOST_MEASURES,
        "marker": {"type": "circle", "size": 5},
    }


def _serial(period: object) -> int | None:
    """Return a date as Excel counts days."""
    return (period - DAY_ZERO).days if isinstance(period, date) else None


def _axis(sheet: str, data: PeriodTotals, index: int) -> dict[str, Any]:
    return {
        "name": [sheet, _HEADING_ROW, index],
        "data": [data.columns[index].title],
        "num_format": _formats(data)[index],
    }


def _write_table(
    workbook: Workbook,
    sheet: Worksheet,
    about: Sheet,
    data: PeriodTotals,
    rows: Sequence[Sequence[object]],
) -> None:
    text = workbook.add_format({"num_format": "@"})
    formats = _formats(data)
    looks = [cell_look(kind, item) for kind, item in zip(data.kinds, formats, strict=True)]
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
            *(display_width(row[index], formats[index]) for row in rows),
        )
        sheet.set_column(index, index, width + PADDING)


def _formats(data: PeriodTotals) -> list[str | None]:
    return [
        number_format(kind, column.period)
        for kind, column in zip(data.kinds, data.columns, strict=True)
    ]

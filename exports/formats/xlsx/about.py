"""The last sheet of an xlsx file: which export it is, for somebody who was sent the file."""

from collections.abc import Sequence
from typing import Final

from xlsxwriter import Workbook

from exports.formats.xlsx.cells import PlainWorksheet, display_width, write_cell
from exports.formats.xlsx.names import about_sheet_name
from exports.formats.xlsx.sheet import MAX_WIDTH, PADDING, fit_to_page_width
from exports.tables.warnings import WarningCounts

_LABEL_LOOK: Final = {"num_format": "@", "bold": True, "valign": "top"}
_VALUE_LOOK: Final = {"num_format": "@", "text_wrap": True, "valign": "top"}


def add_about(
    workbook: Workbook, lines: Sequence[tuple[str, str]], *, rows: int, warn: WarningCounts
) -> None:
    """Add the sheet, unless there is nothing to say. Every cell of it is text.

    Args:
        workbook: The workbook, with all its other sheets.
        lines: Labels with their values.
        rows: Rows in the file, without headings and totals.
        warn: What was changed in them.
    """
    if not lines:
        return
    warnings = [f"{item.code}: {item.count:,} in {item.column}" for item in warn.warnings]
    shown = [*lines, ("Rows", f"{rows:,}"), *(("Warning", text) for text in warnings)]
    name = about_sheet_name(sheet.get_name() for sheet in workbook.worksheets())
    sheet = workbook.add_worksheet(name, worksheet_class=PlainWorksheet)
    fit_to_page_width(sheet)
    styles = [workbook.add_format(look) for look in (_LABEL_LOOK, _VALUE_LOOK)]
    for row, cells in enumerate(shown):
        for index, text in enumerate(cells):
            write_cell(sheet, row, index, _not_xml(text), styles[index])
    for index in range(len(styles)):
        width = max(display_width(cells[index], None) for cells in shown)
        sheet.set_column(index, index, min(width, MAX_WIDTH) + PADDING)


def _not_xml(text: str) -> str:
    """Return a text that XlsxWriter does not take for XML of its own, which it copies as it is."""
    return f" {text}" if text.startswith("<r>") else text

"""All of a workbook of rows but the rows: XlsxWriter makes it, from sheets that are empty."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zipfile import ZipFile

import pyarrow as pa
from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from exports.formats.xlsx.cells import (
    HEADING_LOOK,
    MAX_ROWS,
    cell_look,
    display_width,
    fit_pages,
    number_format,
)
from exports.formats.xlsx.names import numbered_sheet_name, property_text, sheet_name
from exports.formats.xlsx.xml import Place
from exports.tables.arrow import is_decimal, types_of
from exports.tables.columns import Column, Sheet, columns_of, sheet_of

# The same rows give the same bytes, also on a retry, so nothing in the file says when.
_CREATED: Final = datetime(2000, 1, 1, tzinfo=UTC)
_HEADING_FILL: Final = "#DDEBF7"
_FILTER_BUTTON: Final = 3
_WIDEST: Final = 60
_PROTOTYPE: Final = re.compile(r'<c r="[A-Z]+(?P<row>[12])"(?P<style>(?: s="\d+")?)/>')
# Says how far the rows go, which nobody knows when it is written. It may be left out.
_DIMENSION: Final = re.compile(r"<dimension [^>]*/>")


def describe(workbook: Workbook, about: Sheet) -> None:
    """Set the properties of the file."""
    workbook.set_properties(
        {
            "title": property_text(about.title),
            "subject": property_text(about.summary),
            "created": _CREATED,
        }
    )


@dataclass(frozen=True)
class Parts:
    """The files in a workbook, its rows left out.

    Attributes:
        heads: The XML before the rows of each sheet.
        tails: The XML after them.
        others: The other files by name, in order.
        heading: Where the headings stand.
        cells: Where the values stand.
    """

    heads: Sequence[bytes]
    tails: Sequence[bytes]
    others: dict[str, bytes]
    heading: Sequence[Place]
    cells: Sequence[Place]


def parts_of(schema: pa.Schema, rows: Sequence[int]) -> Parts:
    """Return what is around the rows.

    Args:
        schema: Of the rows.
        rows: How many each sheet has, its heading included.
    """
    about = sheet_of(schema)
    columns = columns_of(schema)
    file = io.BytesIO()
    workbook = Workbook(file, {"in_memory": True})
    describe(workbook, about)
    looks = [_look(column, kind) for column, kind in zip(columns, types_of(schema), strict=True)]
    headings = [
        workbook.add_format({**look, **HEADING_LOOK, "bg_color": _HEADING_FILL}) for look in looks
    ]
    styles = [workbook.add_format(look) for look in looks]
    widths = [_width(column, kind) for column, kind in zip(columns, types_of(schema), strict=True)]
    name = sheet_name(about.title)
    for number, last in enumerate(rows, start=1):
        sheet = workbook.add_worksheet(numbered_sheet_name(name, number) if len(rows) > 1 else name)
        for index, width in enumerate(widths):
            # Only to learn how a cell of this look is written; these two rows are not kept.
            sheet.write_blank(0, index, None, headings[index])
            sheet.write_blank(1, index, None, styles[index])
            sheet.set_column(index, index, width)
        _set_up(sheet, last, len(columns))
    workbook.close()
    return _taken_apart(file, columns, len(rows))


def _look(column: Column, kind: pa.DataType) -> dict[str, object]:
    style = column.number_format or number_format(kind, column.period)
    return cell_look(kind, style)


def _width(column: Column, kind: pa.DataType) -> int:
    heading = display_width(column.title, None) + _FILTER_BUTTON
    return min(max(heading, _usual_width(kind)), _WIDEST)


def _usual_width(kind: pa.DataType) -> int:
    """Return what most values of a type need, in digits: rows are not looked at twice."""
    if pa.types.is_timestamp(kind):
        return 21
    if pa.types.is_string(kind):
        return 26
    return 18 if is_decimal(kind) or pa.types.is_floating(kind) else 13


def _set_up(sheet: Worksheet, rows: int, columns: int) -> None:
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    fit_pages(sheet)
    sheet.autofilter(0, 0, rows - 1, columns - 1)
    # Without this, Excel marks each text that looks like a number as a likely mistake.
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{MAX_ROWS}"})


def _taken_apart(file: io.BytesIO, columns: Sequence[Column], sheets: int) -> Parts:
    with ZipFile(file) as archive:
        others = {name: archive.read(name) for name in archive.namelist()}
    heads: list[bytes] = []
    tails: list[bytes] = []
    xml = ""
    for number in range(1, sheets + 1):
        xml = others.pop(sheet_file(number)).decode()
        head, _, rest = xml.partition("<row ")
        heads.append(_DIMENSION.sub("", head, count=1).encode())
        tails.append(rest[rest.index("</sheetData>") :].encode())
    styles = {"1": list[str](), "2": list[str]()}
    for found in _PROTOTYPE.finditer(xml):
        styles[found["row"]].append(found["style"])
    heading, cells = (
        [
            Place(xl_col_to_name(index), style, column)
            for index, (style, column) in enumerate(zip(styles[row], columns, strict=True))
        ]
        for row in ("1", "2")
    )
    return Parts(heads, tails, others, heading, cells)


def sheet_file(number: int) -> str:
    """Return the name of a sheet's file in the workbook.

    Args:
        number: From 1.
    """
    return f"xl/worksheets/sheet{number}.xml"

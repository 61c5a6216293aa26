"""Everything in a workbook except its rows.

XlsxWriter makes it from empty sheets; `exports.formats.xlsx.rows` puts the rows in between.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zipfile import ZipFile

import pyarrow as pa
from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name

from exports.formats.xlsx.about import add_about
from exports.formats.xlsx.cells import cell_look, number_format
from exports.formats.xlsx.names import numbered_sheet_name, sheet_name
from exports.formats.xlsx.sheet import (
    MAX_WIDTH,
    filled_heading_look,
    heading_width,
    set_properties,
    set_up_table,
)
from exports.formats.xlsx.xml import SheetColumn
from exports.tables.arrow import is_decimal, types_of
from exports.tables.columns import Column, about_of, columns_of, sheet_of
from exports.tables.warnings import WarningCounts

_STYLED_CELL: Final = re.compile(r'<c r="[A-Z]+(?P<row>[12])"(?P<style>(?: s="\d+")?)/>')
# Says how many rows there are, which is not known yet when it is written. It is optional.
_DIMENSION: Final = re.compile(r"<dimension [^>]*/>")


@dataclass(frozen=True)
class Template:
    """The files in a workbook, without rows.

    Attributes:
        heads: The XML before the rows of each sheet.
        tails: The XML after them.
        others: The other files by name, in order.
        headings: Columns and look of the headings.
        columns: Columns and look of the values.
    """

    heads: Sequence[bytes]
    tails: Sequence[bytes]
    others: dict[str, bytes]
    headings: Sequence[SheetColumn]
    columns: Sequence[SheetColumn]


def template_of(schema: pa.Schema, rows: Sequence[int], warn: WarningCounts) -> Template:
    """Return everything around the rows.

    Args:
        schema: Schema of the rows.
        rows: The number of rows in each sheet, its heading included.
        warn: What was changed in the rows.
    """
    about = sheet_of(schema)
    columns = columns_of(schema)
    kinds = types_of(schema)
    file = io.BytesIO()
    workbook = Workbook(file, {"in_memory": True})
    set_properties(workbook, about)
    looks = [_look(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    headings = [workbook.add_format(filled_heading_look(look)) for look in looks]
    styles = [workbook.add_format(look) for look in looks]
    widths = [_width(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    name = sheet_name(about.title)
    for number, last in enumerate(rows, start=1):
        sheet = workbook.add_worksheet(numbered_sheet_name(name, number) if len(rows) > 1 else name)
        for index, width in enumerate(widths):
            # These two rows only show how a cell with this look is written; they are removed.
            sheet.write_blank(0, index, None, headings[index])
            sheet.write_blank(1, index, None, styles[index])
            sheet.set_column(index, index, width)
        set_up_table(sheet, last, len(columns))
    add_about(workbook, about_of(schema), rows=sum(rows) - len(rows), warn=warn)
    workbook.close()
    return _split(file, columns, len(rows))


def sheet_file(number: int) -> str:
    """Return the name of a sheet's file in the workbook.

    Args:
        number: The number of the sheet, from 1.
    """
    return f"xl/worksheets/sheet{number}.xml"


def _look(column: Column, kind: pa.DataType) -> dict[str, object]:
    style = column.number_format or number_format(kind, column.period)
    return cell_look(kind, style)


def _width(column: Column, kind: pa.DataType) -> int:
    return min(max(heading_width(column), _usual_width(kind)), MAX_WIDTH)


def _usual_width(kind: pa.DataType) -> int:
    """Return the width of most values of a type, in digits: rows are not read twice."""
    if pa.types.is_timestamp(kind):
        return 21
    if pa.types.is_string(kind):
        return 26
    return 18 if is_decimal(kind) or pa.types.is_floating(kind) else 13


def _split(file: io.BytesIO, columns: Sequence[Column], sheets: int) -> Template:
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
    for found in _STYLED_CELL.finditer(xml):
        styles[found["row"]].append(found["style"])
    headings, values = (
        [
            SheetColumn(xl_col_to_name(index), style, column)
            for index, (style, column) in enumerate(zip(styles[row], columns, strict=True))
        ]
        for row in ("1", "2")
    )
    return Template(heads, tails, others, headings, values)

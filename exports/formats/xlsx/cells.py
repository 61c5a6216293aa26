"""One cell of an xlsx sheet: typed, exact, and never a formula or a link."""

import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from exports.errors import FormatLimitError
from exports.tables.arrow import is_decimal, is_number
from exports.tables.plain import plain

# Limits of Excel: rows and columns of a sheet, characters in a cell (UTF-16 code units),
# significant digits, and the range of numbers.
# https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 16_384
MAX_TEXT: Final = 32_767
MAX_DIGITS: Final = 15
LARGEST: Final = 9.99999999999999e307
SMALLEST: Final = 2.2250738585073e-308
# To Excel, 1900 is a leap year, so its calendar is right from March on.
FIRST_DAY: Final = date(1900, 3, 1)
DAY_ZERO: Final = date(1899, 12, 30)  # counted back from there

_INTEGER: Final = "#,##0"
_FLOAT: Final = "#,##0.00"
_MAX_FIXED_PLACES: Final = 4
"""A column with more decimal places shows only those that a number uses."""
_MAX_PLACES: Final = 30
"""Decimal places that a number format can have."""
_EAST_ASIAN_WIDE: Final = ("W", "F")


class PlainWorksheet(Worksheet):
    """A sheet that writes every text as text and every number with all its digits.

    XlsxWriter writes a text such as `<r>…</r>` as XML, so that someone who controls the text
    could put a formula into the file; and it writes numbers with 16 digits, while a float may
    need 17.
    """

    def _xml_rich_inline_string(self, string: str, attributes: list[tuple[str, object]]) -> None:
        self._xml_inline_string(string, preserve=True, attributes=attributes)

    def _xml_number_element(self, number: object, attributes: list[tuple[str, object]]) -> None:
        cell = " ".join(f'{name}="{value}"' for name, value in attributes)
        self.fh.write(f"<c {cell}><v>{number}</v></c>")


def write_cell(sheet: Worksheet, row: int, index: int, value: object, style: Format) -> None:
    """Write one value.

    Some values are written as text, because Excel would change them: numbers of more than 15
    digits or outside of Excel's range, NaN, the infinities, and dates before March 1900. A time is
    written as the local time in its zone, without its offset, because Excel has no time zones.

    Args:
        sheet: The sheet.
        row: Row, from 0.
        index: Column, from 0.
        value: A value that `exports.tables.plain.plain` accepts; None writes nothing.
        style: How the cell looks.

    Raises:
        FormatLimitError: The text is longer than a cell can hold.
        TypeError: Exports do not have values of this type.
    """
    match value:
        case None:
            pass
        case bool():
            sheet.write_boolean(row, index, value, style)
        case int() | float() | Decimal() if fits(value):
            sheet.write_number(row, index, value, style)
        case date() if _day(value) >= FIRST_DAY:
            naive = value.replace(tzinfo=None) if isinstance(value, datetime) else value
            sheet.write_datetime(row, index, naive, style)
        case _:
            text = plain(value)
            if _utf16_length(text) > MAX_TEXT:
                raise FormatLimitError(
                    f"Row {row + 1:,} holds a text of more than {MAX_TEXT:,} characters, which is"
                    " the limit of a cell in an xlsx file; csv has no such limit."
                )
            sheet.write_string(row, index, text, style)


def fits(value: float | Decimal) -> bool:
    """Whether Excel can hold a number exactly: a float in its range, others up to 15 digits."""
    if isinstance(value, float):
        return not value or SMALLEST <= abs(value) <= LARGEST
    digits = "".join(map(str, Decimal(value).as_tuple().digits))
    return len(digits.strip("0")) <= MAX_DIGITS


def number_format(kind: pa.DataType, period: str | None) -> str | None:
    """Return Excel's number format for a column; None for text and other types without one.

    Args:
        kind: The column's Arrow type.
        period: `Column.period`.
    """
    if pa.types.is_date(kind):
        return "yyyy-mm" if period == "month" else "yyyy-mm-dd"
    if pa.types.is_timestamp(kind):
        return "yyyy-mm-dd hh:mm:ss"
    if pa.types.is_integer(kind):
        return _INTEGER
    if pa.types.is_floating(kind):
        return _FLOAT
    return _decimal_format(kind.scale) if is_decimal(kind) else None


def cell_look(kind: pa.DataType, style: str | None) -> dict[str, Any]:
    """Return the properties of a column's cells.

    Text stays text when someone edits it; a number that is stored as text is aligned right.

    Args:
        kind: The column's Arrow type.
        style: The column's number format.
    """
    right = is_number(kind) or pa.types.is_timestamp(kind)
    return {"num_format": style or "@", "align": "right" if right else "left"}


def _decimal_format(scale: int) -> str:
    """Show all decimal places if there are few; of many, only those that a number uses."""
    if scale <= 0:
        return _INTEGER
    if scale <= _MAX_FIXED_PLACES:
        return f"{_INTEGER}.{'0' * scale}"
    return f"{_FLOAT}{'#' * (min(scale, _MAX_PLACES) - 2)}"


def display_width(value: object, style: str | None) -> int:
    """Return the width of a value in its column, in digits; a Chinese character is two wide.

    Args:
        value: The value of the cell.
        style: The column's number format.
    """
    match value:
        case None:
            return 0
        case int() | float() | Decimal() if style is not None and fits(value):
            return len(f"{value:,.{style.partition('.')[2].count('0')}f}")
        case date() if style is not None:
            return len(style)
        case _:
            return max(map(_line_width, plain(value).split("\n")))


def _line_width(line: str) -> int:
    if line.isascii():
        return len(line)
    return sum(
        2 if unicodedata.east_asian_width(character) in _EAST_ASIAN_WIDE else 1
        for character in line
    )


def _utf16_length(text: str) -> int:
    if len(text) * 2 <= MAX_TEXT:
        return len(text)
    return len(text.encode("utf-16-le")) // 2


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value

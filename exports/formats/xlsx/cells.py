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

# https://support.microsoft.com/office/excel-specifications-and-limits
# (1672b34d-7043-467e-8e27-269d656771c3): rows, columns, characters in a cell, significant digits,
# and the range of numbers.
MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 16_384
MAX_TEXT: Final = 32_767
MOST_DIGITS: Final = 15
LARGEST: Final = 9.99999999999999e307
SMALLEST: Final = 2.2250738585073e-308
# Excel takes 1900 for a leap year, so its calendar is right from here on.
FIRST_DAY: Final = date(1900, 3, 1)
DAY_ZERO: Final = date(1899, 12, 30)  # of that calendar, as it is from then on

HEADING_LOOK: Final = {"num_format": "@", "bold": True, "bottom": 1}
_INTEGER: Final = "#,##0"
_FLOAT: Final = "#,##0.00"
_MOST_FIXED_PLACES: Final = 4
_MOST_PLACES: Final = 30  # of a number format
_EAST_ASIAN_WIDE: Final = ("W", "F")


class PlainWorksheet(Worksheet):
    """A sheet that takes no text for markup and no number for a shorter one.

    XlsxWriter writes a text such as `<r>…</r>` as the XML that it looks like, so that whoever
    owns the text could put a formula into the file; and numbers with 16 digits, where a float
    may need 17.
    """

    def _xml_rich_inline_string(self, string: str, attributes: list[tuple[str, object]]) -> None:
        self._xml_inline_string(string, preserve=True, attributes=attributes)

    def _xml_number_element(self, number: object, attributes: list[tuple[str, object]]) -> None:
        cell = " ".join(f'{name}="{value}"' for name, value in attributes)
        self.fh.write(f"<c {cell}><v>{number}</v></c>")


def write_cell(sheet: Worksheet, row: int, index: int, value: object, style: Format) -> None:
    """Write one value.

    A number that Excel's 15 digits or its range can't hold is written as text, and so are NaN
    and the infinities, and dates before March 1900: as text they stay what they are. A time is
    written without its offset, as the clock in its zone shows it, because Excel knows no zones.

    Args:
        sheet: Where to.
        row: Row, from 0.
        index: Column, from 0.
        value: A value that `exports.formats.formulas.plain` knows; None is an empty cell.
        style: How the cell looks.

    Raises:
        FormatLimitError: The text is longer than a cell can be.
        TypeError: No column of an export has values of this type.
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
                    " all that a cell of an xlsx file takes; csv has no such limit."
                )
            sheet.write_string(row, index, text, style)


def fits(value: float | Decimal) -> bool:
    """Whether Excel holds a number exactly: a float as it is, others up to 15 digits."""
    if isinstance(value, float):
        return not value or SMALLEST <= abs(value) <= LARGEST
    digits = "".join(map(str, Decimal(value).as_tuple().digits))
    return len(digits.strip("0")) <= MOST_DIGITS


def number_format(kind: pa.DataType, period: str | None) -> str | None:
    """Return Excel's number format for a column; None for text and other things without one.

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

    Text stays text when someone edits it, and a number that had to become text stands right.

    Args:
        kind: The column's Arrow type.
        style: The column's number format.
    """
    right = is_number(kind) or pa.types.is_timestamp(kind)
    return {"num_format": style or "@", "align": "right" if right else "left"}


def _decimal_format(scale: int) -> str:
    """All places of a few; of many, only those that a number uses."""
    if scale <= 0:
        return _INTEGER
    if scale <= _MOST_FIXED_PLACES:
        return f"{_INTEGER}.{'0' * scale}"
    return f"{_FLOAT}{'#' * (min(scale, _MOST_PLACES) - 2)}"


def display_width(value: object, style: str | None) -> int:
    """Return how wide a value stands in its column, in digits; Chinese takes two for a character.

    Args:
        value: What the cell shows.
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


def fit_pages(sheet: Worksheet) -> None:
    """Print a sheet across, as wide as a page."""
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


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

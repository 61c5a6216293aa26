"""What the sheets of every workbook have in common: properties, headings, printing, widths."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from exports.errors import FormatLimitError
from exports.formats.xlsx.cells import MAX_COLUMNS, MAX_ROWS, display_width
from exports.formats.xlsx.names import property_text
from exports.tables.columns import Column, Sheet

HEADING_LOOK: Final = {"num_format": "@", "bold": True, "bottom": 1}
HEADING_FILL: Final = {"bg_color": "#DDEBF7"}
MAX_WIDTH: Final = 60
"""The widest column, in digits. A longer text is cut off on the screen, not in the file."""
PADDING: Final = 2
"""Free space in a column, in digits."""
_FILTER_BUTTON: Final = 3
"""Width of the button in a heading, in digits."""
# The same rows give the same bytes, also on a retry, so the file does not hold the present time.
_CREATED: Final = datetime(2000, 1, 1, tzinfo=UTC)


def check_column_count(columns: Sequence[Column]) -> None:
    """Make sure that a sheet can hold all columns.

    Raises:
        FormatLimitError: There are too many.
    """
    if len(columns) > MAX_COLUMNS:
        raise FormatLimitError(
            f"The export has {len(columns):,} columns. An xlsx file holds at most"
            f" {MAX_COLUMNS:,} columns; csv has no such limit."
        )


def set_properties(workbook: Workbook, about: Sheet) -> None:
    """Set the properties of the file."""
    workbook.set_properties(
        {
            "title": property_text(about.title),
            "subject": property_text(about.summary),
            "created": _CREATED,
        }
    )


def filled_heading_look(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of the heading above cells that look like `look`."""
    return {**look, **HEADING_LOOK, **HEADING_FILL}


def heading_width(column: Column) -> int:
    """Return the width of a heading with its filter button, in digits."""
    return display_width(column.title, None) + _FILTER_BUTTON


def set_up_table(sheet: Worksheet, rows: int, columns: int) -> None:
    """Keep the heading in view and on every page, and add the filter.

    Args:
        sheet: Where the table is, from the first cell on.
        rows: The number of rows to filter, the heading included.
        columns: The number of columns.
    """
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    fit_to_page_width(sheet)
    sheet.autofilter(0, 0, rows - 1, columns - 1)
    # Without this, Excel marks each text that looks like a number as a possible mistake.
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{MAX_ROWS}"})


def fit_to_page_width(sheet: Worksheet) -> None:
    """Print a sheet in landscape, scaled to the width of one page."""
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)

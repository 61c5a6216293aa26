"""Names in a workbook that Excel accepts."""

import re
from collections.abc import Iterable
from itertools import count
from typing import Final

_MAX_UNITS: Final = 31
"""UTF-16 code units in the name of a sheet."""
_FORBIDDEN: Final = re.compile(r"[\[\]:*?/\\\x00-\x1f\x7f-\x9f\ufffe\uffff]+")
_RESERVED: Final = "history"
_FALLBACK: Final = "Export"


def sheet_name(title: str) -> str:
    r"""Return the nearest name that Excel accepts for a sheet.

    Excel refuses more than 31 characters, any of `[]:*?/\`, an apostrophe at either end, an
    empty name and "History"
    (https://support.microsoft.com/office/rename-a-worksheet-3f1f7148-ee83-404d-8ef0-9ff99fbad1f9).
    """
    name = _FORBIDDEN.sub(" ", title)
    # Excel counts UTF-16 code units; a character that would be cut in half is left out.
    name = name.strip(" '").encode("utf-16-le")[: _MAX_UNITS * 2].decode("utf-16-le", "ignore")
    name = name.strip(" '")
    if name.lower() == _RESERVED:
        return f"{name} {_FALLBACK}"
    return name or _FALLBACK


def numbered_sheet_name(name: str, number: int) -> str:
    """Return the name of one of several sheets of the same report.

    Args:
        name: What `sheet_name` returned.
        number: The number of the sheet, from 1.
    """
    end = f" {number}"
    units = name.encode("utf-16-le")[: (_MAX_UNITS - len(end)) * 2]
    return units.decode("utf-16-le", "ignore").rstrip(" '") + end


def chart_sheet_name(table: str) -> str:
    """Return the name of the chart's sheet, different from the name of the table's sheet."""
    return "Chart" if table.lower() != "chart" else "Chart 2"


def about_sheet_name(others: Iterable[str]) -> str:
    """Return the name of the sheet that says what the export is, different from all others."""
    taken = {name.lower() for name in others}
    wanted = (f"About {number}" if number > 1 else "About" for number in count(1))
    return next(name for name in wanted if name.lower() not in taken)


def property_text(text: str) -> str:
    """Return `text` without the characters that a property of the file can't hold."""
    return _FORBIDDEN.sub(" ", text)

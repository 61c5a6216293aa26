"""Names in a workbook: what Excel takes for one."""

import re
from typing import Final

_MAX_LENGTH: Final = 31
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
    # Excel counts UTF-16 units; a character cut in half is dropped whole.
    name = name.strip(" '").encode("utf-16-le")[: _MAX_LENGTH * 2].decode("utf-16-le", "ignore")
    name = name.strip(" '")
    if name.lower() == _RESERVED:
        return f"{name} {_FALLBACK}"
    return name or _FALLBACK


def numbered_sheet_name(name: str, number: int) -> str:
    """Return the name of one of several sheets with the same rows' title.

    Args:
        name: What `sheet_name` returned.
        number: From 1.
    """
    end = f" {number}"
    units = name.encode("utf-16-le")[: (_MAX_LENGTH - len(end)) * 2]
    return units.decode("utf-16-le", "ignore").rstrip(" '") + end


def chart_sheet_name(table: str) -> str:
    """Return the name of the chart's sheet, which differs from the name of the table's."""
    return "Chart" if table.lower() != "chart" else "Chart 2"


def property_text(text: str) -> str:
    """Return `text` without what the XML of the document's properties can't hold."""
    return _FORBIDDEN.sub(" ", text)

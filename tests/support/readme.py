"""Reads README.md: its sections, tables, and blocks of code."""

import re
from collections.abc import Iterator
from typing import Final

from tests.support.paths import REPOSITORY

PAGE: Final = REPOSITORY / "README.md"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$", text(), re.MULTILINE)
    assert found, f"no section {title}"
    rest = text()[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", without_code(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def without_code(page: str) -> str:
    """Return a page with its blocks of code blanked out: a comment in one is no heading."""
    return re.sub(
        r"^```.*?^```", lambda block: " " * len(block[0]), page, flags=re.DOTALL | re.MULTILINE
    )


def blocks(language: str, of: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", of, re.DOTALL | re.MULTILINE)


def tables(of: str) -> Iterator[list[list[str]]]:
    """Yield the rows of each table, as cells, without its heading."""
    for table in re.findall(r"(?:^\|.*\n)+", of, re.MULTILINE):
        rows = [row.strip("| ") for row in table.splitlines()]
        yield [[cell.strip() for cell in row.split(" |")] for row in rows[2:]]


def rows(title: str) -> list[list[str]]:
    """Return the rows of the first table of a section."""
    return next(tables(section(title)))


def quoted(of: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", of)

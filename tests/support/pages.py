"""Reads the pages for people: their sections, tables, code blocks and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.paths import REPOSITORY

README: Final = REPOSITORY / "README.md"
DOCS: Final = REPOSITORY / "docs"
ALL: Final = (
    *sorted(REPOSITORY.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted((REPOSITORY / "benchmarks").rglob("*.md")),
)


def name(page: Path) -> str:
    """Return the path of a page, as the name of a test case."""
    return str(page.relative_to(REPOSITORY))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section(page: Path, title: str) -> str:
    """Return the text below a heading, up to the next heading of its level or above."""
    whole = text(page)
    found = re.search(rf"^(#+) {re.escape(title)}$", whole, re.MULTILINE)
    assert found, f"{name(page)} has no section {title}"
    rest = whole[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", without_code(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def without_code(of: str) -> str:
    """Return text with its code blocks blanked out: a comment in one is not a heading."""
    return re.sub(
        r"^( *)```.*?^ *```",
        lambda block: " " * len(block[0]),
        of,
        flags=re.DOTALL | re.MULTILINE,
    )


def blocks(language: str, of: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", of, re.DOTALL | re.MULTILINE)


def tables(of: str) -> Iterator[list[list[str]]]:
    """Yield the rows of each table, as cells, without its heading."""
    for table in re.findall(r"(?:^\|.*\n)+", of, re.MULTILINE):
        rows = [row.strip("| ") for row in table.splitlines()]
        yield [[cell.strip() for cell in row.split(" |")] for row in rows[2:]]


def quoted(of: str) -> list[str]:
    """Return the texts between backticks."""
    return re.findall(r"`([^`\n]+)`", of)


def links(page: Path) -> list[str]:
    """Return the targets of all links and pictures of a page, except those on the web."""
    prose = without_code(text(page))
    found = re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", prose)
    return [link or picture for link, picture in found if "://" not in link]


def anchors(page: Path) -> list[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", without_code(text(page)), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """Yield the arguments of every command: in blocks for a shell, and between backticks."""
    whole = text(page)
    shell = "\n".join((*blocks("sh", whole), *blocks("console", whole))).replace("\\\n", " ")
    for line in (*shell.splitlines(), *quoted(without_code(whole))):
        command = line.strip().removeprefix("$ ")
        if command.startswith(f"{program} "):
            yield shlex.split(command, comments=True)[1:]

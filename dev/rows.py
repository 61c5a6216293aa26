"""Reads the rows of a csv or JSON lines file, each with the number of its line."""

import csv
import gzip
import re
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import rich.progress
from bson import json_util
from bson.errors import BSONError
from pydantic import TypeAdapter, ValidationError

from exports.cli.output import console, say
from exports.errors import RequestError
from exports.reports.definition import FieldPath

_MOST_SHOWN: Final = 5
_DELIMITERS: Final = ",;\t"
_NOT_A_NAME: Final = re.compile(r"[-+]?[\d.,:/ -]+|\d{4}-\d\d-\d\d.*")
_PATH: Final = TypeAdapter[str](FieldPath)
# What `mongoexport` writes: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/
_EXTENDED_JSON: Final = json_util.RELAXED_JSON_OPTIONS.with_options(tz_aware=True)
CSV: Final = (".csv", ".csv.gz")
JSON_LINES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


class Row(NamedTuple):
    """A row of the file.

    Attributes:
        line: Number of its first line; 1 is the first line of the file.
        values: Its values, by the paths of their fields. Empty cells and nulls are left out.
    """

    line: int
    values: dict[str, object]


class Problems:
    """Collects what is wrong with the rows of a file, by line."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}

    def add(self, line: int, reason: str) -> None:
        """Note that a line cannot be loaded."""
        self._lines.setdefault(reason, []).append(line)

    def check(self, name: str) -> None:
        """Do nothing if all rows can be loaded.

        Args:
            name: The file, for the message.

        Raises:
            RequestError: Rows cannot be loaded; the message says which lines, and why.
        """
        if self._lines:
            found = [f"{_named(lines)}: {reason}." for reason, lines in self._lines.items()]
            raise RequestError("\n".join([f"{name} cannot be loaded. Nothing was loaded.", *found]))


@contextmanager
def reading(file: Path, action: str) -> Generator[Iterable[bytes]]:
    """Open a file to read its lines, and show a progress bar meanwhile.

    Args:
        file: The file.
        action: What is done with it, for people.

    Raises:
        RequestError: It cannot be read.
    """
    out = console(sys.stderr)
    if not out.is_terminal:
        say(f"{action} …")
    try:
        with rich.progress.open(
            file, "rb", description=action, console=out, disable=not out.is_terminal
        ) as raw:
            yield gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else raw
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise RequestError(f"{file.name} is not a complete gzip file.") from None
    except OSError as error:
        raise RequestError(f"{file.name} cannot be read ({error.strerror}).") from None


def rows_of(
    file: Path, lines: Iterable[bytes], heading: list[str], problems: Problems
) -> Iterator[Row]:
    """Return the rows of a file, as the end of its name says.

    Args:
        file: The file.
        lines: Its lines.
        heading: Is filled with the names of the columns before the first row, if it is a csv.
        problems: Gets the rows that cannot be read.

    Raises:
        RequestError: The first line of a csv is not a heading.
    """
    if file.name.endswith(CSV):
        return _csv_rows(lines, heading, problems)
    return _json_rows(lines, problems)


def document(values: Mapping[str, object]) -> dict[str, object]:
    """Return the document with these values: `buyer.city` is the field `city` in `buyer`."""
    made: dict[str, object] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        inside: Any = made
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[name] = value
    return made


def _named(lines: list[int]) -> str:
    first = ", ".join(map(str, lines[:_MOST_SHOWN]))
    more = len(lines) - _MOST_SHOWN
    return f"line{'s' if lines[1:] else ''} {first}{f' and {more:,} more' if more > 0 else ''}"


def _csv_rows(file: Iterable[bytes], heading: list[str], problems: Problems) -> Iterator[Row]:
    lines = _decoded(file, problems)
    first = next(lines, None)
    if first is None:
        return
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    line = 1
    try:
        heading += _heading(next(reader))
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(heading):
                problems.add(line, f"has {len(cells)} cells; the heading has {len(heading)}")
            elif cells:
                filled: dict[str, object] = {
                    path: cell for path, cell in zip(heading, cells, strict=True) if cell
                }
                yield Row(line, filled)
            line = reader.line_num + 1
    except csv.Error as error:  # most likely a quote that is never closed: the rest is one cell
        problems.add(line, f"is not valid csv ({error})")


def _json_rows(file: Iterable[bytes], problems: Problems) -> Iterator[Row]:
    for number, line in enumerate(_decoded(file, problems), start=1):
        if not line.strip():
            continue
        try:
            content: object = json_util.loads(line, json_options=_EXTENDED_JSON)
        except (ValueError, TypeError, ArithmeticError, BSONError):
            problems.add(number, "is not valid JSON")
            continue
        if isinstance(content, dict):
            yield Row(number, dict(_leaves(cast("dict[str, object]", content), "")))
        else:
            problems.add(number, "is not a JSON object; each line must contain one object")


def _decoded(file: Iterable[bytes], problems: Problems) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            problems.add(number, "is not UTF-8; save the file as UTF-8")
            return


def _heading(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells] or [""]
    for number, name in enumerate(names, start=1):
        try:
            _PATH.validate_python(name)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise _not_a_heading(f"column {number} {reason}") from None
        if _NOT_A_NAME.fullmatch(name):
            raise _not_a_heading(f"column {number} is a value, not a name")
        if name in names[: number - 1]:
            raise _not_a_heading(f"the name {name} occurs twice")
        if any(other.startswith(f"{name}.") for other in names):
            raise _not_a_heading(f"{name} is a column, and also the document of another column")
    return names


def _not_a_heading(reason: str) -> RequestError:
    return RequestError(f"Line 1 must be a heading with the name of each column, but {reason}.")


def _leaves(fields: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _leaves(cast("dict[str, object]", value), f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value

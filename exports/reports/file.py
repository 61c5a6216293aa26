"""Reads the reports file: every mistake in it, each with its line, or the reports."""

import difflib
import importlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from exports.errors import ReportsFileError
from exports.reports.definition import GroupBy, Measure, Name, StatsDefinition, check_name
from exports.reports.report import Report, ReportCatalog
from exports.reports.rows.definition import FieldColumn, RowsDefinition
from exports.reports.rows.report import RowsReport
from exports.reports.stats.report import StatsReport
from exports.reports.toml_lines import KeyPath, key_lines, line_of

_REPORTS: Final = "reports"
_DEFAULT_PERIODS: Final = {"statsMonthly": "month", "statsAnnual": "year"}
_KINDS: Final = ("stats", "rows")
_KNOWN: Final = (*StatsDefinition.model_fields, "python")
_LONGEST_VALUE: Final = 60
_POSITION: Final = re.compile(r" \(at line (\d+), column \d+\)$")


class _Mistake(NamedTuple):
    path: KeyPath
    reason: str


class _Found(NamedTuple):
    reports: list[Report]
    mistakes: list[_Mistake]


class _PythonDefinition(BaseModel):
    """A report that is a class: `python = "package.module:ClassName"`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    python: str
    title: Name | None = None


def load_reports(path: Path) -> ReportCatalog:
    """Read the reports file.

    Args:
        path: A TOML file with a table `[reports.NAME]` per report.

    Raises:
        ReportsFileError: The file is missing or has mistakes. The message has a line for each:
            file, line, key, what is wrong and what would be right.
    """
    text = _read(path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ReportsFileError(_syntax(path, text, str(error))) from None
    found = _reports(content)
    if found.mistakes:
        lines = key_lines(text)
        located = sorted((line_of(lines, item.path), item) for item in found.mistakes)
        raise ReportsFileError(
            "\n".join(
                f"{path}:{line}: {'.'.join(item.path)}: {item.reason}." for line, item in located
            )
        )
    return ReportCatalog(found.reports)


def _read(path: Path) -> str:
    try:
        # Editors on Windows like to begin a file with a byte-order mark, which TOML has not.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ReportsFileError(f"{path}: is not UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise ReportsFileError(
            f"{path}: can't be read ({error.strerror}); EXPORTS_REPORTS_FILE names the file."
        ) from None


def _syntax(path: Path, text: str, message: str) -> str:
    position = _POSITION.search(message)
    line = int(position[1]) if position else text.count("\n") + 1
    reason = _POSITION.sub("", message).removesuffix(" (at end of document)")
    twice = re.fullmatch(r"Cannot declare \((.*?),?\) twice", reason)
    if twice:
        name = ".".join(part.strip("'\" ") for part in twice[1].split(","))
        return f"{path}:{line}: {name}: is there already; choose another name."
    return f"{path}:{line}: is not TOML: {reason}."


def _reports(content: dict[str, Any]) -> _Found:
    mistakes = [
        _Mistake((key,), "is not known here; a report is a table [reports.NAME]")
        for key in content
        if key != _REPORTS
    ]
    tables = _table(content.get(_REPORTS))
    if not tables:
        mistakes.append(_Mistake((_REPORTS,), "has no report; add a table [reports.NAME]"))
        return _Found([], mistakes)
    reports: list[Report] = []
    for name, table in tables.items():
        found = _report(name, table)
        reports += found.reports
        mistakes += [_Mistake((_REPORTS, name, *item.path), item.reason) for item in found.mistakes]
    return _Found(reports, mistakes)


def _table(value: object) -> dict[str, Any] | None:
    # The keys of a TOML table are text.
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _report(name: str, value: object) -> _Found:
    mistakes: list[_Mistake] = []
    try:
        check_name(name)
    except ValueError as error:
        mistakes.append(_Mistake((), str(error)))
    table = _table(value)
    if table is None:
        return _Found([], [*mistakes, _Mistake((), f"is not a table; write [reports.{name}]")])
    reports: list[Report] = []
    known: Iterable[str] = _KNOWN
    try:
        if "python" in table:
            known = _PythonDefinition.model_fields
            reports.append(_python_report(name, _PythonDefinition.model_validate(table)))
        elif table.get("kind", "stats") not in _KINDS:
            reason = f"{_short(table['kind'])} {_unknown(str(table['kind']), _KINDS)}"
            mistakes.append(_Mistake(("kind",), reason))
        elif table.get("kind") == "rows":
            known = RowsDefinition.model_fields
            reports.append(RowsReport(name, RowsDefinition.model_validate(table)))
        else:
            table = _with_default_period(name, table)
            mistakes += _clashes(table)
            reports.append(StatsReport(name, StatsDefinition.model_validate(table)))
    except ValidationError as error:
        mistakes += _in_words(error, known)
    except _PythonError as error:
        mistakes.append(_Mistake(("python",), str(error)))
    return _Found(reports, mistakes)


def _with_default_period(name: str, table: dict[str, Any]) -> dict[str, Any]:
    default = _DEFAULT_PERIODS.get(name)
    return table if default is None else {"period": default} | table


def _clashes(table: Mapping[str, Any]) -> Iterator[_Mistake]:
    # Outside the model, so that these are reported along with mistakes in single fields.
    groups, measures = _table(table.get("group_by")) or {}, _table(table.get("measures")) or {}
    period = "month" if table.get("period") == "year" else "day"
    for where, names in (("group_by", groups), ("measures", measures)):
        if period in names:
            yield _Mistake((where, period), "is the name of the first column; choose another")
    for name in groups.keys() & measures.keys():
        yield _Mistake(("measures", name), "is the name of a group too; choose another")


class _PythonError(Exception):
    pass


def _python_report(name: str, definition: _PythonDefinition) -> Report:
    module_name, _, class_name = definition.python.partition(":")
    if not module_name or not class_name:
        raise _PythonError("does not name a class; write package.module:ClassName")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 -- importing runs code of other people
        raise _PythonError(f"can't be imported ({type(error).__name__})") from None
    found: object = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, Report):
        raise _PythonError("does not name a subclass of exports.reports.report.Report")
    try:
        return found(name, definition.title)
    except Exception as error:  # noqa: BLE001 -- same
        raise _PythonError(f"can't be made with (name, title) ({type(error).__name__})") from None


def _in_words(error: ValidationError, known: Iterable[str]) -> Iterator[_Mistake]:
    for item in error.errors(include_url=False):
        path = tuple(str(part) for part in item["loc"] if part != "[key]")
        match item["type"]:
            case "extra_forbidden":
                reason = _unknown(path[-1], _known(path) or known)
            case "literal_error":
                choice = re.findall(r"'(\w+)'", item.get("ctx", {})["expected"])
                reason = f"{_short(item['input'])} {_unknown(str(item['input']), choice)}"
            case "missing":
                reason = "is needed"
            case "too_short":
                reason = "is empty; add at least one"
            case _:
                reason = item["msg"].removeprefix("Value error, ")
        yield _Mistake(path, reason)


def _known(path: KeyPath) -> Iterable[str] | None:
    match path:
        case ("group_by", _, _):
            return GroupBy.model_fields
        case ("measures", _, _):
            return Measure.model_fields
        case ("columns", _, _):
            return FieldColumn.model_fields
        case _:
            return None


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"is not known here{hint}; known are: {', '.join(names)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."

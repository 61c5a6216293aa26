"""Reads the reports file: the reports, or every mistake in it, each with its key."""

import difflib
import importlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exports.errors import ReportsFileError, without_prefix
from exports.reports.definition import (
    GroupBy,
    Measure,
    Name,
    Param,
    Quota,
    StatsDefinition,
    check_name,
)
from exports.reports.report import Report, ReportCatalog
from exports.reports.rows.definition import FieldColumn, RowsDefinition
from exports.reports.rows.report import RowsReport
from exports.reports.stats.report import StatsReport

_REPORTS: Final = "reports"
_DEFAULT_PERIODS: Final = {"statsMonthly": "month", "statsAnnual": "year"}
_KINDS: Final = ("stats", "rows")
_STATS_KEYS: Final = (*StatsDefinition.model_fields, "python")
_LONGEST_VALUE: Final = 60
"""Characters of a wrong value that a message shows."""

_KeyPath = tuple[str, ...]
"""A key with those of the tables around it: `("reports", "statsMonthly", "timezone")`."""


class _Mistake(NamedTuple):
    path: _KeyPath
    reason: str


class _Checked(NamedTuple):
    reports: list[Report]
    mistakes: list[_Mistake]


class _PythonDefinition(BaseModel):
    """A report that is a class: `python = "package.module:ClassName"`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    python: str
    title: Name | None = None
    max_rows: Annotated[int, Field(ge=1)] | None = None
    about: bool = True
    quota: Quota = Quota()


def load_reports(path: Path) -> ReportCatalog:
    """Read the reports file.

    Args:
        path: A TOML file with a table `[reports.NAME]` per report.

    Raises:
        ReportsFileError: The file cannot be read or has mistakes. The message has a line for each
            mistake: the file, the dotted key, what is wrong and what would be right.
    """
    try:
        content = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:  # says at which line and column
        raise ReportsFileError(f"{path}: is not valid TOML: {error}.") from None
    checked = _check(content)
    if checked.mistakes:
        raise ReportsFileError(
            "\n".join(f"{path}: {'.'.join(item.path)}: {item.reason}." for item in checked.mistakes)
        )
    return ReportCatalog(checked.reports)


def _read(path: Path) -> str:
    try:
        # Some editors on Windows start a file with a byte-order mark, which TOML does not allow.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ReportsFileError(f"{path}: is not encoded as UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise ReportsFileError(
            f"{path}: cannot be read ({error.strerror}); set EXPORTS_REPORTS_FILE to the path of "
            "the reports file."
        ) from None


def _check(content: dict[str, Any]) -> _Checked:
    mistakes = [
        _Mistake((key,), "is not a known key; a report is a table [reports.NAME]")
        for key in content
        if key != _REPORTS
    ]
    tables = _table(content.get(_REPORTS))
    if not tables:
        mistakes.append(_Mistake((_REPORTS,), "has no report; add a table [reports.NAME]"))
        return _Checked([], mistakes)
    reports: list[Report] = []
    for name, table in tables.items():
        checked = _check_report(name, table)
        reports += checked.reports
        mistakes += [
            _Mistake((_REPORTS, name, *item.path), item.reason) for item in checked.mistakes
        ]
    return _Checked(reports, mistakes)


def _table(value: object) -> dict[str, Any] | None:
    # The keys of a TOML table are text.
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _check_report(name: str, value: object) -> _Checked:
    mistakes: list[_Mistake] = []
    try:
        check_name(name)
    except ValueError as error:
        mistakes.append(_Mistake((), str(error)))
    table = _table(value)
    if table is None:
        return _Checked([], [*mistakes, _Mistake((), f"is not a table; write [reports.{name}]")])
    reports: list[Report] = []
    known: Iterable[str] = _STATS_KEYS
    try:
        if "python" in table:
            known = _PythonDefinition.model_fields
            reports.append(_python_report(name, _PythonDefinition.model_validate(table)))
        elif table.get("kind", "stats") not in _KINDS:
            mistakes.append(_Mistake(("kind",), _not_allowed(table["kind"], _KINDS)))
        elif table.get("kind") == "rows":
            known = RowsDefinition.model_fields
            reports.append(RowsReport(name, RowsDefinition.model_validate(table)))
        else:
            table = _with_default_period(name, table)
            mistakes += _name_clashes(table)
            reports.append(StatsReport(name, StatsDefinition.model_validate(table)))
    except ValidationError as error:
        mistakes += _mistakes_of(error, known)
    except _PythonError as error:
        mistakes.append(_Mistake(("python",), str(error)))
    return _Checked(reports, mistakes)


def _with_default_period(name: str, table: dict[str, Any]) -> dict[str, Any]:
    default = _DEFAULT_PERIODS.get(name)
    return table if default is None else {"period": default} | table


def _name_clashes(table: Mapping[str, Any]) -> Iterator[_Mistake]:
    # Outside the model, so that these are reported along with mistakes in single fields.
    groups, measures = _table(table.get("group_by")) or {}, _table(table.get("measures")) or {}
    period = "month" if table.get("period") == "year" else "day"
    for where, names in (("group_by", groups), ("measures", measures)):
        if period in names:
            yield _Mistake((where, period), "is the name of the first column; choose another name")
    for name in measures:
        if name in groups:
            reason = "is the name of a group too; choose another name"
            yield _Mistake(("measures", name), reason)


class _PythonError(Exception):
    pass


def _python_report(name: str, definition: _PythonDefinition) -> Report:
    module_name, _, class_name = definition.python.partition(":")
    if not module_name or not class_name:
        raise _PythonError("does not name a class; write package.module:ClassName")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 -- importing runs code of other people
        raise _PythonError(f"cannot be imported ({type(error).__name__})") from None
    found: object = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, Report):
        raise _PythonError("does not name a subclass of exports.Report")
    try:
        report = found(name, definition.title)
    except Exception as error:  # noqa: BLE001 -- same
        raise _PythonError(
            f"cannot be called with (name, title) ({type(error).__name__})"
        ) from None
    report.max_rows, report.about = definition.max_rows, definition.about
    report.quota_open, report.quota_per_day = definition.quota.open, definition.quota.per_day
    return report


def _mistakes_of(error: ValidationError, known: Iterable[str]) -> Iterator[_Mistake]:
    for item in error.errors(include_url=False):
        path = tuple(str(part) for part in item["loc"] if part != "[key]")
        match item["type"]:
            case "extra_forbidden":
                keys = _keys_of_inner_table(path) or known
                reason = f"is not a known key{_suggestion(path[-1], keys)}"
            case "literal_error":
                allowed = re.findall(r"'(\w+)'", item.get("ctx", {})["expected"])
                reason = _not_allowed(item["input"], allowed)
            case "missing":
                reason = "is required"
            case "too_short":
                reason = "is empty; add at least one"
            case _:
                reason = without_prefix(item["msg"])
        yield _Mistake(path, reason)


def _keys_of_inner_table(path: _KeyPath) -> Iterable[str] | None:
    match path:
        case ("group_by", _, _):
            return GroupBy.model_fields
        case ("measures", _, _):
            return Measure.model_fields
        case ("params", _, _):
            return Param.model_fields
        case ("columns", _, _):
            return FieldColumn.model_fields
        case ("quota", _):
            return Quota.model_fields
        case _:
            return None


def _not_allowed(value: object, allowed: Iterable[str]) -> str:
    text = repr(value)
    short = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
    return f"{short} is not allowed{_suggestion(str(value), allowed)}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{hint}; use one of: {', '.join(names)}"

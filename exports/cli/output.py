"""What the commands print. Texts from documents are printed without control characters."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TextIO

from pydantic import BaseModel, JsonValue
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from exports.characters import can_mislead
from exports.clock import from_epoch_ms
from exports.errors import Server
from exports.models import ScheduleView, SweepResult, TaskStatus, WireModel
from exports.reports.described import ParamDescription
from exports.tables.described import ColumnDescription
from exports.tasks.audit import AuditEntry
from exports.tasks.task import ExportTask

if TYPE_CHECKING:
    from exports.client.estimating import Estimate
    from exports.tokens import Token

_UNLIMITED: Final = 100_000
"""Columns of a line in a pipe or a file, so that nothing is wrapped."""
_LONGEST_VALUE: Final = 40
"""Characters of a parameter's value."""
_SERVERS: Final[Mapping[Server, str]] = {
    "database": "the database of the tasks",
    "source": "the database of the reports",
    "store": "the object store",
    "temporal": "Temporal",
}
_STYLES: Final = {
    TaskStatus.PENDING: "yellow",
    TaskStatus.RUNNING: "cyan",
    TaskStatus.DONE: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "magenta",
    TaskStatus.EXPIRED: "dim",
}


class TypeView(WireModel):
    """One export type, for `exports types`.

    Attributes:
        type: Its name in requests.
        title: Its title for people.
        params: Its parameters.
        params_schema: Their JSON Schema.
        columns: The columns of its files; empty if only the rows can tell.
        periods: The relative periods that recurring exports of it can have.
        formats: The file formats that it can be exported to.
    """

    type: str
    title: str
    params: list[ParamDescription]
    params_schema: dict[str, JsonValue]
    columns: list[ColumnDescription]
    periods: list[str]
    formats: list[str]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1, which means here that an export failed.
        raise BrokenPipeError


def console(stream: TextIO) -> Console:
    """Return a console: colours and the width of the window on a terminal, plain text elsewhere."""
    terminal = stream.isatty()
    return _Console(
        file=stream,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        width=None if terminal else _UNLIMITED,
        markup=False,
        highlight=False,
        emoji=False,
    )


def say(text: str) -> None:
    """Print a message to standard error."""
    console(sys.stderr).print(Text(plain(text)), soft_wrap=True)


def print_json(value: BaseModel | Sequence[BaseModel] | dict[str, JsonValue]) -> None:
    """Print one JSON value, with the field names of documents and times in epoch milliseconds."""
    if isinstance(value, BaseModel):
        content: object = value.model_dump(mode="json", by_alias=True)
    elif isinstance(value, dict):
        content = value
    else:
        content = [item.model_dump(mode="json", by_alias=True) for item in value]
    readable = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    text = json.dumps(content, ensure_ascii=not readable)
    # Control characters would reach the terminal. They occur only inside JSON strings.
    safe = "".join(json.dumps(letter)[1:-1] if can_mislead(letter) else letter for letter in text)
    sys.stdout.write(f"{safe}\n")


def print_version() -> None:
    """Print the installed version."""
    sys.stdout.write(f"exports {version('temporal-exports')}\n")


def show(*parts: RenderableType) -> None:
    """Print a result for people to standard output."""
    out = console(sys.stdout)
    with out.capture() as printed:
        for part in parts:
            out.print(part, soft_wrap=isinstance(part, Text))
    text = printed.get()
    if not out.is_terminal:  # without the padding of tables
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    sys.stdout.write(text)


def plain(text: str) -> str:
    """Return text without characters that can mislead, such as control characters."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if can_mislead(character) else character for character in text
    )


def task_parts(task: ExportTask) -> Iterable[RenderableType]:
    """Return a task for people; its link is on a line of its own, so that it can be copied."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _task_rows(task):
        grid.add_row(name, value if isinstance(value, Text) else Text(plain(value)))
    yield grid
    if task.download_url is not None:
        yield Text(plain(task.download_url))


def _task_rows(task: ExportTask) -> Iterable[tuple[str, str | Text]]:
    yield "id", task.id
    params = ", ".join(f"{key}={_short(value)}" for key, value in task.params.items())
    yield "type", " ".join(part for part in (task.type, params, task.format) if part)
    yield "created by", task.created_by
    if task.recurring is not None:
        yield "recurring", task.recurring
    yield "created", local_time(task.created_at)
    yield "status", _status(task)
    if not task.status.ended:
        yield "stage", progress_text(task)
    if task.retries:
        yield "failed attempts", f"{task.retries} of {task.max_retries}"
    if task.status is TaskStatus.PENDING and task.next_run_at is not None:
        yield "next attempt", local_time(task.next_run_at)
    if task.error is not None:
        yield "error", f"{task.error.code}: {task.error.msg}"
    if task.cancel_reason:
        yield "reason", task.cancel_reason
    if task.finished_at is not None:
        yield "finished", local_time(task.finished_at)
    yield from _file_rows(task)


def progress_text(task: ExportTask) -> str:
    """Return how far an export has come, and for which server it waits."""
    progress = task.progress
    waits = f", waiting for {_SERVERS[progress.waiting_for]}" if progress.waiting_for else ""
    return f"{progress.stage}, {progress.rows:,} rows{waits}"


def _file_rows(task: ExportTask) -> Iterable[tuple[str, str]]:
    if task.file_name is not None:
        yield "file", f"{task.file_name}, {task.rows:,} rows, {task.bytes:,} bytes"
    if task.data_until is not None:
        yield "data until", local_time(task.data_until)
    for warning in task.warnings:
        yield "warning", f"{warning.code}: {warning.count:,} in {warning.column}"
    if task.sha256 is not None:
        yield "sha256", task.sha256
    if task.download_url is not None:
        yield "link valid until", local_time(task.expires_at)


def tasks_table(tasks: Sequence[ExportTask]) -> Table:
    """Return tasks as a table."""
    table = table_of("id", "type", "format", "status", "rows", "created by", "created", "error")
    table.columns[0].min_width = min(max((len(task.id) for task in tasks), default=2), 40)
    table.columns[0].overflow = "fold"
    table.columns[4].justify = "right"
    for task in tasks:
        rows = task.rows or task.progress.rows
        table.add_row(
            Text(plain(task.id)),
            Text(plain(task.type)),
            Text(plain(task.format)),
            _status(task),
            f"{rows:,}" if rows else "",
            Text(plain(task.created_by)),
            local_time(task.created_at),
            Text(plain(f"{task.error.code}: {task.error.msg}" if task.error else "")),
        )
    return table


def audit_table(entries: Sequence[AuditEntry]) -> Table:
    """Return an audit record as a table."""
    table = table_of("time", "event", "role", "user", "from", "details")
    for item in entries:
        about = item.code or (f"link valid until {local_time(item.until)}" if item.until else "")
        table.add_row(
            local_time(item.at),
            item.did.value,
            item.role.value,
            Text(plain(item.user or "")),
            Text(plain(item.origin)),
            Text(plain(about)),
        )
    return table


def tokens_table(tokens: "Sequence[Token]") -> Table:
    """Return the tokens of the HTTP API as a table."""
    table = table_of("id", "user", "role", "created", "valid until")
    for token in tokens:
        table.add_row(
            token.id,
            Text(plain(token.uid)),
            "operator" if token.operator else "user",
            local_time(token.created_at),
            local_time(token.expires_at) or "it is revoked",
        )
    return table


def estimate_grid(estimate: "Estimate") -> Table:
    """Return what would come of an export."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    known = estimate.rows is not None
    grid.add_row("rows", f"about {estimate.rows:,}" if known else "not known")
    grid.add_row("seconds", f"about {estimate.seconds:,}" if known else "not known")
    if estimate.open_ended:
        grid.add_row("data until", "now, as the period is not over")
    if estimate.joins is not None:
        grid.add_row("is the same as", Text(plain(estimate.joins)))
    quotas = estimate.quotas
    for name, limits in {"all types": quotas, **quotas.reports}.items():
        for what, quota in (("open", limits.open), ("today", limits.day)):
            if quota is not None:
                used = f"{quota.used} of {quota.limit}"
                grid.add_row(f"{what}, {plain(name)}", used)
    return grid


def types_table(types: Sequence[TypeView]) -> Table:
    """Return export types as a table."""
    table = table_of("type", "title", "parameters", "formats")
    for item in types:
        table.add_row(
            Text(plain(item.type), no_wrap=True),
            Text(plain(item.title)),
            Text("; ".join(_described(param) for param in item.params)),
            Text(", ".join(item.formats)),
        )
    return table


def schedule_grid(view: ScheduleView) -> Table:
    """Return the Schedule for people."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_row("schedule", Text(plain(view.schedule_id)))
    grid.add_row("state", "paused" if view.paused else f"every {view.every_seconds} s")
    if not view.up_to_date:
        grid.add_row("", "older than this release: exports schedule apply")
    if view.note:
        grid.add_row("note", Text(plain(view.note)))
    grid.add_row("last runs", ", ".join(map(local_time, view.last_runs)) or "none yet")
    if not view.paused:
        grid.add_row("next runs", ", ".join(map(local_time, view.next_runs)) or "none")
    return grid


def sweep_text(result: SweepResult) -> Text:
    """Return the result of a sweep, in one line."""
    return Text(
        f"started {result.started}, healed {result.healed}, purged {result.purged}; "
        f"{result.handled} tasks in total"
    )


def local_time(milliseconds: int | None) -> str:
    """Return a time in the local time zone, with its offset from UTC.

    Args:
        milliseconds: Epoch milliseconds; None for no time.
    """
    if milliseconds is None:
        return ""
    try:
        moment = from_epoch_ms(milliseconds).astimezone()
    except (ValueError, OverflowError, OSError):  # other systems may store any number
        return str(milliseconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S %z")


def _status(task: ExportTask) -> Text:
    return Text(task.status.value, style=_STYLES[task.status])


def _described(param: ParamDescription) -> str:
    needed = "required" if param.required else "optional"
    details = ", ".join(part for part in (param.type, param.values, needed) if part)
    return plain(f"{param.name} ({details})")


def _short(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def table_of(*headings: str) -> Table:
    """Return an empty table with these headings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading)
    return table

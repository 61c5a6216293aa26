"""The commands about exports: create them, follow them, get their files."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exports.cli.boundary import with_client
from exports.cli.create import (
    NewExport,
    create_export,
    estimate_export,
    login_name,
    parse_notify,
    parse_params,
)
from exports.cli.options import AsJson, OnBehalfOf, TaskId
from exports.cli.output import (
    TypeView,
    audit_table,
    print_json,
    say,
    show,
    sweep_text,
    task_parts,
    tasks_table,
    types_table,
)
from exports.clock import epoch_ms
from exports.models import DEFAULT_FORMAT, SweepResult, TaskStatus
from exports.tasks.audit import MAX_ENTRIES
from exports.tasks.task import ExportTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exports.client import ExportClient

_SWEEP_HINT_AFTER: Final = 5.0
"""Seconds."""

app = typer.Typer()


@app.command()
def types(*, as_json: AsJson = False) -> None:
    """List the export types with their parameters and formats. Needs no server."""
    from exports.formats import FORMATS  # noqa: PLC0415 -- takes half a second
    from exports.reports.file import load_reports  # noqa: PLC0415 -- same
    from exports.settings import ReportsSettings  # noqa: PLC0415 -- same

    found = [
        TypeView(
            type=report.type,
            title=report.title,
            params=report.describe_params(),
            params_schema=report.params_schema(),
            columns=report.describe_columns(),
            periods=[*report.spans],
            formats=sorted(FORMATS),
        )
        for report in load_reports(ReportsSettings.load().reports_file)
    ]
    if as_json:
        print_json(found)
    else:
        show(types_table(found))


@app.command()
def create(
    type_: Annotated[
        str, typer.Argument(metavar="TYPE", help="An export type: see `exports types`.")
    ],
    *,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--param",
            metavar="NAME=VALUE",
            help="A parameter of the export type: -p year=2026. Several values: give it again.",
        ),
    ] = None,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="File format: see `exports types`.",
        ),
    ] = DEFAULT_FORMAT,
    created_by: Annotated[
        str | None,
        typer.Option(
            "--created-by", metavar="USER", help="Owner of the export. Default: your login name."
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Makes it safe to repeat the command: the same key gives the same export.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Make a new export, even if you have asked for the same just now."
        ),
    ] = False,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL",
            help="Tell its owner how it ended: email, wechat, webhook; none: nobody is told. "
            "Several: give it again. Default: see `exports notify`.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only check the request, and estimate the rows and the time."
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the export has ended, and show its progress.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Wait, and download the file to this file or directory."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an export."""
    new = NewExport(
        type=type_,
        params=parse_params(params or []),
        format=file_format,
        created_by=login_name() if created_by is None else created_by,
        idempotency_key=idempotency_key,
        force=force,
        notify=parse_notify(notify),
    )
    if dry_run:
        estimate_export(new, as_json=as_json)
        return
    raise typer.Exit(create_export(new, wait=wait, output=output, as_json=as_json))


@app.command("show")
def show_task(task_id: TaskId, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """Show the status of an export, with the link to its file."""
    _task(lambda client: client.get(task_id, created_by=created_by), as_json=as_json)


@app.command()
def audit(task_id: TaskId, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """Show what happened to an export: when, by whom, from where."""
    entries = with_client(lambda client: client.audit(task_id, created_by=created_by))
    if as_json:
        print_json(entries)
    else:
        show(audit_table(entries))
    if len(entries) >= MAX_ENTRIES:
        say("The record is full. From now on, only the end of the export is added.")


@app.command("list")
def list_tasks(
    *,
    status: Annotated[
        TaskStatus | None, typer.Option(help="Only exports with this status.")
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only exports of this type.")
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Only exports in this file format."),
    ] = None,
    recurring: Annotated[
        str | None, typer.Option(metavar="ID", help="Only exports of this recurring export.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only exports created then or later, in local time.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Only exports created before, in local time.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Go on after this export, the last one of a list."),
    ] = None,
    created_by: OnBehalfOf = None,
    limit: Annotated[int, typer.Option(min=1, help="The largest number of exports to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List exports, newest first."""
    tasks = with_client(
        lambda client: client.list(
            created_by=created_by,
            status=status,
            type=type_,
            format=file_format,
            recurring=recurring,
            created_from=None if since is None else epoch_ms(since.astimezone()),
            created_before=None if until is None else epoch_ms(until.astimezone()),
            after=after,
            limit=limit,
        )
    )
    if as_json:
        print_json(tasks)
    else:
        show(tasks_table(tasks))
    if len(tasks) == limit:
        say(f"There may be more. For the next ones: --after {tasks[-1].id}")


@app.command()
def cancel(
    task_id: TaskId,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for other people.")] = "",
    created_by: OnBehalfOf = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an export and remove what it has written."""
    task = _task(
        lambda client: client.cancel(task_id, created_by=created_by, reason=reason), as_json=as_json
    )
    if not task.status.ended:
        say("The export stops, and its files are removed, as soon as a worker gets to it.")


@app.command()
def renew(task_id: TaskId, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """Make a new link to the file of a finished export."""
    _task(lambda client: client.renew(task_id, created_by=created_by), as_json=as_json)


@app.command()
def delete(task_id: TaskId, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """Remove the file of a finished export, before its time is over."""
    _task(lambda client: client.delete_file(task_id, created_by=created_by), as_json=as_json)


@app.command()
def sweep(*, as_json: AsJson = False) -> None:
    """Run a sweep now: start due exports, heal lost ones, purge expired files."""

    async def work(client: "ExportClient") -> SweepResult:
        hint = asyncio.get_running_loop().call_later(
            _SWEEP_HINT_AFTER, say, "Still waiting. A sweep needs a running worker."
        )
        try:
            return await client.sweep()
        finally:
            hint.cancel()

    result = with_client(work)
    if as_json:
        print_json(result)
    else:
        show(sweep_text(result))


def _task(work: "Callable[[ExportClient], Awaitable[ExportTask]]", *, as_json: bool) -> ExportTask:
    task = with_client(work)
    if as_json:
        print_json(task)
    else:
        show(*task_parts(task))
    return task

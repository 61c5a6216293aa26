"""The command `exports`.

The result goes to standard output, everything else to standard error. With `--json` the result is
one JSON value, for errors too: `{"ok": false, "error": {"code", "msg"}}`.
"""

import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from exports.cli.boundary import (
    EXPORT_FAILED,
    guarded,
    raise_on_sigterm,
    with_client,
    with_schedule,
)
from exports.cli.create import (
    NewExport,
    create_export,
    estimate_export,
    login_name,
    parse_params,
)
from exports.cli.output import (
    TypeView,
    audit_table,
    local_time,
    print_json,
    print_version,
    say,
    schedule_grid,
    show,
    sweep_text,
    task_parts,
    tasks_table,
    types_table,
)
from exports.cli.tokens import tokens
from exports.clock import epoch_ms
from exports.models import DEFAULT_FORMAT, ScheduleView, SweepResult, TaskStatus
from exports.runtime.process import end, keep_temporal_off_stdout
from exports.tasks.audit import MAX_ENTRIES
from exports.tasks.task import ExportTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exports.client import ExportClient
    from exports.temporal.schedule import SweepSchedule

_EXIT_CODES = (
    "Exit codes: 0 success, 1 the export failed or was cancelled, or the worker "
    "is not alive or not ready, 2 invalid input, "
    "3 a server cannot be reached, 130 stopped by Ctrl-C."
)
_SWEEP_HINT_AFTER = 5.0
"""Seconds."""

_AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON value.")]
_TaskId = Annotated[str, typer.Argument(metavar="ID", help="Id of the export.")]
_OnBehalfOf = Annotated[
    str | None,
    typer.Option(
        "--created-by",
        metavar="USER",
        help="Act as this user, who sees only their own exports. Default: an operator sees all.",
    ),
]

app = typer.Typer(
    help="Create exports, follow them, and download their files.",
    epilog=_EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schedule = typer.Typer(help="Manage the Temporal Schedule that runs a sweep every five minutes.")
app.add_typer(schedule, name="schedule")
app.add_typer(tokens, name="token")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- typer passes it so
    if wanted:
        print_version()
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    del version  # its callback has handled it


@app.command()
def types(*, as_json: _AsJson = False) -> None:
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
    as_json: _AsJson = False,
) -> None:
    """Create an export."""
    new = NewExport(
        type=type_,
        params=parse_params(params or []),
        format=file_format,
        created_by=login_name() if created_by is None else created_by,
        idempotency_key=idempotency_key,
        force=force,
    )
    if dry_run:
        estimate_export(new, as_json=as_json)
        return
    raise typer.Exit(create_export(new, wait=wait, output=output, as_json=as_json))


@app.command("show")
def show_task(
    task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False
) -> None:
    """Show the status of an export, with the link to its file."""
    _task(lambda client: client.get(task_id, created_by=created_by), as_json=as_json)


@app.command()
def audit(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
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
    created_by: _OnBehalfOf = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="The largest number of exports to list.")
    ] = 50,
    as_json: _AsJson = False,
) -> None:
    """List exports, newest first."""
    tasks = with_client(
        lambda client: client.list(
            created_by=created_by,
            status=status,
            type=type_,
            format=file_format,
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
    task_id: _TaskId,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for other people.")] = "",
    created_by: _OnBehalfOf = None,
    as_json: _AsJson = False,
) -> None:
    """Cancel an export and remove what it has written."""
    task = _task(
        lambda client: client.cancel(task_id, created_by=created_by, reason=reason), as_json=as_json
    )
    if not task.status.ended:
        say("The export stops, and its files are removed, as soon as a worker gets to it.")


@app.command()
def renew(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
    """Make a new link to the file of a finished export."""
    _task(lambda client: client.renew(task_id, created_by=created_by), as_json=as_json)


@app.command()
def delete(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
    """Remove the file of a finished export, before its time is over."""
    _task(lambda client: client.delete_file(task_id, created_by=created_by), as_json=as_json)


@app.command()
def retry(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
    """Run a failed export again."""
    _task(lambda client: client.retry(task_id, created_by=created_by), as_json=as_json)


@app.command()
def sweep(*, as_json: _AsJson = False) -> None:
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


@schedule.command("apply")
def schedule_apply(*, as_json: _AsJson = False) -> None:
    """Create the Schedule, or update it."""
    _schedule(lambda found: found.apply(), as_json=as_json)


@schedule.command("show")
def schedule_show(*, as_json: _AsJson = False) -> None:
    """Show the Schedule."""
    _schedule(lambda found: found.show(), as_json=as_json)


@schedule.command("pause")
def schedule_pause(*, as_json: _AsJson = False) -> None:
    """Pause the Schedule."""
    _schedule(lambda found: found.pause("paused with `exports schedule pause`"), as_json=as_json)


@schedule.command("resume")
def schedule_resume(*, as_json: _AsJson = False) -> None:
    """Resume the Schedule."""
    _schedule(lambda found: found.resume("resumed with `exports schedule resume`"), as_json=as_json)


@schedule.command("trigger")
def schedule_trigger(*, as_json: _AsJson = False) -> None:
    """Let the Schedule run a sweep now, and do not wait for it."""
    _schedule(lambda found: found.trigger(), as_json=as_json)


@app.command()
def worker(
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Say whether a worker of this machine is alive. Asks no server."
        ),
    ] = False,
    ready: Annotated[
        bool,
        typer.Option(
            "--ready", help="Say whether a worker of this machine is alive and polls Temporal."
        ),
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Run a worker until Ctrl-C or SIGTERM; the same as `python worker.py`."""
    if check or ready:
        raise typer.Exit(_check_worker(ready=ready, as_json=as_json))
    import worker as program  # noqa: PLC0415 -- the one command that needs the whole service

    if not as_json:
        raise typer.Exit(program.main())
    # `serve` raises its errors, so that they can be printed as the one JSON value.
    program.serve()
    print_json({"ok": True})


@app.command("codec-server")
def codec_server(*, as_json: _AsJson = False) -> None:
    """Run the codec server, which decrypts payloads for the Temporal Web UI, until Ctrl-C."""
    from exports.codec_server.process import serve  # noqa: PLC0415 -- no other command needs a web server

    serve()
    if as_json:
        print_json({"ok": True})


@app.command()
def api(*, as_json: _AsJson = False) -> None:
    """Run the HTTP API until Ctrl-C or SIGTERM."""
    from exports.api.process import serve  # noqa: PLC0415 -- no other command needs a web server

    serve()
    if as_json:
        print_json({"ok": True})


def main() -> NoReturn:
    """Run the command line, and exit with its exit code."""
    raise_on_sigterm()
    end(guarded(app, sys.argv[1:]))


def _task(work: "Callable[[ExportClient], Awaitable[ExportTask]]", *, as_json: bool) -> ExportTask:
    task = with_client(work)
    if as_json:
        print_json(task)
    else:
        show(*task_parts(task))
    return task


def _schedule(work: "Callable[[SweepSchedule], Awaitable[ScheduleView]]", *, as_json: bool) -> None:
    view = with_schedule(work)
    if as_json:
        print_json(view)
    else:
        show(schedule_grid(view))


def _check_worker(*, ready: bool, as_json: bool) -> int:
    from exports.cli.health import worker_alive, worker_ready  # noqa: PLC0415 -- as above

    if ready:
        keep_temporal_off_stdout()
    view = asyncio.run(worker_ready()) if ready else worker_alive()
    if as_json:
        print_json(view)
    else:
        found = f"{'' if view.ok else 'not '}{'ready' if ready else 'alive'}"
        seen = f"last seen {local_time(view.last_seen)}" if view.last_seen else "never seen"
        say(f"The worker of {view.host} on task queue {view.task_queue} is {found}: {seen}.")
    return 0 if view.ok else EXPORT_FAILED


if __name__ == "__main__":
    main()

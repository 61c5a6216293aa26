"""The command `exports`.

A result goes to standard output, all else to standard error. With `--json` the result is exactly
one JSON value, also when there is an error: `{"ok": false, "error": {"code", "msg"}}`.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from exports.cli.boundary import (
    EXPORT_FAILED,
    end_in_order_on_sigterm,
    guarded,
    with_client,
    with_schedule,
)
from exports.cli.create import NewExport, create_export, login_name, parse_params
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
from exports.models import DEFAULT_FORMAT, ScheduleView, SweepResult, TaskStatus
from exports.runtime.process import end, keep_temporal_off_stdout
from exports.tasks.audit import MAX_ENTRIES
from exports.tasks.task import ExportTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exports.client import ExportClient
    from exports.temporal.schedule import SweepSchedule

_EXIT_CODES = (
    "Exit codes: 0 fine, 1 the export failed or was cancelled, 2 bad input, "
    "3 a server can't be reached, 130 stopped by Ctrl-C."
)
_SWEEP_HINT = 5.0

_AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON value.")]
_TaskId = Annotated[str, typer.Argument(metavar="ID", help="The export's id.")]
_OnBehalfOf = Annotated[
    str | None,
    typer.Option(
        "--created-by", metavar="U", help="Only exports of U. Default: an operator's view."
    ),
]

app = typer.Typer(
    help="Statistics exports: ask for them, follow them, and get at their files.",
    epilog=_EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schedule = typer.Typer(help="The Schedule that sweeps every five minutes.")
app.add_typer(schedule, name="schedule")


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
            help="Print the version and end.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    del version  # its callback has seen it


@app.command()
def types(*, as_json: _AsJson = False) -> None:
    """List the types of export, with their parameters and formats. Needs no server."""
    from exports.formats import FORMATS  # noqa: PLC0415 -- takes half a second, as below
    from exports.reports.file import load_reports  # noqa: PLC0415 -- same
    from exports.settings import Settings  # noqa: PLC0415 -- same

    default: Path = Settings.model_fields["reports_file"].default
    found = [
        TypeView(
            type=report.type,
            title=report.title,
            params=report.describe_params(),
            formats=sorted(FORMATS),
        )
        for report in load_reports(Path(os.environ.get("EXPORTS_REPORTS_FILE") or default))
    ]
    if as_json:
        print_json(found)
    else:
        show(types_table(found))


@app.command()
def create(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="One of `exports types`.")],
    *,
    params: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="NAME=VALUE", help="A parameter: -p year=2026"),
    ] = None,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Kind of file: csv, csv.gz, ndjson, ndjson.gz, parquet, xlsx.",
        ),
    ] = DEFAULT_FORMAT,
    created_by: Annotated[
        str | None,
        typer.Option("--created-by", metavar="U", help="Who asks. Default: your login name."),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Asked again with the same key, the same export is the answer."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the export until it has ended.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Wait, and put the file here: a file or a directory."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Ask for an export."""
    new = NewExport(
        type=type_,
        params=parse_params(params or []),
        format=file_format,
        created_by=login_name() if created_by is None else created_by,
        idempotency_key=idempotency_key,
    )
    raise typer.Exit(create_export(new, wait=wait, output=output, as_json=as_json))


@app.command("show")
def show_task(
    task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False
) -> None:
    """Say how an export stands; with the link, if it has one."""
    _task(lambda client: client.get(task_id, created_by=created_by), as_json=as_json)


@app.command()
def audit(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
    """Say what has happened to an export: when, by whom, from where."""
    entries = with_client(lambda client: client.audit(task_id, created_by=created_by))
    if as_json:
        print_json(entries)
    else:
        show(audit_table(entries))
    if len(entries) >= MAX_ENTRIES:
        say("The record is full; since then, only how the export ended is added.")


@app.command("list")
def list_tasks(
    *,
    status: Annotated[TaskStatus | None, typer.Option(help="Only exports in this status.")] = None,
    created_by: _OnBehalfOf = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: _AsJson = False,
) -> None:
    """List exports, newest first."""
    tasks = with_client(
        lambda client: client.list(created_by=created_by, status=status, limit=limit)
    )
    if as_json:
        print_json(tasks)
    else:
        show(tasks_table(tasks))
    if len(tasks) == limit:
        say(f"These are the newest {limit}; --limit shows more.")


@app.command()
def cancel(
    task_id: _TaskId,
    *,
    reason: Annotated[str, typer.Option(metavar="R", help="Why, for people.")] = "",
    created_by: _OnBehalfOf = None,
    as_json: _AsJson = False,
) -> None:
    """Stop an export and remove what it has written."""
    task = _task(
        lambda client: client.cancel(task_id, created_by=created_by, reason=reason), as_json=as_json
    )
    if not task.status.ended:
        say("It has been told to stop, and is still cleaning up.")


@app.command()
def renew(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
    """Give a finished export a fresh link, while its file exists."""
    _task(lambda client: client.renew(task_id, created_by=created_by), as_json=as_json)


@app.command()
def retry(task_id: _TaskId, *, created_by: _OnBehalfOf = None, as_json: _AsJson = False) -> None:
    """Run a failed export again."""
    _task(lambda client: client.retry(task_id, created_by=created_by), as_json=as_json)


@app.command()
def sweep(*, as_json: _AsJson = False) -> None:
    """Start what is due, heal what was left, purge what expired: now, and wait for it."""

    async def work(client: "ExportClient") -> SweepResult:
        hint = asyncio.get_running_loop().call_later(
            _SWEEP_HINT, say, "Still waiting; a sweep needs a worker that runs."
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
    """Create the Schedule, or bring it up to date."""
    _schedule(lambda found: found.apply(), as_json=as_json)


@schedule.command("show")
def schedule_show(*, as_json: _AsJson = False) -> None:
    """Say how the Schedule stands."""
    _schedule(lambda found: found.show(), as_json=as_json)


@schedule.command("pause")
def schedule_pause(*, as_json: _AsJson = False) -> None:
    """Let the Schedule rest."""
    _schedule(lambda found: found.pause("paused with the command exports"), as_json=as_json)


@schedule.command("resume")
def schedule_resume(*, as_json: _AsJson = False) -> None:
    """Let the Schedule sweep again."""
    _schedule(lambda found: found.resume("resumed with the command exports"), as_json=as_json)


@schedule.command("trigger")
def schedule_trigger(*, as_json: _AsJson = False) -> None:
    """Sweep at once."""
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
    # Its errors leave as exceptions here, so that they can be put into the one JSON value.
    program.serve()
    print_json({"ok": True})


@app.command("codec-server")
def codec_server(*, as_json: _AsJson = False) -> None:
    """Decrypt payloads for the Temporal Web UI and the `temporal` command, until Ctrl-C."""
    from exports.codec_server.process import serve  # noqa: PLC0415 -- no other command needs a web server

    serve()
    if as_json:
        print_json({"ok": True})


def main() -> NoReturn:
    """Run the command line; ends the process with its exit code."""
    end_in_order_on_sigterm()
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

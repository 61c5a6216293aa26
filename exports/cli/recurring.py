"""`exports recurring`: exports that are made again and again."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from exports.cli.boundary import with_client
from exports.cli.create import login_name, parse_notify, parse_params
from exports.cli.options import AsJson, OnBehalfOf
from exports.cli.output import local_time, plain, print_json, say, show, table_of
from exports.clock import epoch_ms
from exports.models import DEFAULT_FORMAT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exports.client import ExportClient
    from exports.recurring.record import RecurringExport

app = typer.Typer(help="Manage exports that are made again and again.")

_Id = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the recurring export: `exports recurring list`.")
]


@app.command("create")
def create(
    type_: Annotated[
        str, typer.Argument(metavar="TYPE", help="An export type: see `exports types`.")
    ],
    *,
    period: Annotated[
        str | None,
        typer.Option(
            help="The period of each export: previous year, previous month, previous week, "
            "previous day, last N days."
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help='On which days: day, monday, 1st, "1st january".'),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="At which time. Default: 08:00.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help='Instead of both, a cron expression: "0 8 1 * *".')
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Time zone of these. Default: that of the report."),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--param",
            metavar="NAME=VALUE",
            help="A parameter of the export type that the period does not say.",
        ),
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="File format: see `exports types`.")
    ] = DEFAULT_FORMAT,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name, for people.")] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL",
            help="Tell its owner of each export: email, wechat, webhook; none: nobody is told. "
            "Several: give it again. Default: see `exports notify`.",
        ),
    ] = None,
    created_by: Annotated[
        str | None, typer.Option(metavar="USER", help="Its owner. Default: your login name.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Makes it safe to repeat the command: the same key gives the same one.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Have an export made again and again: --period "previous month" --on 1st --at 08:00."""
    given = parse_params(params or [])
    owner = login_name() if created_by is None else created_by
    _one(
        lambda client: client.recurring.create(
            type_,
            {key: [*value] if isinstance(value, list) else value for key, value in given.items()},
            created_by=owner,
            period=period,
            on=on,
            at=at,
            cron=cron,
            timezone=timezone,
            format=file_format,
            name=name,
            notify=parse_notify(notify),
            idempotency_key=idempotency_key,
        ),
        as_json=as_json,
    )


@app.command("list")
def list_recurring(*, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """List recurring exports, newest first."""
    found = with_client(lambda client: client.recurring.list(created_by=created_by))
    if as_json:
        print_json(found)
    else:
        show(_table(found))


@app.command("show")
def show_recurring(
    recurring_id: _Id, *, created_by: OnBehalfOf = None, as_json: AsJson = False
) -> None:
    """Show a recurring export. For its exports: exports list --recurring ID."""
    _one(lambda client: client.recurring.get(recurring_id, created_by=created_by), as_json=as_json)


@app.command("audit")
def audit(recurring_id: _Id, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """Show what was done to a recurring export: when, by whom, from where."""
    entries = with_client(
        lambda client: client.recurring.audit(recurring_id, created_by=created_by)
    )
    if as_json:
        print_json(entries)
        return
    table = table_of("time", "event", "role", "user", "from", "details")
    for item in entries:
        user, origin = plain(item.user or ""), plain(item.origin)
        table.add_row(local_time(item.at), item.did.value, item.role.value, user, origin, item.code)
    show(table)


@app.command("pause")
def pause(
    recurring_id: _Id,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for other people.")] = "",
    created_by: OnBehalfOf = None,
    as_json: AsJson = False,
) -> None:
    """Make no more exports until it is resumed."""
    _one(
        lambda client: client.recurring.pause(recurring_id, created_by=created_by, reason=reason),
        as_json=as_json,
    )


@app.command("resume")
def resume(recurring_id: _Id, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """End a pause. What was due meanwhile is not made: see `exports recurring backfill`."""
    _one(
        lambda client: client.recurring.resume(recurring_id, created_by=created_by),
        as_json=as_json,
    )


@app.command("trigger")
def trigger(
    recurring_id: _Id,
    *,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Makes it safe to repeat the command: the same key makes no other export.",
        ),
    ] = None,
    created_by: OnBehalfOf = None,
    as_json: AsJson = False,
) -> None:
    """Make an export now, of the period before the present moment, also while it is paused."""
    _one(
        lambda client: client.recurring.trigger(
            recurring_id, created_by=created_by, idempotency_key=idempotency_key
        ),
        as_json=as_json,
    )
    say(f"For its exports: exports list --recurring {recurring_id}")


@app.command("backfill")
def backfill(
    recurring_id: _Id,
    *,
    since: Annotated[
        datetime,
        typer.Option("--from", help="From this time on, in the time zone of its times."),
    ],
    until: Annotated[datetime, typer.Option("--to", help="Before this time, in the same.")],
    created_by: OnBehalfOf = None,
    as_json: AsJson = False,
) -> None:
    """Make the exports of past times, one after the other, each once; print their ids."""

    async def work(client: "ExportClient") -> list[str]:
        found = await client.recurring.get(recurring_id, created_by=created_by)
        zone = ZoneInfo(found.when.timezone)
        return await client.recurring.backfill(
            recurring_id,
            created_by=created_by,
            since=epoch_ms(since.replace(tzinfo=zone)),
            until=epoch_ms(until.replace(tzinfo=zone)),
        )

    ids = with_client(work)
    if as_json:
        print_json({"exports": [*ids]})
    else:
        show(*(Text(task_id) for task_id in ids))


@app.command("delete")
def delete(recurring_id: _Id, *, created_by: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """Delete a recurring export. The exports that it has made stay."""
    with_client(lambda client: client.recurring.delete(recurring_id, created_by=created_by))
    if as_json:
        print_json({"ok": True})


def _one(work: "Callable[[ExportClient], Awaitable[RecurringExport]]", *, as_json: bool) -> None:
    found = with_client(work)
    if as_json:
        print_json(found)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _rows(found):
        grid.add_row(name, Text(plain(value)))
    show(grid)


def _rows(found: "RecurringExport") -> Iterable[tuple[str, str]]:
    yield "id", found.id
    yield "name", found.name
    params = ", ".join(f"{key}={value}" for key, value in found.params.items())
    yield "type", " ".join(filter(None, (found.type, params, found.format)))
    yield "period", found.period or "as the parameters say"
    yield "when", str(found.when)
    yield "created by", found.created_by
    yield "state", found.state.value
    if found.note:
        yield "note", found.note
    yield "last runs", ", ".join(map(local_time, found.last_runs)) or "none yet"
    yield "next runs", ", ".join(map(local_time, found.next_runs)) or "none"


def _table(recurring: "Sequence[RecurringExport]") -> Table:
    table = table_of("id", "name", "type", "period", "when", "state", "created by", "next run")
    for item in recurring:
        texts = (item.id, item.name, item.type, item.period or "", str(item.when), item.state.value)
        table.add_row(
            *(Text(plain(text)) for text in texts),
            Text(plain(item.created_by)),
            local_time(item.next_runs[0]) if item.next_runs else "",
        )
    return table

"""The commands about messages: who was told, sending again, and who is told by default."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from exports.cli.boundary import with_client
from exports.cli.create import login_name
from exports.cli.options import AsJson, OnBehalfOf
from exports.cli.output import local_time, plain, print_json, say, show, table_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exports.client import ExportClient
    from exports.client.telling import NotifyChoice
    from exports.messages.deliveries import Delivery

app = typer.Typer()
delivery_app = typer.Typer(help="Show, repeat or stop the delivery of one message.")
notify_app = typer.Typer(help="Choose how a person is told of exports.")
app.add_typer(delivery_app, name="delivery")
app.add_typer(notify_app, name="notify")

_DeliveryId = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the delivery: see `exports deliveries`.")
]
_Person = Annotated[
    str | None,
    typer.Option("--created-by", metavar="USER", help="The person. Default: your login name."),
]


@app.command()
def deliveries(
    task_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only messages about this export.")
    ] = None,
    *,
    after: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Go on after this delivery, the last one of a list."),
    ] = None,
    created_by: OnBehalfOf = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="The largest number of deliveries to list.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List messages with every attempt to deliver them, newest first."""
    found = with_client(
        lambda client: client.deliveries.list(
            created_by=created_by, task_id=task_id, after=after, limit=limit
        )
    )
    if as_json:
        print_json(found)
    else:
        show(_table(found))
    if len(found) == limit:
        say(f"There may be more. For the next ones: --after {found[-1].id}")


@delivery_app.command("show")
def show_delivery(
    delivery_id: _DeliveryId, *, created_by: OnBehalfOf = None, as_json: AsJson = False
) -> None:
    """Show a delivery with every attempt, and what the receiver answered."""
    found = _delivery(
        lambda client: client.deliveries.get(delivery_id, created_by=created_by), as_json=as_json
    )
    if not as_json and found.attempts and found.attempts[-1].answer:
        show(Text(plain(found.attempts[-1].answer)))


@delivery_app.command("send-again")
def send_again(
    delivery_id: _DeliveryId, *, created_by: OnBehalfOf = None, as_json: AsJson = False
) -> None:
    """Send a message once more, with the same id, that is not on its way any more."""
    _delivery(
        lambda client: client.deliveries.send_again(delivery_id, created_by=created_by),
        as_json=as_json,
    )


@delivery_app.command("cancel")
def cancel(
    delivery_id: _DeliveryId, *, created_by: OnBehalfOf = None, as_json: AsJson = False
) -> None:
    """Stop trying to deliver a message."""
    _delivery(
        lambda client: client.deliveries.cancel(delivery_id, created_by=created_by),
        as_json=as_json,
    )


@notify_app.command("show")
def show_choice(*, created_by: _Person = None, as_json: AsJson = False) -> None:
    """Show by which channels a person is told of exports, and which there are."""
    person = login_name() if created_by is None else created_by
    _choice(lambda client: client.notify_choice(created_by=person), as_json=as_json)


@notify_app.command("set")
def set_choice(
    channels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHANNEL]...", help="The channels. None: to be told nothing."),
    ] = None,
    *,
    created_by: _Person = None,
    as_json: AsJson = False,
) -> None:
    """Choose by which channels a person is told of exports."""
    person = login_name() if created_by is None else created_by
    _choice(lambda client: client.choose_notify(channels or [], created_by=person), as_json=as_json)


def _delivery(
    work: "Callable[[ExportClient], Awaitable[Delivery]]", *, as_json: bool
) -> "Delivery":
    found = with_client(work)
    if as_json:
        print_json(found)
    else:
        show(_table([found]))
    return found


def _choice(work: "Callable[[ExportClient], Awaitable[NotifyChoice]]", *, as_json: bool) -> None:
    choice = with_client(work)
    if as_json:
        print_json(choice)
        return
    show(Text(f"told by: {plain(', '.join(choice.notify)) or 'nothing'}"))
    show(Text(f"available: {', '.join(choice.available) or 'nothing'}"))


def _table(deliveries: "Sequence[Delivery]") -> Table:
    """Return deliveries as a table, with a line for each attempt."""
    table = table_of(
        *("id", "message", "channel", "to", "status", "attempt", "answered", "ms", "details")
    )
    for item in deliveries:
        address = plain(item.address)
        about = [item.id, item.event.value, item.channel, address, item.status.value]
        for attempt in item.attempts:
            table.add_row(
                *about,
                local_time(attempt.at),
                "" if attempt.status is None else str(attempt.status),
                f"{attempt.ms:,}",
                plain(attempt.reason),
            )
            about = [""] * len(about)
        if item.next_attempt_at is not None:
            table.add_row(*about, local_time(item.next_attempt_at), "", "", "is due then")
        elif not item.attempts:
            table.add_row(*about)
    return table

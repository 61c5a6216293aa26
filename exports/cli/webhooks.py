"""`exports webhook`: addresses that get the messages of a person."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from exports.cli.boundary import EXPORT_FAILED, with_client
from exports.cli.create import login_name
from exports.cli.options import AsJson
from exports.cli.output import local_time, plain, print_json, say, show, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exports.messages.webhook.model import Webhook, WebhookWithSecret

app = typer.Typer(help="Manage the addresses that get your messages.")

_WebhookId = Annotated[str, typer.Argument(metavar="ID", help="See `exports webhook list`.")]
_Owner = Annotated[
    str | None,
    typer.Option(
        "--created-by", metavar="USER", help="Whose webhook it is. Default: your login name."
    ),
]


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="The address: https, and public.")],
    *,
    created_by: _Owner = None,
    as_json: AsJson = False,
) -> None:
    """Add an address, and print the secret of its signatures: it can't be shown again."""
    _show_secret(
        with_client(lambda client: client.webhooks.add(url, created_by=_owner(created_by))),
        as_json=as_json,
    )


@app.command("list")
def list_webhooks(*, created_by: _Owner = None, as_json: AsJson = False) -> None:
    """List the webhooks of a person, without their secrets."""
    found = with_client(lambda client: client.webhooks.list(created_by=_owner(created_by)))
    if as_json:
        print_json(found)
    else:
        show(_table(found))


@app.command("test")
def try_out(webhook_id: _WebhookId, *, created_by: _Owner = None, as_json: AsJson = False) -> None:
    """Send a message to a webhook now, and print how that went."""
    tried = with_client(
        lambda client: client.webhooks.test(webhook_id, created_by=_owner(created_by))
    )
    if as_json:
        print_json(tried)
    else:
        show(Text(plain(f"{tried.reason} ({tried.milliseconds:,} ms)")))
        if tried.answer:
            show(Text(plain(tried.answer)))
    raise typer.Exit(0 if tried.delivered else EXPORT_FAILED)


@app.command("rotate")
def rotate(webhook_id: _WebhookId, *, created_by: _Owner = None, as_json: AsJson = False) -> None:
    """Make a new secret, and print it. For 24 hours, the old one signs as well."""
    _show_secret(
        with_client(
            lambda client: client.webhooks.rotate(webhook_id, created_by=_owner(created_by))
        ),
        as_json=as_json,
    )


@app.command("remove")
def remove(webhook_id: _WebhookId, *, created_by: _Owner = None, as_json: AsJson = False) -> None:
    """Remove a webhook, with its address and its secrets."""
    with_client(lambda client: client.webhooks.remove(webhook_id, created_by=_owner(created_by)))
    if as_json:
        print_json({"ok": True})


@app.command("enable")
def enable(webhook_id: _WebhookId, *, created_by: _Owner = None, as_json: AsJson = False) -> None:
    """Let a webhook get messages again that was switched off."""
    enabled = with_client(
        lambda client: client.webhooks.enable(webhook_id, created_by=_owner(created_by))
    )
    if as_json:
        print_json(enabled)


def _table(webhooks: "Sequence[Webhook]") -> Table:
    table = table_of("id", "address", "created", "state")
    for webhook in webhooks:
        off, since = webhook.switched_off, webhook.failing_since
        state = "on" if since is None else f"failing since {local_time(since)}"
        if off is not None:
            state = f"off since {local_time(off.at)}: {off.reason}"
        table.add_row(webhook.id, Text(plain(webhook.url)), local_time(webhook.created_at), state)
    return table


def _owner(created_by: str | None) -> str:
    return login_name() if created_by is None else created_by


def _show_secret(webhook: "WebhookWithSecret", *, as_json: bool) -> None:
    if as_json:
        print_json(webhook)
    elif webhook.secret is None:
        say(f"The webhook {webhook.id} has this address already.")
        say(f"For a new secret: exports webhook rotate {webhook.id}")
    else:
        say(f"The secret of webhook {webhook.id}. It is shown only once:")
        show(Text(webhook.secret))

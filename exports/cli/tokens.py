"""`exports token`: makes, lists and revokes tokens of the HTTP API."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from exports.cli.boundary import with_tokens
from exports.cli.options import AsJson, parse_duration
from exports.cli.output import local_time, print_json, say, show, tokens_table

if TYPE_CHECKING:
    from exports.tokens import Token, TokenStore

app = typer.Typer(help="Manage the tokens of the HTTP API.")


@app.command("create")
def create(
    user: Annotated[str, typer.Argument(metavar="USER", help="Who asks with it.")],
    *,
    operator: Annotated[
        bool, typer.Option("--operator", help="Make an operator, who sees all exports.")
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is valid: 30d, 12h. Default: for ever."),
    ] = None,
    email: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where messages to this person go. Default: nowhere."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it: it can't be shown again."""
    valid_for = None if expires is None else parse_duration(expires)

    async def work(store: "TokenStore") -> "tuple[str, Token]":
        await store.indexes.ensure()
        return await store.create(user, operator=operator, expires_in=valid_for, email=email)

    text, token = with_tokens(work)
    if as_json:
        print_json({**token.model_dump(mode="json", by_alias=True), "token": text})
        return
    until = f"until {local_time(token.expires_at)}" if token.expires_at else "until it is revoked"
    say(f"Token {token.id} of {token.uid}, valid {until}. It is shown only once:")
    show(Text(text))


@app.command("list")
def list_tokens(*, as_json: AsJson = False) -> None:
    """List the tokens, without the tokens themselves."""
    found = with_tokens(lambda store: store.list())
    if as_json:
        print_json(found)
    else:
        show(tokens_table(found))


@app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="See `exports token list`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """End a token, and the browser sessions that were opened with it, within ten seconds."""
    with_tokens(lambda store: store.revoke(token_id))
    if as_json:
        print_json({"ok": True})

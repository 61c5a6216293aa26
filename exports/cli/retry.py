"""The command that runs failed exports again."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from exports.cli.boundary import with_client
from exports.cli.options import AsJson, OnBehalfOf, parse_duration
from exports.cli.output import print_json, show, task_parts
from exports.clock import millis, now_ms
from exports.errors import RequestError

if TYPE_CHECKING:
    from exports.client.retrying import RetriedAll

app = typer.Typer()


@app.command()
def retry(
    task_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of the export.", show_default=False)
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All failed exports, not a single one.")] = (
        False
    ),
    code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="With --all: only those with this error, as E_STORE."),
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="With --all: only of this type.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --all: only those that failed since: 2h, 1d."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --all: only say how many there are.")
    ] = False,
    created_by: OnBehalfOf = None,
    as_json: AsJson = False,
) -> None:
    """Run a failed export again, or all of them (--all)."""
    if every == (task_id is not None):
        raise RequestError("Give the id of one export, or --all.")
    if task_id is not None:
        if dry_run or {code, type_, since} != {None}:
            raise RequestError("--code, --type, --since and --dry-run need --all.")
        task = with_client(lambda client: client.retry(task_id, created_by=created_by))
        if as_json:
            print_json(task)
        else:
            show(*task_parts(task))
        return
    ago = None if since is None else millis(parse_duration(since))
    result = with_client(
        lambda client: client.retry_all(
            created_by=created_by,
            code=code,
            type=type_,
            failed_since=None if ago is None else max(0, now_ms() - ago),
            dry_run=dry_run,
        )
    )
    if as_json:
        print_json(result)
    else:
        show(_text(result, dry_run=dry_run))


def _text(result: "RetriedAll", *, dry_run: bool) -> Text:
    if dry_run:
        return Text(f"{result.found} failed exports would be retried")
    refused = "".join(f", {number} refused ({code})" for code, number in result.refused.items())
    return Text(f"retried {result.retried} of {result.found} failed exports{refused}")

"""`exports probe-store`: tries what this service asks of its bucket."""

from typing import Annotated

import typer
from rich.text import Text

from exports.cli.boundary import EXPORT_FAILED
from exports.cli.options import AsJson
from exports.cli.output import plain, print_json, say, show, table_of

app = typer.Typer()
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@app.command("probe-store")
def probe_store(
    *,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Leave out the 1,001 objects, the file of three parts (33 MiB), and the wait for "
            "the end of a link.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try everything that exports ask of the bucket, and say what would mend the rest.

    It needs the rights of a worker. It writes under `staging/probe-…/` and `files/probe-…/`, and
    removes what it has written.
    """
    # Importing boto3 takes a while; `--help` does not wait for it.
    from exports.settings import Settings  # noqa: PLC0415 -- see above
    from exports.storage import probe  # noqa: PLC0415 -- same

    results = probe.probe_store(Settings.load(), thorough=not quick)
    failed = sum(each.outcome == "failed" for each in results)
    if as_json:
        print_json(results)
    else:
        table = table_of("what", "outcome", "found", "mended by")
        for each in results:
            outcome = Text(each.outcome, style=_STYLES[each.outcome])
            table.add_row(each.name, outcome, Text(plain(each.what)), Text(plain(each.mend or "")))
        show(table)
        say(f"{failed} failed." if failed else "The bucket can do what exports need.")
    if failed:
        raise typer.Exit(EXPORT_FAILED)

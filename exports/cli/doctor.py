"""`exports doctor`: says what is wrong with an installation, and which command mends it."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from exports.cli.boundary import EXPORT_FAILED
from exports.cli.options import AsJson
from exports.cli.output import plain, print_json, show
from exports.runtime.process import keep_temporal_off_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exports.doctor.check import Check
    from exports.doctor.doctor import Examination

app = typer.Typer()

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "red"}
_WITHOUT_SETTINGS: Final = "The servers were not asked: correct the settings first."


@app.command()
def doctor(
    *,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Create what is missing and may be created: the Schedule, indexes, search "
            "attributes, lifecycle rules. Safe to do twice.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, servers and reports, and say what would mend what is wrong.

    The exit code is 1 if a check has failed; warnings do not count.
    """
    from exports.doctor.doctor import examined  # noqa: PLC0415 -- the libraries of all servers

    keep_temporal_off_stdout()
    found = asyncio.run(examined(fix=fix))
    if as_json:
        print_json(found)
    else:
        show(*_parts(found))
    raise typer.Exit(0 if found.ok else EXPORT_FAILED)


def _parts(found: "Examination") -> "Iterator[Text | Table]":
    for server, checks in found.checks.items():
        yield Text(server, style="bold")
        yield _grid(checks)
    if len(found.checks) == 1:
        yield Text(_WITHOUT_SETTINGS)
    counts = ", ".join(f"{found.count(outcome)} {outcome}" for outcome in _STYLES)
    ends = "exports work" if found.ok else "not all exports work"
    yield Text(f"{counts}: {ends}. Warnings do not change the exit code.")


def _grid(checks: "list[Check]") -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in checks:
        mend = f" → {check.mend}" if check.mend else ""
        outcome = Text(f"  {check.outcome}", style=_STYLES[check.outcome])
        grid.add_row(outcome, plain(check.name), Text(plain(f"{check.what}{mend}")))
    return grid

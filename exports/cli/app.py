"""The command `exports`: puts its parts together.

The result goes to standard output, everything else to standard error. With `--json` the result is
one JSON value, for errors too: `{"ok": false, "error": {"code", "msg"}}`.
"""

import sys
from typing import Annotated, Final, NoReturn

import typer

from exports.cli import (
    doctor,
    exports,
    messages,
    programs,
    recurring,
    retry,
    schedule,
    store,
    tokens,
    webhooks,
)
from exports.cli.boundary import guarded, raise_on_sigterm
from exports.cli.output import print_version
from exports.runtime.process import end

_EXIT_CODES: Final = (
    "Exit codes: 0 success, 1 the export failed or was cancelled, a webhook did not take its "
    "test, the worker is not alive or not ready, or a check failed, 2 invalid input, "
    "3 a server cannot be reached, 130 stopped by Ctrl-C."
)

app = typer.Typer(
    help="Create exports, follow them, and download their files.",
    epilog=_EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(doctor.app)
app.add_typer(exports.app)
app.add_typer(retry.app)
app.add_typer(messages.app)
app.add_typer(programs.app)
app.add_typer(recurring.app, name="recurring")
app.add_typer(schedule.app, name="schedule")
app.add_typer(store.app)
app.add_typer(tokens.app, name="token")
app.add_typer(webhooks.app, name="webhook")


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


def main() -> NoReturn:
    """Run the command line, and exit with its exit code."""
    raise_on_sigterm()
    end(guarded(app, sys.argv[1:]))


if __name__ == "__main__":
    main()

"""Options that several commands have."""

import re
from datetime import timedelta
from typing import Annotated, Final

import typer

from exports.errors import RequestError

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON value.")]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="Id of the export.")]
OnBehalfOf = Annotated[
    str | None,
    typer.Option(
        "--created-by",
        metavar="USER",
        help="Act as this user, who sees only their own exports. Default: an operator sees all.",
    ),
]

_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Read a duration: `30d`, `12h`.

    Raises:
        RequestError: It is not a duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise RequestError("A duration is a number with s, m, h or d, such as 30d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})

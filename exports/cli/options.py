"""Options that several commands have."""

from typing import Annotated

import typer

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

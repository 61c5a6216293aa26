"""How much Temporal carries at once, so that what is too large is refused instead of hanging.

The server takes 2 MiB for the input or the result of a step (`limit.blobSize.error`,
https://docs.temporal.io/self-hosted-guide/defaults). Beyond that the SDK fails the workflow task,
which is tried again for ever, or the activity task.
"""

from typing import Final

from pydantic import BaseModel, JsonValue
from pydantic_core import to_json

from exports.errors import ParamsError, TooLargeError

MOST_BYTES: Final = 2 * 1024 * 1024 - 16 * 1024
"""Of one input or result, as JSON; what is left of 2 MiB is for its headers and encryption."""
MOST_PARAMS: Final = 64 * 1024
"""Bytes of an export's parameters as JSON: they travel in the input of every step."""


def check_fits(payload: BaseModel, what: str) -> None:
    """Refuse what Temporal does not carry.

    Args:
        payload: The input or the result of a step.
        what: What is so large, for people: `The list of staged parts`.

    Raises:
        TooLargeError: It is larger than `MOST_BYTES`.
    """
    if size_of(payload) > MOST_BYTES:
        raise TooLargeError(too_large(what))


def check_params_fit(params: dict[str, JsonValue]) -> None:
    """Refuse parameters that are too large to travel with every step.

    Raises:
        TooLargeError: They are larger than `MOST_PARAMS`.
        ParamsError: They hold what JSON can't: half a character, or too deep a nesting.
    """
    try:
        size = len(to_json(params))
    except ValueError:
        raise ParamsError("The parameters can't be written as JSON in UTF-8.") from None
    if size > MOST_PARAMS:
        raise TooLargeError(
            f"The parameters are larger than {MOST_PARAMS // 1024} KiB as JSON, which is all that "
            "an export takes."
        )


def too_large(what: str) -> str:
    """Return what is said of that."""
    return f"{what} is larger than the 2 MB that Temporal takes at once; ask for less at a time."


def size_of(payload: BaseModel) -> int:
    """Return the size of a payload as JSON, in bytes."""
    return len(to_json(payload, by_alias=True))

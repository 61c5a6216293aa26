"""How large a payload may be: one that Temporal does not accept is refused, and never hangs.

The server accepts 2 MiB for the input or the result of a step (`limit.blobSize.error`,
https://docs.temporal.io/self-hosted-guide/defaults). If it is larger, the SDK fails the workflow
task or the activity task, which is then tried again for ever.
"""

from typing import Final

from pydantic import BaseModel, JsonValue
from pydantic_core import to_json

from exports.errors import ParamsError, TooLargeError

MOST_BYTES: Final = 2 * 1024 * 1024 - 16 * 1024
"""Bytes of one input or result as JSON; the rest of 2 MiB is for its headers and encryption."""
MOST_PARAMS: Final = 64 * 1024
"""Bytes of an export's parameters as JSON: they are part of the input of every step."""


def check_fits(payload: BaseModel, what: str) -> None:
    """Refuse a payload that is larger than Temporal accepts.

    Args:
        payload: The input or the result of a step.
        what: What it holds, for people: `The list of staged parts`.

    Raises:
        TooLargeError: It is larger than `MOST_BYTES`.
    """
    check_size(size_of(payload), what)


def check_size(size: int, what: str) -> None:
    """Refuse a size that is larger than Temporal accepts.

    Args:
        size: Size of a payload as JSON, in bytes.
        what: What it holds, for people.

    Raises:
        TooLargeError: It is larger than `MOST_BYTES`.
    """
    if size > MOST_BYTES:
        raise TooLargeError(
            f"{what} is larger than the 2 MB that Temporal accepts; ask for less at a time."
        )


def check_params_fit(params: dict[str, JsonValue]) -> None:
    """Refuse parameters that are too large for the input of every step.

    Raises:
        TooLargeError: They are larger than `MOST_PARAMS`.
        ParamsError: They can't be written as JSON: half a character, or nested too deeply.
    """
    try:
        size = len(to_json(params))
    except ValueError:
        raise ParamsError("The parameters can't be written as JSON in UTF-8.") from None
    if size > MOST_PARAMS:
        raise TooLargeError(
            f"The parameters are larger than {MOST_PARAMS // 1024} KiB as JSON, which is the limit."
        )


def size_of(payload: BaseModel) -> int:
    """Return the size of a payload as JSON, in bytes."""
    return len(to_json(payload, by_alias=True))

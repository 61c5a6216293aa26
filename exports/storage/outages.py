"""Lets the S3 client wait for an object store that is away, if a step has patience."""

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from exports.errors import Server
from exports.runtime.outages import Tries
from exports.server_errors.store import answer_error, library_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TRIES: Final = "exports_tries"


def wait_in_outages(client: "S3Client") -> None:
    """Let each request of a client be sent again once the object store is back.

    botocore asks its handlers after each try of a request whether there is to be another, and
    signs each try anew. The first wait is also that for a fault of a moment.
    """
    client.meta.events.register("needs-retry.s3", _needs_retry)  # type: ignore[arg-type]  # handlers of this event return something
    client.meta.events.register("after-call-error.s3", _failed)


def _needs_retry(
    *,
    request_dict: dict[str, Any],
    response: tuple[Any, dict[str, Any]] | None = None,
    caught_exception: Exception | None = None,
    **_: object,
) -> int | None:
    """Wait, if the store is away; return how many seconds botocore is to wait after that.

    Returns:
        0, or None: the request is not sent again.
    """
    tries: Tries = request_dict["context"].setdefault(_TRIES, Tries())
    return 0 if tries.waited_in_thread(_away(response, caught_exception)) else None


def _failed(*, context: dict[str, Any], **_: object) -> None:
    """End the waiting of a request whose next try could not be signed, or its answer be read."""
    tries: Tries | None = context.get(_TRIES)
    if tries:
        tries.end()


def _away(
    response: tuple[Any, dict[str, Any]] | None, caught_exception: Exception | None
) -> Server | None:
    if isinstance(caught_exception, BotoCoreError | HTTPError):
        return library_error(caught_exception, bucket="").away
    if response is None:
        return None
    answer, parsed = response
    code = parsed.get("Error", {}).get("Code")
    return None if code is None else answer_error(str(code), answer.status_code, bucket="").away

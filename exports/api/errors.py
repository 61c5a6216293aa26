"""Which error has which HTTP status, and how an error becomes an answer."""

import math
from collections.abc import Mapping
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from temporalio.service import RPCError

from exports import errors
from exports.api.answers import Failed, Problem
from exports.clock import as_seconds, now_ms
from exports.errors import ExportError, in_one_line, problems
from exports.server_errors.temporal import temporal_error

_STATUSES: Final[Mapping[int, tuple[type[ExportError], ...]]] = {
    400: (errors.RequestError, errors.ActionError),
    401: (errors.TokenError, errors.CodecAccessError),
    403: (errors.OperatorError, errors.OriginError),
    404: (
        errors.TaskNotFoundError,
        errors.TypeUnknownError,
        errors.PathUnknownError,
        errors.PreviewMissingError,
    ),
    405: (errors.MethodError,),
    409: (errors.TaskStateError, errors.TaskLostError),
    410: (errors.FileExpiredError,),
    413: (errors.TooLargeError,),
    415: (errors.MediaTypeError,),
    422: (
        errors.ParamsError,
        errors.FormatUnknownError,
        errors.ChannelError,
        errors.FormatLimitError,
        errors.TooManyRowsError,
        errors.IdempotencyKeyError,
        errors.WebhookAddressError,
        errors.TaskInvalidError,
        errors.MismatchError,
    ),
    429: (errors.RateError, errors.QuotaError),
    # Errors that only a developer or the operator can put right.
    500: (
        errors.UnexpectedError,
        errors.CollectionMissingError,
        errors.PipelineError,
        errors.SourceAccessError,
        errors.DatabaseAccessError,
        errors.DatabaseRefusedError,
        errors.BucketMissingError,
        errors.StoreAccessError,
        errors.StoreRefusedError,
        errors.StagingError,
        errors.WorkerLostError,
        errors.ReportChangedError,
        errors.ReportsFileError,
        errors.SettingsError,
        errors.PayloadError,
        errors.ScheduleMissingError,
        errors.TemporalRefusedError,
        errors.SnapshotError,
        errors.VersionError,
    ),
    # Errors that may pass.
    503: (
        errors.SourceUnavailableError,
        errors.DatabaseUnavailableError,
        errors.ClockError,
        errors.StoreUnavailableError,
        errors.StoreDiffersError,
        errors.DownloadError,
        errors.EncryptionKeyError,
        errors.UnreachableError,
        errors.StepTimeoutError,
    ),
    504: (errors.WaitTimeoutError,),
}
STATUS: Final[Mapping[str, int]] = {
    kind.code: status for status, kinds in _STATUSES.items() for kind in kinds
}
"""The HTTP status of each error code."""

_OF_EVERY_CALL: Final[tuple[type[ExportError], ...]] = (
    errors.RequestError,
    errors.TokenError,
    errors.RateError,
    errors.UnexpectedError,
    errors.DatabaseUnavailableError,
)


def answer_of(error: ExportError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer that an error becomes."""
    problem = Problem(
        code=error.code,
        msg=error.msg,
        retryable=not error.permanent,
        fields=error.fields or None,
    )
    content = Failed(error=problem).model_dump(exclude_none=True)
    named = dict(headers or {})
    if isinstance(error, errors.TokenError):
        named["WWW-Authenticate"] = "Bearer"
    wait = _seconds_to_wait(error)
    if wait is not None:
        named["Retry-After"] = str(max(1, math.ceil(wait)))
    return JSONResponse(content, STATUS[error.code], named)


def _seconds_to_wait(error: ExportError) -> float | None:
    if isinstance(error, errors.RateError):
        return error.retry_after
    if isinstance(error, errors.QuotaError) and error.retry_at is not None:
        return as_seconds(error.retry_at - now_ms())
    return None


def documented(*kinds: type[ExportError]) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a call that was refused or failed, for the OpenAPI document.

    Args:
        kinds: The errors that are particular to the call.
    """
    codes: dict[int, list[str]] = {}
    for kind in (*_OF_EVERY_CALL, *kinds):
        codes.setdefault(STATUS[kind.code], []).append(f"`{kind.code}`")
    return {
        status: {"model": Failed, "description": ", ".join(dict.fromkeys(found))}
        for status, found in sorted(codes.items())
    }


def documented_write(*kinds: type[ExportError]) -> dict[int | str, dict[str, Any]]:
    """Return the same for a call that changes something, or has a body."""
    return documented(errors.OriginError, errors.TooLargeError, errors.MediaTypeError, *kinds)


async def export_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an error that this service raised on purpose."""
    assert isinstance(error, ExportError)  # noqa: S101 -- what it is registered for
    return answer_of(error)


async def rpc_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an error of Temporal."""
    assert isinstance(error, RPCError)  # noqa: S101 -- what it is registered for
    return answer_of(temporal_error(error.status))


async def validation_error(_: Request, error: Exception) -> JSONResponse:
    """Answer a request of the wrong form."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- what it is registered for
    found = problems({**item, "loc": _within(item["loc"])} for item in error.errors())
    return answer_of(
        errors.RequestError(f"The request is not valid: {in_one_line(found)}.", fields=found)
    )


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that FastAPI raised."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- what it is registered for
    if error.status_code == 404:  # noqa: PLR2004 -- known by everybody
        return answer_of(errors.PathUnknownError("There is no such path; see /docs."))
    if error.status_code == 405:  # noqa: PLR2004 -- known by everybody
        allow = {"Allow": ", ".join(sorted(_methods(request))) or "GET"}
        return answer_of(errors.MethodError("This path does not have this method."), allow)
    return answer_of(errors.RequestError("The body is not valid JSON."))


def _methods(request: Request) -> set[str]:
    # FastAPI's own `Allow` has the methods of the first route of this path alone.
    path = request.scope["path"]
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, APIRoute) and route.path_regex.match(path):
            found |= route.methods or set()
    return found


def _within(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # The first part says whether it is the body, the path or the query. After it follows the name,
    # or the position of a mistake in JSON.
    named = len(place) > 1 and isinstance(place[1], str)
    return place[1:] if named else place[:1]

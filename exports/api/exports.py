"""`/exports`: find exports, follow them, stop them, and run them again."""

import hashlib
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from exports.api.answers import Ok, reply
from exports.api.errors import documented, documented_write
from exports.api.parts import Client
from exports.api.who import Asks, whose
from exports.clock import YEAR_9999_MS
from exports.errors import (
    FileExpiredError,
    OperatorError,
    QuotaError,
    TaskInvalidError,
    TaskNotFoundError,
    TaskStateError,
)
from exports.models import TaskStatus
from exports.tasks.audit import AuditEntry
from exports.tasks.listing import Page
from exports.tasks.task import ExportTask

router = APIRouter(prefix="/exports", tags=["exports"])

POLL_AFTER: Final = 2
"""Seconds after which an open export may look different: how often a run reports."""
_MAX_PER_PAGE: Final = 200

TaskId = Annotated[
    str, Path(description="The id of the export.", examples=["6720c1f0a1b2c3d4e5f60718"])
]
"""The id of an export in a path."""
_Millis = Annotated[int | None, Query(ge=0, le=YEAR_9999_MS)]


def retry_after(task: ExportTask) -> dict[str, str]:
    """Return the header that says when an open export may look different."""
    return {} if task.status.ended else {"Retry-After": str(POLL_AFTER)}


class Cancel(BaseModel):
    """How an export is stopped."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", description="Why, for other people.", examples=["wrong month"])


@router.get(
    "",
    operation_id="listExports",
    summary="List exports",
    responses=documented(OperatorError),
)
async def list_exports(
    client: Client,
    person: Asks,
    *,
    status: TaskStatus | None = None,
    type: Annotated[str | None, Query(description="The report.")] = None,  # noqa: A002 -- the name in the query
    format: Annotated[str | None, Query(description="The file format.")] = None,  # noqa: A002 -- same
    recurring: Annotated[
        str | None, Query(description="The recurring export that they are of.")
    ] = None,
    created_from: Annotated[
        _Millis, Query(description="Created at this time or later (epoch milliseconds).")
    ] = None,
    created_before: Annotated[
        _Millis, Query(description="Created before this time (epoch milliseconds).")
    ] = None,
    created_by: Annotated[
        str | None, Query(description="Whose. Only an operator may name somebody else.")
    ] = None,
    after: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MAX_PER_PAGE)] = 50,
) -> Ok[Page]:
    """Return your exports, newest first; to an operator, those of everybody."""
    page = await client.page(
        created_by=whose(person, created_by),
        status=status,
        type=type,
        format=format,
        recurring=recurring,
        created_from=created_from,
        created_before=created_before,
        after=after,
        limit=limit,
    )
    return Ok(data=page)


@router.get(
    "/{id}",
    operation_id="getExport",
    summary="Get an export",
    response_model=Ok[ExportTask],
    responses={
        304: {"description": "It has not changed since you saw it with this `ETag`."},
        **documented(TaskNotFoundError),
    },
)
async def get_export(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
    *,
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` of the answer that you have.")
    ] = None,
) -> Response:
    """Return an export as it is now.

    While it is open, `Retry-After` says when to look again. Send the `ETag` of the last answer as
    `If-None-Match`, and an export that has not changed is a 304 without a body.
    """
    task = await client.get(id, created_by=person.sees)
    answer = reply(task, headers=retry_after(task))
    tag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    answer.headers["ETag"] = tag
    if if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag, **retry_after(task)})
    return answer


def _names(if_none_match: str, tag: str) -> bool:
    # For If-None-Match, a weak tag is as good: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
    named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return bool(named & {tag, "*"})


@router.post(
    "/{id}/cancel",
    operation_id="cancelExport",
    summary="Cancel an export",
    responses=documented_write(TaskNotFoundError, TaskStateError),
)
async def cancel_export(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
    how: Cancel | None = None,
) -> Ok[ExportTask]:
    """Stop an export and remove what it has written. To cancel it again does nothing.

    This waits up to 10 seconds. If the export is still open then, it is cancelled soon.
    """
    reason = "" if how is None else how.reason
    return Ok(data=await client.cancel(id, created_by=person.sees, reason=reason))


@router.post(
    "/{id}/retry",
    operation_id="retryExport",
    summary="Run a failed export again",
    responses=documented_write(TaskNotFoundError, TaskStateError, QuotaError),
)
async def retry_export(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[ExportTask]:
    """Run a failed export again, with all its attempts."""
    return Ok(data=await client.retry(id, created_by=person.sees))


@router.post(
    "/{id}/renew",
    operation_id="renewExport",
    summary="Make a new link",
    responses=documented_write(
        TaskNotFoundError, TaskStateError, FileExpiredError, TaskInvalidError
    ),
)
async def renew_export(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[ExportTask]:
    """Make a new `downloadUrl`. To hand on an address, use `GET /exports/{id}/file`."""
    return Ok(data=await client.renew(id, created_by=person.sees))


@router.get(
    "/{id}/audit",
    operation_id="getAudit",
    summary="See what happened to an export",
    responses=documented(TaskNotFoundError),
)
async def get_audit(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[list[AuditEntry]]:
    """Return who did what to an export, when and from where, oldest entry first."""
    return Ok(data=await client.audit(id, created_by=person.sees))

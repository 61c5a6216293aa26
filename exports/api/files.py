"""`/exports/{id}/file` and `/preview`: what an export has made."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from exports.api.answers import Ok, reply
from exports.api.errors import documented, documented_write
from exports.api.exports import TaskId
from exports.api.parts import Client
from exports.api.who import Asks
from exports.client.files import FileLink
from exports.errors import (
    FileExpiredError,
    PreviewMissingError,
    TaskInvalidError,
    TaskNotFoundError,
    TaskStateError,
)
from exports.formats.preview import Preview
from exports.tasks.task import ExportTask

router = APIRouter(prefix="/exports/{id}", tags=["files"])


@router.get(
    "/file",
    operation_id="getFile",
    summary="Download the file",
    status_code=302,
    response_model=None,
    responses={
        302: {"description": "`Location` is a link that is valid for minutes."},
        200: {"model": Ok[FileLink], "description": "The link as data, with `as=json`."},
        **documented(TaskNotFoundError, TaskStateError, FileExpiredError, TaskInvalidError),
    },
)
async def get_file(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
    *,
    shown_as: Annotated[
        Literal["json"] | None, Query(alias="as", description="`json`: the link as data.")
    ] = None,
) -> Response:
    """Lead to the file, by a new link on each use.

    This is the address to keep or to hand on: it works as long as the file is there, for those who
    may see the export. Each use is in the audit record.
    """
    link = await client.link(id, created_by=person.sees)
    return reply(link) if shown_as else RedirectResponse(link.url, 302)


@router.delete(
    "/file",
    operation_id="deleteFile",
    summary="Remove the file",
    responses=documented_write(TaskNotFoundError, TaskStateError, TaskInvalidError),
)
async def delete_file(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[ExportTask]:
    """Remove the file now. The export is `expired` then. To remove it again does nothing."""
    return Ok(data=await client.delete_file(id, created_by=person.sees))


@router.get(
    "/preview",
    operation_id="getPreview",
    summary="See the first rows",
    responses=documented(TaskNotFoundError, TaskStateError, FileExpiredError, PreviewMissingError),
)
async def get_preview(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[Preview]:
    """Return the columns and the first 50 rows; of statistics, also the figures of the chart."""
    return Ok(data=await client.preview(id, created_by=person.sees))

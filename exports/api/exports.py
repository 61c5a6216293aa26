"""`/exports`: ask for exports, follow them, and stop them."""

from typing import Annotated

from fastapi import APIRouter, Path

from exports.api.answers import Ok
from exports.api.errors import documented
from exports.api.parts import Client
from exports.api.who import Asks
from exports.errors import TaskNotFoundError
from exports.tasks.task import ExportTask

router = APIRouter(prefix="/exports", tags=["exports"])

TaskId = Annotated[
    str, Path(description="The id of the export.", examples=["6720c1f0a1b2c3d4e5f60718"])
]


@router.get(
    "/{id}",
    operation_id="getExport",
    summary="Get an export",
    responses=documented(TaskNotFoundError),
)
async def get_export(id: TaskId, client: Client, person: Asks) -> Ok[ExportTask]:  # noqa: A002 -- the name in the path
    """Return an export as it is now."""
    return Ok(data=await client.get(id, created_by=person.sees))

"""`POST /exports`: ask for an export."""

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import Response

from exports.api.answers import Ok, reply
from exports.api.errors import documented_write
from exports.api.exports import retry_after
from exports.api.parts import Client
from exports.api.who import Asks
from exports.client.estimating import Estimate
from exports.errors import (
    ChannelError,
    FormatUnknownError,
    IdempotencyKeyError,
    ParamsError,
    QuotaError,
    RequestError,
    TooManyRowsError,
    TypeUnknownError,
)
from exports.models import DEFAULT_FORMAT
from exports.tasks.task import ExportTask

router = APIRouter(prefix="/exports", tags=["exports"])

_GO_ON_WITH: Final = (
    *("getExport", "getAudit", "getFile", "getPreview", "listDeliveriesOfExport"),
    *("cancelExport", "retryExport", "renewExport", "deleteFile"),
)
"""Calls that take the id of the answer."""
_LINKS: Final = {
    call: {"operationId": call, "parameters": {"id": "$response.body#/data/id"}}
    for call in _GO_ON_WITH
}


class NewExport(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "statsMonthly",
                    "params": {"year": 2026, "month": 10},
                    "format": "xlsx",
                    "columns": ["day", "orders"],
                }
            ]
        },
    )

    type: str = Field(description="The report: see `GET /types`.")
    params: dict[str, JsonValue] = Field(
        default_factory=dict, description="The parameters of the report: see `GET /types/{type}`."
    )
    format: str = Field(default=DEFAULT_FORMAT, description="The file format.")
    columns: list[str] | None = Field(
        default=None, description="Some of the report's columns, in this order. Default: all."
    )
    notify: list[str] | None = Field(
        default=None,
        max_length=20,
        description="By which channels you are told how it ended: see `GET /me/notify`. An empty "
        "list: you are told nothing. Null, the default: by those that you have chosen there.",
    )

    def all_params(self) -> dict[str, JsonValue]:
        """Return the parameters with the columns among them, as reports take them.

        Raises:
            RequestError: The columns are given twice.
        """
        if self.columns is None:
            return self.params
        if "columns" in self.params:
            problem = {"columns": "is given twice"}
            raise RequestError("Give columns once: in the body, or in params.", fields=problem)
        return {**self.params, "columns": [*self.columns]}


class Created(ExportTask):
    """An export, and whether it was there already.

    Attributes:
        joined: Whether this call has found the export, instead of making it.
    """

    joined: bool = False


@router.post(
    "",
    operation_id="createExport",
    summary="Ask for an export",
    status_code=201,
    response_model=None,
    responses={
        201: {
            "model": Ok[Created],
            "description": "A new export; `Location` says where.",
            "links": _LINKS,
        },
        200: {
            "model": Ok[Created] | Ok[Estimate],
            "description": "An export that was there already (`joined`), or what one would be.",
        },
        **documented_write(
            *(ParamsError, TypeUnknownError, FormatUnknownError, ChannelError),
            *(IdempotencyKeyError, QuotaError, TooManyRowsError),
        ),
    },
)
async def create_export(
    new: NewExport,
    client: Client,
    person: Asks,
    *,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Makes it safe to send the request again: the same key, of the same "
            "person, gives the same export. 1 to 200 characters.",
            json_schema_extra={"minLength": 1, "maxLength": 200},
        ),
    ] = None,
    dry_run: Annotated[
        bool, Query(description="Check and estimate; create nothing, whatever else is given.")
    ] = False,
    force: Annotated[
        bool, Query(description="Create a new one, even if there is one to join.")
    ] = False,
) -> Response:
    """Create an export, or join one of yours.

    You join one with the same type, parameters, format and columns that is open, or was done a
    short while ago (10 minutes, if the operator has not changed it).
    """
    params = new.all_params()
    if dry_run:
        estimate = await client.estimate(
            new.type,
            params,
            created_by=person.uid,
            format=new.format,
            idempotency_key=idempotency_key,
            notify=new.notify,
        )
        return reply(estimate)
    task = await client.create(
        new.type,
        params,
        created_by=person.uid,
        format=new.format,
        idempotency_key=idempotency_key,
        force=force,
        notify=new.notify,
    )
    status = 200 if task.joined else 201
    return reply(
        Created.model_construct(**dict(task)),
        status,
        {"Location": f"/exports/{quote(task.id, safe='')}", **retry_after(task)},
    )

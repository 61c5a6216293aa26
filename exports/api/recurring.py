"""`/recurring`: exports that are made again and again."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import Response

from exports.api.answers import Ok, reply
from exports.api.errors import documented, documented_write
from exports.api.parts import Client
from exports.api.who import Asks, whose
from exports.clock import YEAR_9999_MS
from exports.errors import (
    ChannelError,
    FormatUnknownError,
    IdempotencyKeyError,
    OperatorError,
    ParamsError,
    QuotaError,
    TaskNotFoundError,
    TaskStateError,
    TemporalRefusedError,
    TypeUnknownError,
    UnreachableError,
)
from exports.models import DEFAULT_FORMAT
from exports.recurring.record import RecurringEntry, RecurringExport

router = APIRouter(prefix="/recurring", tags=["recurring exports"])

_Id = Annotated[
    str,
    Path(description="The id of the recurring export.", examples=["6720c1f0a1b2c3d4e5f60718"]),
]
_Millis = Annotated[int, Field(gt=0, le=YEAR_9999_MS)]
_FROM_TEMPORAL = (UnreachableError, TemporalRefusedError)
_GONE = (TypeUnknownError, FormatUnknownError, ParamsError)
_GO_ON_WITH = (
    *("getRecurring", "getRecurringAudit", "pauseRecurring", "resumeRecurring"),
    *("triggerRecurring", "backfillRecurring", "deleteRecurring"),
)


class NewRecurring(BaseModel):
    """What is asked for, and when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "statsMonthly",
                    "period": "previous month",
                    "on": "1st",
                    "at": "08:00",
                    "format": "xlsx",
                }
            ]
        },
    )

    type: str = Field(description="The report: see `GET /types`.")
    params: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="The parameters of the report, but for those that the period says.",
    )
    period: str | None = Field(
        default=None,
        description="The period of each export, relative to the time that it is planned for: "
        "`previous year`, `previous month`, `previous week`, `previous day`, `last N days`.",
    )
    on: str | None = Field(
        default=None, description="On which days: `day`, `monday`, `1st`, `1st january`."
    )
    at: str | None = Field(default=None, description="At which time. Default: `08:00`.")
    cron: str | None = Field(
        default=None, description="Instead of `on` and `at`: a cron expression, `0 8 1 * *`."
    )
    timezone: str | None = Field(
        default=None, description="The time zone of these. Default: that of the report."
    )
    format: str = Field(default=DEFAULT_FORMAT, description="The file format.")
    name: str | None = Field(default=None, description="A name, for people.")
    notify: list[str] | None = Field(
        default=None,
        max_length=20,
        description="By which channels you are told of each export. Default: see `GET /me/notify`.",
    )


class Pause(BaseModel):
    """Why it is paused."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=200, description="For other people.")


class Span(BaseModel):
    """A span of past times (epoch milliseconds)."""

    model_config = ConfigDict(extra="forbid")

    since: _Millis = Field(description="From this time on.", examples=[1_785_542_400_000])
    until: _Millis = Field(description="Before this time.", examples=[1_793_491_200_000])


@router.post(
    "",
    operation_id="createRecurring",
    summary="Create a recurring export",
    status_code=201,
    response_model=None,
    responses={
        201: {
            "model": Ok[RecurringExport],
            "description": "A recurring export; `Location` says where.",
            "links": {
                call: {"operationId": call, "parameters": {"id": "$response.body#/data/id"}}
                for call in _GO_ON_WITH
            },
        },
        **documented_write(
            *(ParamsError, TypeUnknownError, FormatUnknownError, ChannelError),
            *(IdempotencyKeyError, QuotaError, *_FROM_TEMPORAL),
        ),
    },
)
async def create_recurring(
    new: NewRecurring,
    client: Client,
    person: Asks,
    *,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Makes it safe to send the request again: the same key, of the same "
            "person, gives the same recurring export. 1 to 200 characters.",
            json_schema_extra={"minLength": 1, "maxLength": 200},
        ),
    ] = None,
) -> Response:
    """Have an export made again and again, of a period before the time that it is planned for."""
    made = await client.recurring.create(
        new.type,
        new.params,
        created_by=person.uid,
        period=new.period,
        on=new.on,
        at=new.at,
        cron=new.cron,
        timezone=new.timezone,
        format=new.format,
        name=new.name,
        notify=new.notify,
        idempotency_key=idempotency_key,
    )
    return reply(made, 201, {"Location": f"/recurring/{quote(made.id, safe='')}"})


@router.get(
    "",
    operation_id="listRecurring",
    summary="List recurring exports",
    responses=documented(OperatorError, *_FROM_TEMPORAL),
)
async def list_recurring(
    client: Client,
    person: Asks,
    *,
    created_by: Annotated[
        str | None, Query(description="Whose. Only an operator may name somebody else.")
    ] = None,
) -> Ok[list[RecurringExport]]:
    """Return your recurring exports, newest first; to an operator, those of everybody."""
    return Ok(data=await client.recurring.list(created_by=whose(person, created_by)))


@router.get(
    "/{id}",
    operation_id="getRecurring",
    summary="Get a recurring export",
    responses=documented(TaskNotFoundError, *_FROM_TEMPORAL),
)
async def get_recurring(
    id: _Id,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[RecurringExport]:
    """Return a recurring export with its next times. Its exports: `GET /exports?recurring=ID`."""
    return Ok(data=await client.recurring.get(id, created_by=person.sees))


@router.get(
    "/{id}/audit",
    operation_id="getRecurringAudit",
    summary="See what happened to a recurring export",
    responses=documented(TaskNotFoundError),
)
async def get_recurring_audit(
    id: _Id,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[list[RecurringEntry]]:
    """Return who did what to it, when and from where, oldest entry first."""
    return Ok(data=await client.recurring.audit(id, created_by=person.sees))


@router.post(
    "/{id}/pause",
    operation_id="pauseRecurring",
    summary="Pause a recurring export",
    responses=documented_write(TaskNotFoundError, TaskStateError, *_FROM_TEMPORAL),
)
async def pause_recurring(
    id: _Id,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
    how: Pause | None = None,
) -> Ok[RecurringExport]:
    """Make no more exports until it is resumed."""
    reason = "" if how is None else how.reason
    return Ok(data=await client.recurring.pause(id, created_by=person.sees, reason=reason))


@router.post(
    "/{id}/resume",
    operation_id="resumeRecurring",
    summary="Resume a recurring export",
    responses=documented_write(TaskNotFoundError, *_GONE, *_FROM_TEMPORAL),
)
async def resume_recurring(
    id: _Id,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[RecurringExport]:
    """End a pause. What was due meanwhile is not made: see `backfill`."""
    return Ok(data=await client.recurring.resume(id, created_by=person.sees))


@router.post(
    "/{id}/trigger",
    operation_id="triggerRecurring",
    summary="Make an export now",
    responses=documented_write(TaskNotFoundError, TaskStateError, *_GONE, *_FROM_TEMPORAL),
)
async def trigger_recurring(
    id: _Id,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
    *,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Makes it safe to send the request again: the same key makes no other "
            "export. 1 to 200 characters.",
            json_schema_extra={"minLength": 1, "maxLength": 200},
        ),
    ] = None,
) -> Ok[RecurringExport]:
    """Make an export of the period before the present moment, also while it is paused."""
    made = await client.recurring.trigger(
        id, created_by=person.sees, idempotency_key=idempotency_key
    )
    return Ok(data=made)


@router.post(
    "/{id}/backfill",
    operation_id="backfillRecurring",
    summary="Make the exports of past times",
    responses=documented_write(TaskNotFoundError, TaskStateError, *_GONE, *_FROM_TEMPORAL),
)
async def backfill_recurring(
    id: _Id,  # noqa: A002 -- the name in the path
    span: Span,
    client: Client,
    person: Asks,
) -> Ok[list[str]]:
    """Make an export for each time in a span at which it was due; return the ids of the exports.

    They are made one after the other. A time for which there is an export makes no other one.
    """
    ids = await client.recurring.backfill(
        id, created_by=person.sees, since=span.since, until=span.until
    )
    return Ok(data=ids)


@router.delete(
    "/{id}",
    operation_id="deleteRecurring",
    summary="Delete a recurring export",
    status_code=204,
    response_model=None,
    responses=documented_write(TaskNotFoundError, *_FROM_TEMPORAL),
)
async def delete_recurring(
    id: _Id,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Response:
    """Delete it. The exports that it has made stay, and so do their files."""
    await client.recurring.delete(id, created_by=person.sees)
    return Response(status_code=204)

"""`/types`: what can be asked for."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import JsonValue

from exports.api.answers import Ok
from exports.api.errors import documented
from exports.api.parts import Client
from exports.api.who import Asks
from exports.errors import TypeUnknownError
from exports.formats import FORMATS
from exports.models import DEFAULT_FORMAT, WireModel
from exports.reports.report import Report
from exports.tables.described import ColumnDescription

router = APIRouter(prefix="/types", tags=["types"])


class ExportType(WireModel):
    """A report that can be exported.

    Attributes:
        type: Its name in requests.
        title: Its title for people.
        params: The JSON Schema (2020-12) of its parameters.
        columns: The columns of its files, in order; empty if only its rows can tell.
        periods: The relative periods that recurring exports of it can have.
        period_params: The parameters that such a period says: `year` and `month`.
        formats: The file formats that it can be exported to.
        file_name: What a file may be called.
        timezone: The time zone of its days and months, and of the times of a recurring export by
            default: `Asia/Shanghai`.
    """

    type: str
    title: str
    params: dict[str, JsonValue]
    columns: list[ColumnDescription]
    periods: list[str]
    period_params: list[str]
    formats: list[str]
    file_name: str
    timezone: str


@router.get(
    "", operation_id="listTypes", summary="List what can be exported", responses=documented()
)
async def list_types(client: Client, person: Asks) -> Ok[list[ExportType]]:
    """Return all reports."""
    del person
    return Ok(data=[_of(report) for report in client.reports])


@router.get(
    "/{type}",
    operation_id="getType",
    summary="Get one type of export",
    responses=documented(TypeUnknownError),
)
async def get_type(
    type: Annotated[str, Path(description="The report.", examples=["statsMonthly"])],  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[ExportType]:
    """Return one report."""
    del person
    return Ok(data=_of(client.reports.named(type)))


def _of(report: Report) -> ExportType:
    return ExportType(
        type=report.type,
        title=report.title,
        params=report.params_schema(),
        columns=report.describe_columns(),
        periods=[*report.spans],
        period_params=report.params_of_period(),
        formats=sorted(FORMATS),
        file_name=report.sample_file_name(FORMATS[DEFAULT_FORMAT].extension),
        timezone=report.timezone,
    )

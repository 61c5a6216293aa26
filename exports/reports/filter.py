"""The filter for the documents of a unit."""

from collections.abc import Mapping
from typing import Any, cast
from zoneinfo import ZoneInfo

from bson import ObjectId
from pydantic import JsonValue

from exports.models import Unit
from exports.reports.definition import Definition
from exports.reports.values import Value, condition


def match(
    definition: Definition, unit: Unit, created_by: str, *conditions: dict[str, Any]
) -> dict[str, Any]:
    """Return the filter of the documents of a unit.

    Args:
        definition: The report.
        unit: The unit: the documents from its start to before its end.
        created_by: The owner of the documents, if the report has an owner field.
        conditions: More filters that all have to match.
    """
    start, end = unit.interval
    period = {definition.time_field: {"$gte": start, "$lt": end}}
    filters: list[dict[str, Any]] = [
        {path: {"$eq": value}} for path, value in definition.filter.items()
    ]
    if definition.owner_field is not None:
        filters.append({definition.owner_field: {"$in": _ids(created_by)}})
    filters += conditions
    # The period is outside of the `$and`, because the embedded database uses an index for it only
    # there. The others are in an `$and`, because two of them may be about the same field.
    return period | {"$and": filters} if filters else period


def conditions(definition: Definition, params: Mapping[str, JsonValue]) -> list[dict[str, Any]]:
    """Return the filters of the report's own parameters.

    Args:
        definition: The report.
        params: The parameters of the export, as they were checked.
    """
    zone = ZoneInfo(definition.timezone)
    found: list[dict[str, Any]] = []
    for name, param in definition.params.items():
        if name in params:
            given = params[name]
            values = cast("list[Value]", given if isinstance(given, list) else [given])
            found.append(condition(param.type, param.field, values, zone))
    return found


def _ids(created_by: str) -> list[str | ObjectId]:
    # The id of a user comes as text, and other systems store it as text or as an ObjectId.
    if ObjectId.is_valid(created_by):
        return [created_by, ObjectId(created_by)]
    return [created_by]

"""Which documents a unit of a report is about."""

from typing import Any

from bson import ObjectId

from exports.clock import from_epoch_ms
from exports.models import Unit
from exports.reports.definition import Definition


def match(
    definition: Definition, unit: Unit, created_by: str, *conditions: dict[str, Any]
) -> dict[str, Any]:
    """Return the filter of the documents of a unit.

    Args:
        definition: The report.
        unit: Which documents: those from its start to before its end.
        created_by: Whose documents, if the report has an owner field.
        conditions: Further filters, all of which have to hold.
    """
    period = {
        definition.time_field: {"$gte": from_epoch_ms(unit.start), "$lt": from_epoch_ms(unit.end)}
    }
    every: list[dict[str, Any]] = [
        {path: {"$eq": value}} for path, value in definition.filter.items()
    ]
    if definition.owner_field is not None:
        every.append({definition.owner_field: {"$in": _ids(created_by)}})
    every += conditions
    # The period stands outside of the `$and`, because the embedded database finds an index for it
    # only there. The others are in one, because two of them may be about the same field.
    return period | {"$and": every} if every else period


def _ids(created_by: str) -> list[str | ObjectId]:
    # A person's id travels as text, and other systems store it as text or as an ObjectId.
    if ObjectId.is_valid(created_by):
        return [created_by, ObjectId(created_by)]
    return [created_by]

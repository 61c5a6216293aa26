"""The order in which tasks are listed, and how a list goes on after one of them.

Newest first: by `createdAt`, then by `_id`. Documents of other systems have anything in these
fields, and MongoDB compares a value only with those of its own type. So a list has two parts: the
tasks whose `createdAt` is a number, and after them all others, by `_id` alone. In each part, every
value can be compared with every other one, so that no page skips a task or shows it again.
"""

from decimal import Decimal
from math import isnan
from typing import Final, NamedTuple

from bson import DatetimeMS, Decimal128, ObjectId
from pymongo import DESCENDING

from exports.models import DEFAULT_FORMAT, TaskStatus
from exports.tasks.collection import RECURRING, Stored, has_status

Sort = list[tuple[str, int]]

_NO_ARRAY: Final = {"$not": {"$type": "array"}}
"""To MongoDB, an array that contains a value matches too; it is no such value."""
_NUMBER: Final[Stored] = {"$gte": float("-inf"), **_NO_ARRAY}  # every one but NaN
_NEWEST: Final = [("createdAt", DESCENDING), ("_id", DESCENDING)]
_BY_ID: Final = [("_id", DESCENDING)]


class Wanted(NamedTuple):
    """Which tasks a list has; None for all.

    Attributes:
        status: Those with this status.
        type: Those of this report.
        format: Those in this file format.
        recurring: Those of this recurring export, by its id.
        created_from: Those that were created then or later (epoch milliseconds).
        created_before: Those that were created before (epoch milliseconds).
    """

    status: TaskStatus | None = None
    type: str | None = None
    format: str | None = None
    recurring: str | None = None
    created_from: int | None = None
    created_before: int | None = None


EVERYTHING: Final = Wanted()


class Part(NamedTuple):
    """A part of a list: its query and its order."""

    query: Stored
    sort: Sort


def parts(wanted: Wanted, created_by: str | None, last: Stored | None = None) -> list[Part]:
    """Return the parts of a list, in their order.

    No part has an `$or`, so that an index is used for each.

    Args:
        wanted: Which tasks the list has.
        created_by: Whose tasks; None for everybody's. Documents whose owner is an array with this
            person are found too.
        last: The task after which the list goes on; None from the beginning.
    """
    begin, end = wanted.created_from, wanted.created_before
    times = _times(begin, end)
    found = [
        Part({"createdAt": times}, _NEWEST),
        Part({"createdAt": _no_times(begin, end)}, _BY_ID),
    ]
    if last is not None:
        later: Stored = {"_id": _later(last["_id"])}
        created_at = last.get("createdAt")
        if (number := _number(created_at)) is not None:
            before = created_at if end is None or number < end else end
            found[:1] = [
                Part({"createdAt": {**times, "$eq": created_at}, **later}, _BY_ID),
                Part({"createdAt": {**times, "$lt": before}}, _NEWEST),
            ]
        else:
            found[:] = [Part({**found[1].query, **later}, _BY_ID)]
    of_all = _query(wanted, created_by)
    # A task with another kind of id can't be named, so no list could go on after it.
    named = {"$type": ["objectId", "string"]}
    return [
        Part({**of_all, **part.query, "_id": {**named, **part.query.get("_id", {})}}, part.sort)
        for part in found
    ]


def _query(wanted: Wanted, created_by: str | None) -> Stored:
    found: Stored = {"status": has_status(*([wanted.status] if wanted.status else TaskStatus))}
    if created_by is not None:
        found["createdBy"] = {"$eq": created_by}
    for field, text in (("type", wanted.type), (RECURRING, wanted.recurring)):
        if text is not None:
            found[field] = {"$eq": text, **_NO_ARRAY}
    if wanted.format is not None:
        # The old function knew one format, and stored none.
        formats = [wanted.format, *([None] if wanted.format == DEFAULT_FORMAT else [])]
        found["format"] = {"$in": formats, **_NO_ARRAY}
    return found


def _later(stored_id: ObjectId | str) -> Stored:
    """Return the condition for the ids that come later: ObjectIds are listed before texts."""
    return {"$not": {"$gte": stored_id}} if isinstance(stored_id, ObjectId) else {"$lt": stored_id}


def _times(begin: int | None, end: int | None) -> Stored:
    """Return the condition for numbers, the times of our clients."""
    found = dict(_NUMBER)
    if begin is not None:
        found["$gte"] = begin
    if end is not None:
        found["$lt"] = end
    return found


def _no_times(begin: int | None, end: int | None) -> Stored:
    """Return the condition for all others: of a time that is limited, only dates can be a part."""
    if begin is None and end is None:
        return {"$not": _NUMBER}
    bounds = {"$gte": begin, "$lt": end}
    dates = {key: DatetimeMS(bound) for key, bound in bounds.items() if bound is not None}
    return {**dates, **_NO_ARRAY}


def _number(value: object) -> int | float | Decimal | None:
    """Return a number that can be compared; None for anything else, and for NaN."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or isnan(value):
        return None
    return value

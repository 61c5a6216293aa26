"""The order in which tasks are listed, and how a list goes on after one of them.

Newest first: by `createdAt`, then by `_id`. Documents of other systems have anything in these
fields, and MongoDB compares a value only with those of its own type. So a list has two parts: the
tasks whose `createdAt` is a number, and after them all others, by `_id` alone. In each part, every
value can be compared with every other one, so that no page skips a task or shows it again.
"""

from math import isnan
from typing import Final, NamedTuple

from bson import DatetimeMS, Decimal128, ObjectId
from pymongo import DESCENDING

from exports.models import DEFAULT_FORMAT, TaskStatus
from exports.tasks.collection import Stored, has_status

Sort = list[tuple[str, int]]

_NO_ARRAY: Final = {"$not": {"$type": "array"}}
"""To MongoDB, an array that contains a value matches too; it is no such value."""
_NUMBER: Final[Stored] = {"$gte": float("-inf"), **_NO_ARRAY}  # every one but NaN
NEWEST: Final = [("createdAt", DESCENDING), ("_id", DESCENDING)]


class Wanted(NamedTuple):
    """Which tasks a list has; None for all.

    Attributes:
        status: Those with this status.
        type: Those of this report.
        format: Those in this file format.
        created_from: Those that were created then or later (epoch milliseconds).
        created_before: Those that were created before (epoch milliseconds).
    """

    status: TaskStatus | None = None
    type: str | None = None
    format: str | None = None
    created_from: int | None = None
    created_before: int | None = None


EVERYTHING: Final = Wanted()


class Part(NamedTuple):
    """A part of a list: its query and its order."""

    query: Stored
    sort: Sort


def query(wanted: Wanted, created_by: str | None) -> Stored:
    """Return the query for the tasks of a list, which a `Part` completes."""
    found: Stored = {
        # A task with another kind of id can't be named, so no list could go on after it.
        "_id": {"$type": ["objectId", "string"]},
        "status": has_status(*([wanted.status] if wanted.status else TaskStatus)),
    }
    if created_by is not None:
        found["createdBy"] = {"$eq": created_by, **_NO_ARRAY}
    if wanted.type is not None:
        found["type"] = {"$eq": wanted.type, **_NO_ARRAY}
    if wanted.format is not None:
        # The old function knew one format, and stored none.
        formats = [wanted.format, *([None] if wanted.format == DEFAULT_FORMAT else [])]
        found["format"] = {"$in": formats, **_NO_ARRAY}
    return found


def parts(wanted: Wanted, last: Stored | None) -> list[Part]:
    """Return the parts of a list, in their order.

    Args:
        wanted: Which tasks the list has.
        last: The task after which the list goes on; None from the beginning.
    """
    begin, end = wanted.created_from, wanted.created_before
    numbers, others = _between(begin, end), _between_dates(begin, end)
    if last is None:
        return [Part({"createdAt": numbers}, NEWEST), Part(others, NEWEST[1:])]
    stored_id, created_at = last["_id"], last.get("createdAt")
    later_ids: list[Stored] = [{"_id": {"$lt": stored_id}}]
    if isinstance(stored_id, ObjectId):  # which come before all texts
        later_ids.append({"_id": {"$type": "string"}})
    if not _is_number(created_at):
        return [Part({**others, "$or": later_ids}, NEWEST[1:])]
    rest: Stored = {"$or": [{"createdAt": {"$lt": created_at}}, *later_ids]}
    return [
        # The outer condition is what an index is read by.
        Part({"createdAt": {**numbers, "$lte": created_at}, **rest}, NEWEST),
        Part(others, NEWEST[1:]),
    ]


def _between(begin: int | None, end: int | None) -> Stored:
    """Return the condition for numbers, the times of our clients."""
    found = dict(_NUMBER)
    if begin is not None:
        found["$gte"] = begin
    if end is not None:
        found["$lt"] = end
    return found


def _between_dates(begin: int | None, end: int | None) -> Stored:
    """Return the query for all others: of a time that is limited, only dates can be a part."""
    if begin is None and end is None:
        return {"$nor": [{"createdAt": _NUMBER}]}
    bounds = {"$gte": begin, "$lt": end}
    dates = {key: DatetimeMS(bound) for key, bound in bounds.items() if bound is not None}
    return {"createdAt": {**dates, **_NO_ARRAY}}


def _is_number(value: object) -> bool:
    if isinstance(value, Decimal128):
        return not value.to_decimal().is_nan()
    return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value)

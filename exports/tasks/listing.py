"""The order in which tasks are listed, and how a list goes on after one of them.

Newest first: by `createdAt`, then by `_id`. Documents of other systems have anything in these
fields, and MongoDB compares a value only with those of its own type. So a list has four groups: the
tasks whose `createdAt` is a number; a date; anything else; nothing, or no number. In each group,
every value can be compared with every other one, so that no page skips a task or shows it again,
and an index gives the order.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from math import isnan
from typing import Any, Final, NamedTuple, Self

import bson
from bson import DatetimeMS, Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import DESCENDING

from exports.documents import Sort, Stored
from exports.models import DEFAULT_FORMAT, TaskStatus, WireModel
from exports.server_errors.mongo import MONGO_ERRORS
from exports.tasks.collection import RECURRING, has_status
from exports.tasks.task import ExportTask

_CURSOR: Final = "next-"
"""What the `next` of a page begins with."""
_DECODED: Final = CodecOptions[Stored](datetime_conversion=DatetimeConversion.DATETIME_AUTO)

_NO_ARRAY: Final = {"$not": {"$type": "array"}}
"""To MongoDB, an array that contains a value matches too; it is not such a value."""
_NUMBER: Final[Stored] = {"$gte": float("-inf"), **_NO_ARRAY}  # every one but NaN
_DATE: Final[Stored] = {"$type": "date", **_NO_ARRAY}
_NEWEST: Final[Sort] = [("createdAt", DESCENDING), ("_id", DESCENDING)]
_BY_ID: Final[Sort] = [("_id", DESCENDING)]

ODD_TIME: Final[Stored] = {
    "$type": [
        *("string", "object", "array", "binData", "objectId", "bool", "regex"),
        *("dbPointer", "javascript", "symbol", "javascriptWithScope", "timestamp"),
        *("minKey", "maxKey"),
    ]
}
"""The condition that a `createdAt` is there and is not a time: an index has nothing but these."""
_NO_TIME: Final[Stored] = {"$in": [None, float("nan"), Decimal128("NaN")], **_NO_ARRAY}
_NUMBERS, _DATES, _ODD, _NONE = range(4)


class Wanted(NamedTuple):
    """Which tasks a list has; None for all.

    Attributes:
        status: Those with this status.
        type: Those of this report.
        format: Those in this file format.
        recurring: Those of this recurring export, by its id.
        created_from: Those that were created then or later (epoch milliseconds).
        created_before: Those that were created before (epoch milliseconds).
        code: Those whose last error has this code.
        ended_from: Those that ended then or later (epoch milliseconds).
    """

    status: TaskStatus | None = None
    type: str | None = None
    format: str | None = None
    recurring: str | None = None
    created_from: int | None = None
    created_before: int | None = None
    code: str | None = None
    ended_from: int | None = None


EVERYTHING: Final = Wanted()


class Page(WireModel):
    """Some exports, newest first.

    Attributes:
        items: The exports.
        next: The `after` of the next page; None if this is the last one.
    """

    items: list[ExportTask]
    next: str | None


class Place(NamedTuple):
    """A place in a list: after a task, which may have been removed since.

    Attributes:
        group: The group of its `createdAt`.
        created_at: Its `createdAt`, if it is a number or a date.
        stored_id: Its `_id`.
    """

    group: int
    created_at: Any
    stored_id: ObjectId | str

    @classmethod
    def of(cls, document: Stored) -> Self:
        """Return the place after a task."""
        created_at = document.get("createdAt")
        group = _group_of(created_at)
        return cls(group, created_at if group in (_NUMBERS, _DATES) else None, document["_id"])

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read the `next` of a page; None if the text is none, so that it may be the id of a task.

        The id of an export that was started directly may begin like a `next`.
        """
        if not text.startswith(_CURSOR):
            return None
        try:
            packed = base64.b64decode(text[len(_CURSOR) :], b"-_", validate=True)
            place: Stored = bson.decode(packed, _DECODED)  # pyright: ignore[reportUnknownMemberType] -- bson's own annotation of what it decodes
            group, created_at, stored_id = (place[name] for name in cls._fields)
        except (*MONGO_ERRORS, KeyError, ValueError):
            return None
        timed = group in (_NUMBERS, _DATES)
        if not (
            group in range(4)
            and _group_of(created_at) == (group if timed else _NONE)
            and isinstance(stored_id, ObjectId | str)
        ):
            return None
        return cls(group, created_at, stored_id)

    def __str__(self) -> str:
        """Return the place as the `next` of a page."""
        packed = bson.encode(self._asdict())
        return _CURSOR + base64.urlsafe_b64encode(packed).decode()


class Part(NamedTuple):
    """A part of a list: its query and its order."""

    query: Stored
    sort: Sort


def parts(wanted: Wanted, created_by: str | None, last: Place | None = None) -> list[Part]:
    """Return the parts of a list, in their order.

    No part has an `$or`, so that an index is used for each.

    Args:
        wanted: Which tasks the list has.
        created_by: Whose tasks; None for everybody's. Documents whose owner is an array with this
            person are found too.
        last: The place after which the list goes on; None from the beginning.
    """
    begin, end = wanted.created_from, wanted.created_before
    numbers, dates = _times(_NUMBER, int, begin, end), _times(_DATE, DatetimeMS, begin, end)
    found = [Part({"createdAt": numbers}, _NEWEST), Part({"createdAt": dates}, _NEWEST)]
    if begin is None and end is None:
        found += [Part({"createdAt": ODD_TIME}, _BY_ID), Part({"createdAt": _NO_TIME}, _BY_ID)]
    if last is not None:
        found = [
            part
            for group, whole in enumerate(found)
            if group >= last.group
            for part in (_rest(whole, last) if group == last.group else [whole])
        ]
    of_all = _query(wanted, created_by)
    # A task with another kind of id can't be named, so no list could go on after it.
    named = {"$type": ["objectId", "string"]}
    return [
        Part({**of_all, **part.query, "_id": {**named, **part.query.get("_id", {})}}, part.sort)
        for part in found
    ]


def _rest(whole: Part, last: Place) -> list[Part]:
    """Return what is left of the group of a place."""
    times, later = whole.query["createdAt"], {"_id": _later(last.stored_id)}
    if whole.sort is _BY_ID:
        return [Part({"createdAt": times, **later}, _BY_ID)]
    end = times.get("$lt")
    is_before = end is None or _comparable(last.created_at) < _comparable(end)
    return [
        Part({"createdAt": {**times, "$eq": last.created_at}, **later}, _BY_ID),
        Part({"createdAt": {**times, "$lt": last.created_at if is_before else end}}, _NEWEST),
    ]


def _query(wanted: Wanted, created_by: str | None) -> Stored:
    found: Stored = {"status": has_status(*([wanted.status] if wanted.status else TaskStatus))}
    if created_by is not None:
        found["createdBy"] = {"$eq": created_by}
    for field, text in (
        ("type", wanted.type),
        (RECURRING, wanted.recurring),
        ("error.code", wanted.code),
    ):
        if text is not None:
            found[field] = {"$eq": text, **_NO_ARRAY}
    if wanted.format is not None:
        # The old function knew one format, and stored none.
        formats = [wanted.format, *([None] if wanted.format == DEFAULT_FORMAT else [])]
        found["format"] = {"$in": formats, **_NO_ARRAY}
    if wanted.ended_from is not None:
        found["finishedAt"] = {"$gte": wanted.ended_from, **_NO_ARRAY}
    return found


def _later(stored_id: ObjectId | str) -> Stored:
    """Return the condition for the ids that come later: ObjectIds are listed before texts."""
    return {"$not": {"$gte": stored_id}} if isinstance(stored_id, ObjectId) else {"$lt": stored_id}


def _times(one: Stored, of: Callable[[int], object], begin: int | None, end: int | None) -> Stored:
    """Return the condition for the times of one type."""
    bounds = {"$gte": begin, "$lt": end}
    return one | {name: of(bound) for name, bound in bounds.items() if bound is not None}


def _group_of(created_at: object) -> int:
    if isinstance(created_at, datetime | DatetimeMS):
        return _DATES
    if created_at is None or _is_nan(created_at):
        return _NONE
    is_number = isinstance(created_at, int | float | Decimal128)
    return _NUMBERS if is_number and not isinstance(created_at, bool) else _ODD


def _is_nan(value: object) -> bool:
    if isinstance(value, Decimal128):
        return value.to_decimal().is_nan()
    return isinstance(value, float) and isnan(value)


def _comparable(time: float | Decimal128 | datetime | DatetimeMS) -> float | Decimal:
    if isinstance(time, datetime):
        time = DatetimeMS(time)
    if isinstance(time, DatetimeMS):
        return int(time)
    return time.to_decimal() if isinstance(time, Decimal128) else time

"""The indexes of `ExportTasks`.

Each query has one that leads to little else than what it finds, and in its order: first the fields
that are equal, then those of the order, then what is left of the condition. `tests/tasks/
test_queries.py` compares all queries with them.
"""

from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from exports.documents import ANY_TEXT, Indexes
from exports.models import TaskStatus
from exports.tasks.collection import (
    IN_OUTBOX,
    OPEN_SLOTS,
    OUTBOX,
    RECURRING,
    REMIND_AT,
    REMOVE_AT,
    UNIQUE,
    TaskCollection,
)
from exports.tasks.listing import ODD_TIME

OUTBOX_INDEX: Final = IndexModel([(f"{OUTBOX}.id", ASCENDING)], partialFilterExpression=IN_OUTBOX)
"""For each collection of which something is told."""

_NEWEST: Final = [("createdAt", DESCENDING), ("_id", DESCENDING)]

_UNIQUE_INDEXES: Final = [
    IndexModel([(field, ASCENDING)], unique=True, partialFilterExpression={field: ANY_TEXT})
    for field in UNIQUE
]

INDEXES: Final = [
    IndexModel([("createdBy", ASCENDING), *_NEWEST]),
    IndexModel(_NEWEST),
    # All statuses but `expired`, which nearly all tasks of a large collection have, in two halves
    # of the alphabet: before 6.0, a server knows no $in here, nor two indexes with equal fields.
    IndexModel(
        [("status", ASCENDING), *_NEWEST],  # failed, pending, running
        partialFilterExpression={"status": {"$gte": TaskStatus.FAILED.value}},
    ),
    IndexModel(
        [("status", DESCENDING), *_NEWEST],  # cancelled, done
        partialFilterExpression={"status": {"$lte": TaskStatus.DONE.value}},
    ),
    IndexModel(
        [("_id", DESCENDING), ("createdBy", ASCENDING)],
        partialFilterExpression={"createdAt": ODD_TIME},
    ),
    IndexModel([("purgeAt", ASCENDING)], partialFilterExpression={"status": TaskStatus.DONE.value}),
    IndexModel([("updatedAt", DESCENDING)]),
    OUTBOX_INDEX,
    IndexModel([(REMIND_AT, ASCENDING)], partialFilterExpression={REMIND_AT: {"$gt": 0}}),
    IndexModel([(REMOVE_AT, ASCENDING)], expireAfterSeconds=0),
    IndexModel([(RECURRING, ASCENDING), *_NEWEST], partialFilterExpression={RECURRING: ANY_TEXT}),
    IndexModel([("createdBy", ASCENDING)], partialFilterExpression={OPEN_SLOTS: ANY_TEXT}),
    *_UNIQUE_INDEXES,
]


def task_indexes(tasks: TaskCollection) -> Indexes:
    """Return the indexes of a collection, which a worker makes when it starts."""
    return Indexes(tasks.documents, INDEXES)


def unique_indexes(tasks: TaskCollection) -> Indexes:
    """Return those that decide who joins and who has reached a limit.

    A client that relies on them may ask before the first worker has started. It makes no others:
    those of a new release take minutes in a large collection.
    """
    return Indexes(tasks.documents, _UNIQUE_INDEXES)

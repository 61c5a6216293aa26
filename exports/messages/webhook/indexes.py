"""The indexes of `ExportWebhooks`, without which nothing is limited and nothing is removed."""

from datetime import timedelta
from typing import Final

from pymongo import ASCENDING, IndexModel

from exports.documents import ANY_TEXT
from exports.tasks.indexes import OUTBOX_INDEX

SLOT: Final = "slot"
ADDRESS: Final = "address"
REMOVED: Final = "removedAt"

_REMEMBERED: Final = timedelta(days=30)

INDEXES: Final = [
    IndexModel([("createdBy", ASCENDING)]),
    OUTBOX_INDEX,
    *(
        IndexModel([(field, ASCENDING)], unique=True, partialFilterExpression={field: ANY_TEXT})
        for field in (SLOT, ADDRESS)
    ),
    IndexModel([(REMOVED, ASCENDING)], expireAfterSeconds=int(_REMEMBERED.total_seconds())),
]

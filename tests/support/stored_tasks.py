"""Tasks as the old function or another system stores them, without the client."""

from typing import Any, Final

from bson import ObjectId

from tests.support.service import MONTH, USER, Service

TASK: Final[dict[str, Any]] = {
    "type": "statsMonthly",
    "params": MONTH,
    "status": "pending",
    "retries": 0,
    "maxRetries": 3,
    "createdBy": USER,
    "createdAt": 1_790_000_000_000,
}
"""The fields of a task that is due at once."""


async def insert_task(service: Service, **changes: Any) -> str:
    """Insert a task, some of its fields changed; return its id."""
    document = {"_id": ObjectId(), **TASK, **changes}
    await service.database["ExportTasks"].insert_one(document)
    return str(document["_id"])

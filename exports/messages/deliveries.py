"""Deliveries as people see them: the collection `ExportDeliveries`, one document for each.

They are removed after 30 days, by an index.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from pydantic import ConfigDict, Field
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.clock import now_ms
from exports.documents import (
    ConflictError,
    Indexes,
    Sort,
    Stored,
    deadline,
    majority_collection,
    read,
    read_one,
)
from exports.errors import TaskNotFoundError
from exports.messages.channel import Address
from exports.messages.delivery import AttemptResult, DeliveryOrder, DeliveryStatus
from exports.messages.message import Event, Message
from exports.models import WireModel

KEPT_FOR: Final = timedelta(days=30)
_MAX_ANSWER: Final = 1024  # characters
_MAX_ATTEMPTS: Final = 50
"""Attempts that a document keeps: somebody can send a message again as often as they like."""


class Attempt(WireModel):
    """One attempt, as the owner of the address sees it.

    Attributes:
        at: When it began (epoch milliseconds).
        ms: How long it took (milliseconds).
        verdict: How it ended: `delivered`, `again` if the next one may succeed, `refused` if not.
        status: The receiver's status, such as an HTTP status; None if there was no answer.
        reason: How it ended, in one sentence.
        answer: The first 1,024 characters of the answer.
    """

    model_config = ConfigDict(extra="ignore")

    at: int
    ms: int
    verdict: str
    status: int | None = None
    reason: str = ""
    answer: str = ""

    @classmethod
    def of(cls, result: AttemptResult, *, reason: str = "", answer: str = "") -> Self:
        """Return the attempt that ended with this result."""
        return cls(
            at=result.at,
            ms=result.ms,
            verdict=result.verdict,
            status=result.answered,
            reason=reason,
            answer=answer[:_MAX_ANSWER],
        )


class Delivery(WireModel):
    """A message on its way to one address.

    Attributes:
        id: Its id, which receivers of webhooks get as `webhook-id`.
        task_id: The export that it is about; None if it is about something else.
        type: The report of that export; None if it is about something else.
        period: The period of that export, `2026-10`; None if it is not known.
        name: The name of what it is about, if that is not an export.
        event: What it tells of.
        channel: By which channel.
        address: Where to, as far as it is shown.
        status: See `DeliveryStatus`.
        created_by: Who is told.
        created_at: When it was begun (epoch milliseconds).
        updated_at: When something last happened to it (epoch milliseconds).
        next_attempt_at: When the next attempt is due (epoch milliseconds), if there is one.
        attempts: The attempts so far, oldest first.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    task_id: str | None = None
    type: str | None = None
    period: str | None = None
    name: str | None = None
    event: Event
    channel: str
    address: str
    status: DeliveryStatus
    created_by: str
    created_at: int
    updated_at: int
    next_attempt_at: int | None = None
    attempts: list[Attempt] = Field(default_factory=list[Attempt])

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored delivery."""
        message = document.get("message", {})
        export: Mapping[str, Any] = message.get("export") or {}
        subject: Mapping[str, Any] = message.get("subject") or {}
        about = {
            "type": export.get("type"),
            "period": export.get("period"),
            "name": subject.get("name"),
        }
        return cls.model_validate(
            {**document, **about, "id": document["_id"]}, by_alias=True, by_name=False
        )


_NEWEST: Final[Sort] = [("createdAt", DESCENDING), ("_id", DESCENDING)]
INDEXES: Final = [
    IndexModel([("removeAt", ASCENDING)], expireAfterSeconds=0),
    IndexModel([("createdBy", ASCENDING), *_NEWEST]),
    IndexModel([("taskId", ASCENDING), *_NEWEST]),
    IndexModel(_NEWEST),
]


class DeliveryStore:
    """Stores deliveries. Every write may be repeated.

    Args:
        database: The database of `ExportDeliveries`.

    Attributes:
        indexes: Those of the collection.
    """

    def __init__(self, database: AsyncDatabase[Stored]) -> None:
        self._deliveries = majority_collection(database, names.DELIVERIES_COLLECTION)
        self.indexes = Indexes(self._deliveries, INDEXES)

    async def begin(self, order: DeliveryOrder, address: Address) -> DeliveryStatus:
        """Store a delivery, unless it is stored; return its status."""
        message, now = order.message, now_ms()
        document: Stored = {
            "_id": order.id,
            "taskId": message.export.id if message.export else None,
            "event": message.event.value,
            "channel": order.channel,
            "address": address.shown,
            "addressId": order.address_id,
            "status": DeliveryStatus.PENDING.value,
            "createdBy": message.created_by,
            "createdAt": now,
            "updatedAt": now,
            "nextAttemptAt": now,
            "attempts": [],
            "message": message.model_dump(mode="json"),
            "removeAt": datetime.now(UTC) + KEPT_FOR,
        }
        try:
            async with deadline(self._deliveries):
                await self._deliveries.insert_one(document)
        except ConflictError:
            found = await read_one(self._deliveries, {"_id": order.id}, {"status": True})
            return DeliveryStatus((found or document)["status"])
        return DeliveryStatus.PENDING

    async def record(
        self,
        delivery_id: str,
        status: DeliveryStatus,
        *,
        attempt: Attempt | None = None,
        next_attempt_at: int | None = None,
    ) -> None:
        """Store what became of a delivery.

        Args:
            delivery_id: Which one; if it has been removed, nothing is stored.
            status: Its status now.
            attempt: The attempt that was made.
            next_attempt_at: When the next one is due (epoch milliseconds), if there is one.
        """
        change: Stored = {
            "$set": {
                "status": status.value,
                "updatedAt": now_ms(),
                "nextAttemptAt": next_attempt_at,
            }
        }
        if attempt is not None:
            made = attempt.model_dump(mode="json")
            change["$push"] = {"attempts": {"$each": [made], "$slice": -_MAX_ATTEMPTS}}
        async with deadline(self._deliveries):
            await self._deliveries.update_one({"_id": delivery_id}, change)

    async def get(self, delivery_id: str, *, created_by: str | None) -> Delivery:
        """Return a delivery.

        Args:
            delivery_id: Its id.
            created_by: Who asks; None for an operator, who sees all.

        Raises:
            TaskNotFoundError: There is no such delivery, or it is somebody else's.
        """
        return Delivery.from_document(await self._find(delivery_id, created_by))

    async def order(self, delivery_id: str) -> DeliveryOrder:
        """Return what was delivered, and where, to deliver it again.

        Raises:
            TaskNotFoundError: There is no such delivery.
        """
        found = await self._find(delivery_id, None)
        return DeliveryOrder(
            id=delivery_id,
            message=Message.model_validate(found["message"]),
            channel=found["channel"],
            address_id=found["addressId"],
        )

    async def moved(self, before: Delivery, status: DeliveryStatus) -> Delivery:
        """Store a status, unless something has happened since; return the delivery as it is."""
        async with deadline(self._deliveries):
            await self._deliveries.update_one(
                {"_id": before.id, "updatedAt": before.updated_at},
                {"$set": {"status": status.value, "updatedAt": now_ms(), "nextAttemptAt": None}},
            )
        return await self.get(before.id, created_by=None)

    async def _find(self, delivery_id: str, created_by: str | None) -> Stored:
        found = None
        if names.is_text(delivery_id):
            found = await read_one(self._deliveries, {"_id": delivery_id})
        if found is None or created_by not in (None, found["createdBy"]):
            raise TaskNotFoundError("There is no such delivery.")
        return found

    async def newest(
        self,
        *,
        created_by: str | None,
        task_id: str | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Delivery]:
        """Return up to `limit` deliveries, newest first.

        Args:
            created_by: Whose; None for everybody's.
            task_id: Only those about this export.
            after: Only those that come after this one in the list.
            limit: How many.

        Raises:
            TaskNotFoundError: There is no delivery `after`, or it is somebody else's.
        """
        query: Stored = {} if created_by is None else {"createdBy": created_by}
        if task_id is not None:
            query["taskId"] = task_id
        if after is not None:
            last = await self.get(after, created_by=created_by)
            query["createdAt"] = {"$lte": last.created_at}
            # No `$or`, so that an index gives the order.
            query["$nor"] = [{"createdAt": last.created_at, "_id": {"$gte": last.id}}]
        found = await read(self._deliveries, query, sort=_NEWEST, limit=limit)
        return [Delivery.from_document(document) for document in found]

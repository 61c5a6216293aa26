"""Grants of WeChat messages, in the collection `ExportWechatGrants`: one grant, one message.

WeChat lets a person grant single messages of a template, and does not tell how many are left. So
the mini-program says each time that somebody has granted one, and a message takes one.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from bson import ObjectId
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.documents import (
    ANY_TEXT,
    READ_TIMEOUT,
    ConflictError,
    Indexes,
    Stored,
    deadline,
    majority_collection,
    read_one,
)
from exports.errors import ChannelError, RequestError
from exports.messages.wechat.templates import Templates
from exports.models import WireModel

MOST_LEFT: Final = 100
"""How many unused grants of a template are kept for one person."""

_KEPT: Final = timedelta(days=31)
"""How long a used grant is kept: longer than a delivery takes."""
_TAKEN_BY: Final = "takenBy"
_TAKEN_AT: Final = "takenAt"
_TEMPLATE: Final = "templateId"
INDEXES: Final = [
    IndexModel([("uid", ASCENDING), (_TEMPLATE, ASCENDING)]),
    IndexModel(
        [(_TAKEN_BY, ASCENDING)], unique=True, partialFilterExpression={_TAKEN_BY: ANY_TEXT}
    ),
    IndexModel([(_TAKEN_AT, ASCENDING)], expireAfterSeconds=int(_KEPT.total_seconds())),
]


class WechatGrant(WireModel):
    """How many messages of a template a person has granted.

    Attributes:
        template_id: The id of the template, for `wx.requestSubscribeMessage`.
        events: What its messages tell of.
        left: How many more messages can be sent.
    """

    template_id: str
    events: list[str]
    left: int


class WechatGrants:
    """Counts grants.

    Args:
        database: The database of `ExportWechatGrants`.
        templates: The templates.

    Attributes:
        indexes: Those of the collection.
    """

    def __init__(self, database: AsyncDatabase[Stored], templates: Templates) -> None:
        self._templates = templates
        self._grants = majority_collection(database, names.WECHAT_GRANTS_COLLECTION)
        self.indexes = Indexes(self._grants, INDEXES)

    async def of(self, uid: str) -> Sequence[WechatGrant]:
        """Return what a person has granted, of each template."""
        return [await self._grant(uid, template) for template in self._events()]

    async def add(self, uid: str, template_id: str, *, key: str | None = None) -> WechatGrant:
        """Count one more grant, up to `MOST_LEFT`.

        Args:
            uid: The person who has granted it.
            template_id: The template.
            key: Makes it safe to repeat the call: the same key of the same person counts once.

        Raises:
            ChannelError: There is no such template.
            RequestError: The key is empty or too long.
        """
        if template_id not in self._events():
            raise ChannelError("There is no WeChat message with this template.")
        if key is not None and not 0 < len(key) <= names.MAX_IDEMPOTENCY_KEY_LENGTH:
            raise RequestError(
                f"A key must have 1 to {names.MAX_IDEMPOTENCY_KEY_LENGTH} characters."
            )
        await self.indexes.ensure()
        if await self.left(uid, template_id) < MOST_LEFT:
            grant: Stored = {
                "_id": ObjectId() if key is None else names.wechat_grant_id(uid, template_id, key),
                "uid": uid,
                _TEMPLATE: template_id,
                "grantedAt": datetime.now(UTC),
            }
            with suppress(ConflictError):  # the call was repeated
                async with deadline(self._grants):
                    await self._grants.insert_one(grant)
        return await self._grant(uid, template_id)

    async def left(self, uid: str, template_id: str) -> int:
        """Return how many grants are not used."""
        async with deadline(self._grants):
            return await self._grants.count_documents(
                _unused(uid, template_id), maxTimeMS=READ_TIMEOUT
            )

    async def take(self, uid: str, template_id: str, delivery_id: str) -> bool:
        """Take a grant for a delivery, the same one each time; return whether there is one."""
        await self.indexes.ensure()
        taken: Stored = {_TAKEN_BY: delivery_id, _TAKEN_AT: datetime.now(UTC)}
        if await read_one(self._grants, {_TAKEN_BY: delivery_id}):
            return True
        try:
            async with deadline(self._grants):
                found = await self._grants.update_one(_unused(uid, template_id), {"$set": taken})
        except ConflictError:  # another attempt at the same delivery has taken one
            return True
        return found.matched_count > 0

    async def give_back(self, delivery_id: str) -> None:
        """Let another message take the grant of a delivery: WeChat has not used it."""
        async with deadline(self._grants):
            await self._grants.update_one(
                {_TAKEN_BY: delivery_id}, {"$unset": {_TAKEN_BY: "", _TAKEN_AT: ""}}
            )

    async def _grant(self, uid: str, template_id: str) -> WechatGrant:
        left = await self.left(uid, template_id)
        return WechatGrant(template_id=template_id, events=self._events()[template_id], left=left)

    def _events(self) -> dict[str, list[str]]:
        events: dict[str, list[str]] = {}
        for event, template in self._templates.items():
            events.setdefault(template.template, []).append(event.value)
        return events


def _unused(uid: str, template_id: str) -> Stored:
    return {"uid": uid, _TEMPLATE: template_id, _TAKEN_BY: {"$exists": False}}

"""A store of webhooks for the tests of webhooks, and what people do with it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from pymongo.asynchronous.database import AsyncDatabase

from exports.clock import millis
from exports.messages.channel import Outcome
from exports.messages.message import Event, ExportFacts, Message
from exports.messages.notices import Notice
from exports.messages.webhook.channel import WebhookChannel
from exports.messages.webhook.model import Webhook
from exports.messages.webhook.sending import Sender
from exports.messages.webhook.service import Webhooks
from exports.messages.webhook.store import WebhookStore
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks.collection import IN_OUTBOX

OWNER, STRANGER = "u1", "u2"
SENDER = Sender(loopback=True)
DONE = Message(
    id="m1",
    event=Event.DONE,
    at=1_793_000_000_007,
    created_by=OWNER,
    export=ExportFacts(
        id="6720c1f0a1b2c3d4e5f60718",
        type="statsMonthly",
        period="2026-10",
        format="xlsx",
        status=TaskStatus.DONE,
        file_name="十月.xlsx",
        rows=31,
        file_url="https://exports.example.com/exports/6720c1f0a1b2c3d4e5f60718/file",
    ),
)


@dataclass
class WebhookWorld:
    """A store of webhooks, what people do with it, and the channel that uses it."""

    database: AsyncDatabase[dict[str, Any]]
    settings: Settings

    def with_keys(self, **keys: str | None) -> "WebhookWorld":
        update = {name: key and SecretStr(key) for name, key in keys.items()}
        return WebhookWorld(self.database, self.settings.model_copy(update=update))

    @property
    def store(self) -> WebhookStore:
        return WebhookStore.of_settings(self.database, self.settings)

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.store, SENDER)

    @property
    def channel(self) -> WebhookChannel:
        return WebhookChannel(self.store, SENDER)

    async def told(self) -> list[Notice]:
        """What the next sweep tells people."""
        found = await self.database["ExportWebhooks"].find(IN_OUTBOX).to_list()
        return [Notice.model_validate(item) for one in found for item in one["outbox"]]

    async def add(self, url: str, who: str = OWNER) -> tuple[str, str]:
        """Return the id and the secret of a new webhook."""
        added = await self.webhooks.add(url, created_by=who)
        assert added.secret is not None
        return added.id, added.secret

    async def get(self, webhook_id: str) -> Webhook:
        return await self.webhooks.get(webhook_id, created_by=OWNER)

    async def send(self, webhook_id: str, *, delivery: str = "d1") -> Outcome:
        return await self.channel.send(DONE, webhook_id, delivery_id=delivery)

    async def age(self, webhook_id: str, name: str, by: timedelta) -> None:
        """Move a time of a webhook into the past."""
        await self.database["ExportWebhooks"].update_one(
            {"_id": webhook_id}, {"$inc": {name: -millis(by)}}
        )

"""Tells people by webhook."""

import logging
from contextlib import suppress
from datetime import timedelta
from typing import Final

from exports.clock import millis, now_ms
from exports.errors import EncryptionKeyError, ExportError, TaskNotFoundError
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.message import Message
from exports.messages.notices import TELL_OWNER
from exports.messages.webhook.model import Webhook
from exports.messages.webhook.sending import GONE, Sender
from exports.messages.webhook.signature import Signing, content, headers
from exports.messages.webhook.store import WebhookStore

NAME: Final = "webhook"
FAILING_FOR: Final = timedelta(days=5)
"""How long every attempt fails until a webhook is switched off."""
LONGEST_PAUSE: Final = timedelta(hours=27)
"""How long after a failed attempt the next one still belongs to it: longer than any wait between
two attempts of a delivery. What failed before a longer pause says nothing about today."""

_log = logging.getLogger("exports.messages.webhook")


class WebhookChannel:
    """The channel.

    Args:
        store: The webhooks of people.
        sender: Makes the requests.
    """

    name = NAME

    def __init__(self, store: WebhookStore, sender: Sender) -> None:
        self._store = store
        self._sender = sender

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        """Return the webhooks of a person that are not switched off."""
        del message
        return [
            Address(webhook.id, webhook.shown)
            for webhook in await self._store.all_of(uid)
            if webhook.switched_off is None
        ]

    async def send(self, message: Message, address_id: str, *, delivery_id: str) -> Outcome:
        """Make one attempt; see `Channel`."""
        try:
            signing = await self._store.signing(message.created_by, address_id)
        except TaskNotFoundError:
            return Outcome(Verdict.REFUSED, "The webhook was removed.")
        except EncryptionKeyError as error:
            _log.error("A message can't be signed: %s", error.msg)
            return Outcome(Verdict.AGAIN, error.msg)
        if signing.webhook.switched_off is not None:
            return Outcome(Verdict.REFUSED, "The webhook is switched off.")
        at = now_ms()
        outcome = await post(self._sender, signing, message, delivery_id=delivery_id)
        if outcome.verdict is Verdict.DELIVERED:
            # If this raised, the attempt would not count, and the receiver got the message again.
            with suppress(ExportError):
                await self._store.succeeded(address_id)
        else:
            await self._keep_failure(signing.webhook, outcome, at)
        return outcome

    async def _keep_failure(self, webhook: Webhook, outcome: Outcome, at: int) -> None:
        since, last = webhook.failing_since, webhook.last_failed_at
        if since is None or last is None or at - last > millis(LONGEST_PAUSE):
            since = at
        if outcome.status == GONE:
            await self._store.switch_off(webhook, outcome.reason, tell=TELL_OWNER)
        elif at - since < millis(FAILING_FOR):
            await self._store.failed(webhook, at, since=since)
        else:
            reason = f"Every attempt of {FAILING_FOR.days} days has failed."
            await self._store.switch_off(webhook, reason, tell=TELL_OWNER, failing_since=since)


async def post(sender: Sender, signing: Signing, message: Message, *, delivery_id: str) -> Outcome:
    """Send a message to a webhook, without keeping how it went."""
    body = content(message)
    signed = headers(body, delivery_id=delivery_id, now_ms=now_ms(), signing=signing.secrets)
    return await sender.post(signing.webhook.url, body, signed)

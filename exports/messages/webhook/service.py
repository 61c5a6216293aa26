"""What people can do with their webhooks."""

import secrets
import time

from exports import names
from exports.clock import now_ms
from exports.messages.channel import Verdict
from exports.messages.message import Event, Message, Subject
from exports.messages.webhook.channel import post
from exports.messages.webhook.model import Tried, Webhook, WebhookWithSecret
from exports.messages.webhook.sending import Sender
from exports.messages.webhook.signature import written
from exports.messages.webhook.store import WebhookStore


class Webhooks:
    """`ExportClient.webhooks`.

    `created_by` is the person who asks. For that person, a webhook of somebody else does not exist.
    Everything is safe to do twice.

    Args:
        store: Keeps them.
        sender: Makes the requests.

    Raises:
        DatabaseUnavailableError: By every method: the database did not answer.
        DatabaseAccessError: By the same: it refused the credentials or the permission.
        DatabaseRefusedError: By the same: it refused a command.
        TaskNotFoundError: By every method with an id: there is no such webhook, or it is somebody
            else's.
    """

    def __init__(self, store: WebhookStore, sender: Sender) -> None:
        self._store = store
        self._sender = sender

    async def add(self, url: str, *, created_by: str) -> WebhookWithSecret:
        """Add an address, which gets the person's messages from now on.

        Args:
            url: The address: https, and public.
            created_by: The person.

        Returns:
            The webhook and its secret, which can't be shown again. Without the secret if the person
            has added this address before: `rotate` makes a new one.

        Raises:
            WebhookAddressError: The address has another form, or does not lead to a public one.
            QuotaError: The person has as many webhooks as they may have.
            SettingsError: The operator has not set a key for secrets.
            RequestError: `created_by` is not the name of a person.
        """
        names.check_uid(created_by)
        await self._store.indexes.ensure()
        webhook, secret = await self._store.add(created_by, await self._sender.check(url))
        return WebhookWithSecret(
            **dict(webhook), secret=None if secret is None else written(secret)
        )

    async def list(self, *, created_by: str) -> list[Webhook]:
        """Return the webhooks of a person, oldest first."""
        return await self._store.all_of(created_by)

    async def get(self, webhook_id: str, *, created_by: str) -> Webhook:
        """Return one webhook."""
        return await self._store.find(created_by, webhook_id)

    async def test(self, webhook_id: str, *, created_by: str) -> Tried:
        """Send a message `webhook.test` now, also to a webhook that is switched off.

        It takes up to 15 seconds. However it goes, the webhook stays as it is.

        Raises:
            EncryptionKeyError: The key of its secret is missing in the settings.
            RateError: There were too many tests within a minute.
        """
        signing = await self._store.signing(created_by, webhook_id)
        await self._store.begin_test(created_by, webhook_id)
        test_id = f"{webhook_id}-test-{secrets.token_hex(8)}"
        message = Message(
            id=test_id,
            event=Event.TEST,
            at=now_ms(),
            created_by=created_by,
            subject=Subject(id=webhook_id, name=webhook_id, reason="Somebody wants to try it."),
        )
        began = time.monotonic()
        outcome = await post(self._sender, signing, message, delivery_id=test_id)
        return Tried(
            delivered=outcome.verdict is Verdict.DELIVERED,
            reason=outcome.reason,
            status=outcome.status,
            answer=outcome.answer,
            milliseconds=round((time.monotonic() - began) * 1000),
        )

    async def rotate(self, webhook_id: str, *, created_by: str) -> WebhookWithSecret:
        """Make a new secret. For 24 hours, those before it sign as well.

        Returns:
            The webhook and the new secret, which can't be shown again.

        Raises:
            QuotaError: It was done too often within a day.
        """
        webhook, secret = await self._store.rotate(created_by, webhook_id)
        return WebhookWithSecret(**dict(webhook), secret=written(secret))

    async def enable(self, webhook_id: str, *, created_by: str) -> Webhook:
        """Let a webhook get messages again that was switched off, and return it."""
        return await self._store.switch_on(created_by, webhook_id)

    async def remove(self, webhook_id: str, *, created_by: str) -> None:
        """Remove a webhook, with its address and its secrets."""
        await self._store.remove(created_by, webhook_id)

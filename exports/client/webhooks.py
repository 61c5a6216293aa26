"""The webhooks of people."""

from functools import cached_property
from typing import TYPE_CHECKING, Final

from exports.client.part import ClientPart
from exports.runtime.listening import not_installed

if TYPE_CHECKING:
    from exports.messages.webhook.service import Webhooks

_PACKAGES: Final = frozenset({"httpx2"})


class WebhooksOfPeople(ClientPart):
    """Lets people name addresses that get their messages."""

    @cached_property
    def webhooks(self) -> "Webhooks":
        """The webhooks of people.

        Raises:
            SettingsError: The extra `messages` is not installed.
        """
        try:
            from exports.messages.webhook.sending import Sender  # noqa: PLC0415 -- it may be missing
            from exports.messages.webhook.service import Webhooks  # noqa: PLC0415 -- same
            from exports.messages.webhook.store import WebhookStore  # noqa: PLC0415 -- same
        except ModuleNotFoundError as error:
            raise not_installed(
                error, program="A webhook", extra="messages", packages=_PACKAGES
            ) from None
        return Webhooks(
            WebhookStore.of_settings(self._database, self._settings),
            Sender(loopback=self._settings.webhook_loopback),
        )

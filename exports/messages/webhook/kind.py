"""What an installation needs to have webhooks."""

from importlib.util import find_spec

from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored
from exports.messages.channel import Channel
from exports.reports.report import ReportCatalog
from exports.settings import Settings


def missing(settings: Settings) -> str:
    """Return what this installation lacks; an empty text if that is nothing."""
    if find_spec("httpx2") is None:
        return "the extra `messages`"
    if settings.webhook_keys.first is None:
        return "EXPORTS_ENCRYPTION_KEY or EXPORTS_WEBHOOK_ENCRYPTION_KEY"
    return ""


def open_channel(settings: Settings, database: AsyncDatabase[Stored], _: ReportCatalog) -> Channel:
    """Return the channel. It keeps no connection open."""
    from exports.messages.webhook.channel import WebhookChannel  # noqa: PLC0415 -- see `missing`
    from exports.messages.webhook.sending import Sender  # noqa: PLC0415 -- same
    from exports.messages.webhook.store import WebhookStore  # noqa: PLC0415 -- same

    return WebhookChannel(
        WebhookStore.of_settings(database, settings),
        Sender(loopback=settings.webhook_loopback),
    )

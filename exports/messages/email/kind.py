"""What an installation needs to have the channel `email`."""

import logging

from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored
from exports.messages.channel import Channel
from exports.reports.report import ReportCatalog
from exports.runtime.listening import not_installed
from exports.settings import Settings

_log = logging.getLogger("exports.messages.email")


def missing(settings: Settings) -> str:
    """Return what this installation has not set; an empty text if that is nothing."""
    return "" if settings.smtp_host else "EXPORTS_SMTP_HOST"


def open_channel(
    settings: Settings, database: AsyncDatabase[Stored], reports: ReportCatalog
) -> Channel:
    """Return the channel. It keeps no connection open.

    Raises:
        SettingsError: It is configured wrongly, or the extra `messages` is not installed.
    """
    try:
        # Only an installation with this channel needs the package.
        from exports.messages.email.channel import EmailChannel  # noqa: PLC0415 -- see above
    except ModuleNotFoundError as error:
        raise not_installed(
            error, program="E-mail", extra="messages", packages={"aiosmtplib"}
        ) from None
    if settings.public_url is None:
        _log.warning("EXPORTS_PUBLIC_URL is not set: no e-mail has a button that leads to its file")
    return EmailChannel(database, settings, reports)

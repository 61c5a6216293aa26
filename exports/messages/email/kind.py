"""What an installation needs to have the channel `email`."""

from contextlib import AsyncExitStack

from pymongo.asynchronous.database import AsyncDatabase

from exports.messages.channel import Channel
from exports.reports.file import load_reports
from exports.runtime.listening import not_installed
from exports.settings import Settings
from exports.tasks.collection import Stored


def missing(settings: Settings) -> str:
    """Return what this installation has not set; an empty text if that is nothing."""
    return "" if settings.smtp_host else "EXPORTS_SMTP_HOST"


def open_channel(settings: Settings, database: AsyncDatabase[Stored], _: AsyncExitStack) -> Channel:
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
    return EmailChannel(database, settings, load_reports(settings.reports_file))

"""What an installation needs to have the channel `wechat`."""

from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored
from exports.messages.channel import Channel
from exports.reports.report import ReportCatalog
from exports.runtime.listening import not_installed
from exports.settings import Settings


def missing(settings: Settings) -> str:
    """Return what this installation has not set; an empty text if that is nothing."""
    return "" if settings.wechat_appid else "EXPORTS_WECHAT_APPID"


def open_channel(
    settings: Settings, database: AsyncDatabase[Stored], reports: ReportCatalog
) -> Channel:
    """Return the channel. It keeps no connection open.

    Raises:
        SettingsError: It is configured wrongly, or the extra `messages` is not installed.
    """
    try:
        # Only an installation with this channel needs the package.
        from exports.messages.wechat.channel import WechatChannel  # noqa: PLC0415 -- see above
    except ModuleNotFoundError as error:
        raise not_installed(
            error, program="WeChat", extra="messages", packages={"httpx2"}
        ) from None
    return WechatChannel(database, settings, reports)

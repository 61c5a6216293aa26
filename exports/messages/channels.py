"""The channels that there are, and those that this installation has configured."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored
from exports.errors import ChannelError
from exports.messages.channel import Channel
from exports.messages.email import kind as email
from exports.messages.webhook import kind as webhook
from exports.messages.wechat import kind as wechat
from exports.models import DEFAULT_CHANNELS
from exports.reports.report import ReportCatalog
from exports.settings import Settings


class ChannelKind(NamedTuple):
    """A channel that an installation can have.

    Attributes:
        name: What `notify` calls it.
        missing: Returns what an installation lacks to use it: `EXPORTS_SMTP_HOST`; an empty text
            if that is nothing.
        open: Makes the channel, which keeps no connection open.
    """

    name: str
    missing: Callable[[Settings], str]
    open: Callable[[Settings, AsyncDatabase[Stored], ReportCatalog], Channel]


KINDS: Final[list[ChannelKind]] = [
    ChannelKind("email", email.missing, email.open_channel),
    ChannelKind("wechat", wechat.missing, wechat.open_channel),
    ChannelKind("webhook", webhook.missing, webhook.open_channel),
]


def open_channels(
    settings: Settings, database: AsyncDatabase[Stored], reports: ReportCatalog
) -> dict[str, Channel]:
    """Return the channels that are configured, by their names.

    Args:
        settings: Of this installation.
        database: That of the tasks.
        reports: The configured reports, which have titles.

    Raises:
        SettingsError: A channel is configured wrongly, or lacks a package.
    """
    return {
        kind.name: kind.open(settings, database, reports)
        for kind in KINDS
        if not kind.missing(settings)
    }


def available(settings: Settings) -> list[str]:
    """Return the names of the channels that this installation has configured."""
    return [kind.name for kind in KINDS if not kind.missing(settings)]


def exists(name: str) -> bool:
    """Return whether there is such a channel, configured here or not."""
    return any(kind.name == name for kind in KINDS)


def checked(notify: Iterable[str], settings: Settings) -> list[str]:
    """Return the channels that somebody wants to be told by, each once.

    Raises:
        ChannelError: There is no such channel, or this installation has not configured it.
    """
    wanted = list(dict.fromkeys(notify))
    known = {kind.name: kind for kind in KINDS}
    for name in wanted:
        if name not in known:
            raise ChannelError(f"There is no such channel; there are: {', '.join(known)}.")
        if missing := known[name].missing(settings):
            raise ChannelError(f"Nobody can be told by {name}: this installation lacks {missing}.")
    return wanted


def checked_request(notify: Sequence[str], settings: Settings) -> list[str]:
    """Return the channels of a request, each once; `default` stands for the person's own choice.

    Raises:
        ChannelError: As `checked`.
    """
    checked((name for name in notify if name != DEFAULT_CHANNELS), settings)
    return list(dict.fromkeys(notify))

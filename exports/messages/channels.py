"""The channels that there are, and those that this installation has configured."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from pymongo.asynchronous.database import AsyncDatabase

from exports.errors import ChannelError
from exports.messages.channel import Channel
from exports.messages.webhook import kind as webhook
from exports.models import DEFAULT_CHANNELS
from exports.reports.file import load_reports
from exports.runtime.listening import not_installed
from exports.settings import Settings
from exports.tasks.collection import Stored

_PACKAGES: Final = frozenset({"aiosmtplib", "httpx2"})


class ChannelKind(NamedTuple):
    """A channel that an installation can have.

    Attributes:
        name: What `notify` calls it.
        missing: Returns what an installation lacks to use it: `EXPORTS_SMTP_HOST`; an empty text
            if that is nothing.
        open: Makes the channel, whose connections the stack closes at the end.
    """

    name: str
    missing: Callable[[Settings], str]
    open: Callable[[Settings, AsyncDatabase[Stored], AsyncExitStack], Channel]


def _open_email(settings: Settings, database: AsyncDatabase[Stored], _: AsyncExitStack) -> Channel:
    try:
        from exports.messages.email.channel import EmailChannel  # noqa: PLC0415 -- see below
    except ModuleNotFoundError as error:
        raise _not_installed(error, "E-mail") from None
    return EmailChannel(database, settings, load_reports(settings.reports_file))


def _open_wechat(settings: Settings, database: AsyncDatabase[Stored], _: AsyncExitStack) -> Channel:
    try:
        from exports.messages.wechat.channel import WechatChannel  # noqa: PLC0415 -- see below
    except ModuleNotFoundError as error:
        raise _not_installed(error, "WeChat") from None
    return WechatChannel(database, settings, load_reports(settings.reports_file))


def _not_installed(error: ModuleNotFoundError, program: str) -> Exception:
    # Only a channel that is configured needs the packages of the extra.
    return not_installed(error, program=program, extra="messages", packages=_PACKAGES)


KINDS: Final[list[ChannelKind]] = [
    ChannelKind("email", lambda settings: _unset(settings.smtp_host, "SMTP_HOST"), _open_email),
    ChannelKind(
        "wechat", lambda settings: _unset(settings.wechat_appid, "WECHAT_APPID"), _open_wechat
    ),
    ChannelKind("webhook", webhook.missing, webhook.open_channel),
]


def _unset(value: str | None, name: str) -> str:
    return "" if value else f"EXPORTS_{name}"


def open_channels(
    settings: Settings, database: AsyncDatabase[Stored], closing: AsyncExitStack
) -> dict[str, Channel]:
    """Return the channels that are configured, by their names.

    Args:
        settings: Of this installation.
        database: That of the tasks.
        closing: Closes their connections at the end.

    Raises:
        SettingsError: A channel is configured wrongly, or the extra `messages` is not installed.
    """
    return {
        kind.name: kind.open(settings, database, closing)
        for kind in KINDS
        if not kind.missing(settings)
    }


def available(settings: Settings) -> list[str]:
    """Return the names of the channels that this installation has configured."""
    return [kind.name for kind in KINDS if not kind.missing(settings)]


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

"""What messages say, in English and Chinese: the words that e-mail and WeChat share."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exports.characters import can_mislead
from exports.clock import from_epoch_ms
from exports.errors import TypeUnknownError
from exports.messages.message import Event, Message
from exports.reports.report import ReportCatalog

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_UNIT: Final = 1000
_TENS: Final = 10


class Language(StrEnum):
    """A language that messages are written in."""

    ENGLISH = "en"
    CHINESE = "zh"

    @classmethod
    def of(cls, text: object) -> "Language | None":
        """Return the language of a name such as `zh-CN` or `en_US`; None for any other."""
        if not isinstance(text, str):
            return None
        short = text.strip().replace("_", "-").partition("-")[0].lower()
        return next((language for language in cls if language.value == short), None)


class Headline(NamedTuple):
    """What a message says first.

    Attributes:
        title: In one line.
        lead: One more sentence.
        status: In one word.
    """

    title: str
    lead: str
    status: str


HEADLINES: Final[Mapping[Language, Mapping[Event, Headline]]] = {
    Language.ENGLISH: {
        Event.DONE: Headline("Your export is ready", "You can download the file now.", "ready"),
        Event.FAILED: Headline("Your export has failed", "There is no file.", "failed"),
        Event.CANCELLED: Headline(
            "Your export was cancelled", "It was stopped on request; there is no file.", "cancelled"
        ),
        Event.EXPIRING: Headline(
            "Your file will be removed soon",
            "Download it before its time is over, or ask for a new export later.",
            "expiring",
        ),
        Event.WEBHOOK_DISABLED: Headline(
            "A webhook was switched off", "Nothing more is sent to its address.", "disabled"
        ),
        Event.RECURRING_PAUSED: Headline(
            "A recurring export was paused",
            "It makes no more exports until somebody resumes it.",
            "paused",
        ),
    },
    Language.CHINESE: {
        Event.DONE: Headline("您的导出已完成", "现在可以下载文件。", "已完成"),
        Event.FAILED: Headline("您的导出失败了", "没有生成文件。", "已失败"),
        Event.CANCELLED: Headline("您的导出已取消", "导出已按请求停止，没有生成文件。", "已取消"),
        Event.EXPIRING: Headline("您的文件即将删除", "请在到期前下载，或之后重新导出。", "将删除"),
        Event.WEBHOOK_DISABLED: Headline(
            "一个 Webhook 已停用", "不会再向该地址发送任何内容。", "已停用"
        ),
        Event.RECURRING_PAUSED: Headline(
            "一个定期导出已暂停", "在恢复之前不会再生成导出。", "已暂停"
        ),
    },
}
"""What is said of each event. Nobody but its owner is told of `webhook.test`, by the webhook."""


class Said(NamedTuple):
    """The facts of a message as texts for people. A text is empty if the fact is not known.

    Attributes:
        title: The report, or the name of what else the message is about.
        period: The period.
        file: Name of the file.
        rows: Number of rows.
        size: Size of the file.
        until: Until when the file is there.
        at: When it happened.
        problem: Why it failed, or what happened, in one sentence.
        code: The code of the error.
        id: The id of the export, or of what else the message is about.
        status: How it ended, in one word.
    """

    title: str
    period: str
    file: str
    rows: str
    size: str
    until: str
    at: str
    problem: str
    code: str
    id: str
    status: str


def plain_time(at: datetime) -> str:
    """Return a time for people, with its time zone: `2026-11-01 08:00 (UTC+08:00)`."""
    zone = f"(UTC{at.isoformat()[-6:]})" if at.utcoffset() else "UTC"
    return f"{at:%Y-%m-%d %H:%M} {zone}"


def said(
    message: Message,
    language: Language,
    reports: ReportCatalog,
    time: Callable[[datetime], str] = plain_time,
) -> Said:
    """Return the facts of a message as texts.

    Args:
        message: The message; of an event in `HEADLINES`.
        language: In which language.
        reports: The reports, which have a title and a time zone.
        time: How times are written; the report's time zone is theirs.
    """
    title, zone = _report(message, reports)
    export, subject = message.export, message.subject
    has_file = export is not None and message.event in {Event.DONE, Event.EXPIRING}
    error = None if export is None else export.error
    problem = subject.reason if subject else error.msg if error else ""
    until = export.expires_at if export is not None and has_file else None
    texts = Said(
        title=title,
        period=(export.period or "") if export else "",
        file=(export.file_name or "") if export and has_file else "",
        rows=str(export.rows) if export and has_file else "",
        size=_size(export.bytes) if export and has_file else "",
        until="" if until is None else time(_in_zone(until, zone)),
        at=time(_in_zone(message.at, zone)),
        problem=problem,
        code=error.code if error else "",
        id=export.id if export else subject.id if subject else "",
        status=HEADLINES[language][message.event].status,
    )
    return Said(*map(one_line, texts))


def one_line(text: str) -> str:
    """Return a text without line breaks, and without characters that can mislead."""
    seen = "".join(" " if can_mislead(character) else character for character in text)
    return " ".join(seen.split())


def _report(message: Message, reports: ReportCatalog) -> tuple[str, ZoneInfo]:
    """Return what the message is about, and the time zone of its times."""
    if message.export is None:
        return message.subject.name if message.subject else "", ZoneInfo("UTC")
    try:
        report = reports.named(message.export.type)
    except TypeUnknownError:  # it was removed since
        return message.export.type, ZoneInfo("UTC")
    return report.title, ZoneInfo(report.timezone)


def _in_zone(milliseconds: int, zone: ZoneInfo) -> datetime:
    return from_epoch_ms(milliseconds).astimezone(zone)


def _size(size: int) -> str:
    amount, unit = float(size), 0
    while amount >= _UNIT and unit < len(_UNITS) - 1:
        amount, unit = amount / _UNIT, unit + 1
    digits = 1 if unit and amount < _TENS else 0
    return f"{amount:.{digits}f} {_UNITS[unit]}"

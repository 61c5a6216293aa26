"""Writes the e-mail of a message: a part in plain text and one in HTML."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from string import Template
from typing import Final, NamedTuple

from exports.mail_addresses import Sender
from exports.messages.message import Event, Message
from exports.messages.wording import HEADLINES, Language, Said, said
from exports.reports.report import ReportCatalog


class _Words(NamedTuple):
    """What every e-mail of a language has.

    Attributes:
        tag: The language, for HTML.
        labels: What the facts are called, in order, by their names in `Said`.
        button: What the button says.
        reason: Why somebody gets this.
        between: What is between two parts of a sentence.
    """

    tag: str
    labels: Mapping[str, str]
    button: str
    reason: str
    between: str


_WORDS: Final = {
    Language.ENGLISH: _Words(
        tag="en",
        labels={
            "title": "About",
            "period": "Period",
            "file": "File",
            "rows": "Rows",
            "size": "Size",
            "until": "Available until",
            "problem": "Reason",
            "code": "Code",
            "at": "Time",
            "id": "ID",
        },
        button="Download the file",
        reason="You get this e-mail as the owner of what it is about. A program sent it; nobody "
        "reads answers.",
        between=": ",
    ),
    Language.CHINESE: _Words(
        tag="zh-CN",
        labels={
            "title": "内容",
            "period": "周期",
            "file": "文件",
            "rows": "行数",
            "size": "大小",
            "until": "有效期至",
            "problem": "原因",
            "code": "代码",
            "at": "时间",
            "id": "编号",
        },
        button="下载文件",
        reason="您是上述内容的所有者，因此收到此邮件。邮件由程序自动发送，请勿回复。",
        between="：",
    ),
}
_COLORS: Final = {Event.DONE: "#15803d", Event.CANCELLED: "#52525b"}
_ATTENTION: Final = "#b45309"

# Mail programs know little of CSS: a table, and styles in its elements. Without any of them, it is
# a heading, a sentence, a list of facts and a link.
_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="$tag">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>$title</title>
</head>
<body style="margin:0;padding:0;background:#f4f4f5">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f4f4f5">
<tr><td align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" \
style="max-width:560px;background:#ffffff;border:1px solid #e4e4e7;border-radius:8px;\
font-family:-apple-system,'Segoe UI',Roboto,'PingFang SC','Microsoft YaHei',\
'Noto Sans CJK SC',Arial,sans-serif;color:#18181b;text-align:left">
<tr><td style="height:4px;line-height:4px;font-size:0;background:$color;\
border-radius:8px 8px 0 0">&nbsp;</td></tr>
<tr><td style="padding:28px 32px 32px">
<h1 style="margin:0 0 8px;font-size:22px;line-height:30px;font-weight:600">$title</h1>
<p style="margin:0 0 20px;font-size:15px;line-height:24px;color:#3f3f46">$lead</p>
<table cellpadding="0" cellspacing="0" width="100%" \
style="border-collapse:collapse;font-size:14px;line-height:22px">
$facts</table>
$button</td></tr>
</table>
<p style="max-width:560px;margin:16px auto 0;font-family:-apple-system,'Segoe UI',Roboto,\
'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',Arial,sans-serif;font-size:12px;\
line-height:18px;color:#71717a">$reason</p>
</td></tr>
</table>
</body>
</html>
""")
_FACT: Final = Template("""\
<tr><th scope="row" align="left" valign="top" width="120" style="padding:8px 16px 8px 0;\
border-bottom:1px solid #f4f4f5;font-weight:normal;color:#71717a;white-space:nowrap">$label</th>
<td valign="top" style="padding:8px 0;border-bottom:1px solid #f4f4f5;\
overflow-wrap:anywhere;word-break:break-word">$value</td></tr>
""")
_BUTTON: Final = Template("""\
<p style="margin:24px 0 0"><a href="$url" style="display:inline-block;padding:12px 24px;\
background:#18181b;border-radius:6px;color:#ffffff;font-size:15px;line-height:20px;\
font-weight:600;text-decoration:none">$label</a></p>
""")


def write_mail(
    message: Message,
    language: Language,
    reports: ReportCatalog,
    *,
    sender: Sender,
    to: str,
    delivery_id: str,
) -> EmailMessage:
    """Return the e-mail of a message.

    Args:
        message: What to say; of an event in `HEADLINES`.
        language: In which language.
        reports: The reports, which have titles.
        sender: Who it is from.
        to: The address, which has been checked.
        delivery_id: Makes the `Message-ID`, which is the same for each attempt.
    """
    headline, words = HEADLINES[language][message.event], _WORDS[language]
    texts = said(message, language, reports)
    about = ", ".join(part for part in (texts.title, texts.period) if part)
    facts = [(label, fact) for name, label in words.labels.items() if (fact := _fact(texts, name))]
    url = message.export.file_url if message.export and texts.file else None
    mail = EmailMessage(SMTP)
    mail["From"] = Address(sender.name, addr_spec=sender.address)
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = f"{headline.title}{words.between}{about}"
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = message_id(delivery_id, sender)
    mail["Auto-Submitted"] = "auto-generated"
    lines = [headline.title, "", headline.lead, ""]
    lines += [f"{label}{words.between}{fact}" for label, fact in facts]
    if url is not None:
        lines += ["", f"{words.button}{words.between}", url]
    lines += ["", "-- ", words.reason]
    mail.set_content("\n".join(lines) + "\n", cte="quoted-printable")
    mail.add_alternative(
        _PAGE.substitute(
            tag=words.tag,
            title=escape(headline.title),
            lead=escape(headline.lead),
            color=_COLORS.get(message.event, _ATTENTION),
            facts=_table(facts),
            button="" if url is None else _BUTTON.substitute(url=escape(url), label=words.button),
            reason=words.reason,
        ),
        subtype="html",
        cte="quoted-printable",
    )
    mail["Content-Language"] = words.tag
    return mail


def message_id(delivery_id: str, sender: Sender) -> str:
    """Return the `Message-ID` of a delivery, by which mail programs recognise it."""
    domain = sender.address.rpartition("@")[2]
    return f"<{hashlib.sha256(delivery_id.encode()).hexdigest()[:32]}@{domain}>"


def _fact(texts: Said, name: str) -> str:
    fact: str = getattr(texts, name)
    return f"{int(fact):,}" if name == "rows" and fact else fact


def _table(facts: Sequence[tuple[str, str]]) -> str:
    return "".join(
        _FACT.substitute(label=escape(label), value=escape(value)) for label, value in facts
    )

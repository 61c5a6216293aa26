"""Messages by e-mail: what a person gets, from a real SMTP server, and what is tried again."""

import re
import socket
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pymongo.asynchronous.database import AsyncDatabase

from exports.errors import SettingsError
from exports.mail_addresses import Sender
from exports.messages.channel import Outcome, Verdict
from exports.messages.email.channel import EmailChannel
from exports.messages.email.mail import write_mail
from exports.messages.message import Event, Message
from exports.messages.people import PeopleStore
from exports.messages.wording import HEADLINES, Language
from tests.support.leaks import CANARY
from tests.support.mail_server import PASSWORD, USER, MailServer, mail_server
from tests.support.messages import FILE_URL, message, reports, settings

Database = AsyncDatabase[dict[str, Any]]
ADDRESS = f"{CANARY}.u1@example.com"
FROM = "数据导出 <exports@example.com>"
SENDER = Sender("数据导出", "exports@example.com")
_SUBJECTS = {Event.WEBHOOK_DISABLED, Event.RECURRING_PAUSED}


def _channel(database: Database, server: MailServer, **changes: Any) -> EmailChannel:
    given = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_tls": "none"}
    return EmailChannel(database, settings(**{**given, "mail_from": FROM, **changes}), reports())


async def _told(channel: EmailChannel, sent: Message, delivery: str = "d1") -> Outcome:
    [address] = await channel.addresses("u1", sent)
    return await channel.send(sent, address.id, delivery_id=delivery)


@pytest.fixture
async def known(mongo_database: Database) -> Database:
    """A database in which the address of u1 is known."""
    await PeopleStore(mongo_database).learn("u1", email=ADDRESS)
    return mongo_database


def _parts(mail: EmailMessage) -> tuple[str, str]:
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


async def test_a_person_gets_one_mail_that_says_what_it_is_and_leads_to_the_file(
    known: Database,
) -> None:
    async with mail_server() as server:
        channel = _channel(known, server)
        [address] = await channel.addresses("u1", message())
        outcome = await channel.send(message(), address.id, delivery_id="d1")
    assert (outcome.verdict, outcome.status, outcome.answer) == (
        Verdict.DELIVERED,
        250,
        "Queued",
    )
    assert CANARY not in address.id
    assert address.shown == "c…@example.com"
    [(to, mail)] = server.received
    assert to == [ADDRESS]
    assert mail["To"] == ADDRESS
    assert mail["From"] == FROM
    assert mail["Subject"] == "Your export is ready: 月度统计 Monthly statistics, 2026-10"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime.tzinfo is not None
    text, html = _parts(mail)
    for part in (text, html):
        for fact in (
            "statsMonthly-2026-10.csv",
            "12,345",
            "4.6 MB",
            "2026-11-01 08:00 (UTC+08:00)",
        ):
            assert fact in part
        assert part.count(FILE_URL) == 1
        assert "X-Amz" not in part
    assert html.count("<a ") == 1


async def test_a_mail_that_is_sent_again_has_the_same_id_and_another_one_has_not(
    known: Database,
) -> None:
    async with mail_server() as server:
        channel = _channel(known, server)
        for delivery in ("d1", "d1", "d2"):
            await _told(channel, message(), delivery)
    first, again, other = (mail["Message-ID"] for _, mail in server.received)
    assert first == again != other
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("event", HEADLINES[Language.ENGLISH])
def test_every_event_has_its_words_in_both_languages(event: Event, language: Language) -> None:
    mail = write_mail(
        message(event), language, reports(), sender=SENDER, to="a@example.com", delivery_id="d"
    )
    text, html = _parts(mail)
    headline = HEADLINES[language][event]
    assert mail["Subject"].startswith(headline.title)
    has_file = event in {Event.DONE, Event.EXPIRING}
    for part in (text, html):
        assert headline.title in part
        assert headline.lead in part
        assert (FILE_URL in part) is has_file
    assert ("E_ROWS" in text) is (event is Event.FAILED)
    assert ("The report is gone." in text) is (event in _SUBJECTS)
    assert f'lang="{"zh-CN" if language is Language.CHINESE else "en"}"' in html
    assert all(
        len(line) <= 998 and line.isascii() for line in mail.as_bytes().decode().splitlines()
    )


def test_nothing_in_a_name_becomes_a_header_or_html() -> None:
    odd = 'a\r\nBcc: x@example.com\n\n<script>alert(1)</script> \u202egpj.exe & "q"'
    sent = message(file_name=odd, type=odd, period=odd, id=odd, file_url=f'{FILE_URL}?a="><b>')
    mail = write_mail(
        sent, Language.ENGLISH, reports(), sender=SENDER, to="a@example.com", delivery_id=odd
    )
    assert set(mail) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("Content-Language", "MIME-Version", "Content-Type"),
    }
    assert "\nBcc:" not in mail.as_string().replace("\r", "\n")
    _, html = _parts(mail)
    assert "<script" not in html
    assert "<b>" not in html
    assert "\u202e" not in mail.as_string() + html
    assert "&lt;script&gt;" in html


async def test_a_refusal_for_good_is_not_tried_again_and_any_other_is(known: Database) -> None:
    async with mail_server() as server:
        channel = _channel(known, server)
        for command, answer, verdict in (
            ("RCPT", "550 No such user", Verdict.REFUSED),
            ("RCPT", "450 Mailbox busy", Verdict.AGAIN),
            ("MAIL", "553 Sender not allowed", Verdict.REFUSED),
            ("MAIL", "530 Authentication required", Verdict.AGAIN),
            ("DATA", "554 Looks like spam", Verdict.REFUSED),
            ("DATA", "451 Try later", Verdict.AGAIN),
        ):
            server.answers = {command: answer}
            outcome = await _told(channel, message())
            assert (outcome.verdict, outcome.status) == (verdict, int(answer[:3])), answer
            assert outcome.answer == ("" if answer.startswith("530") else answer[4:])
        server.answers = {"DATA": "close"}
        outcome = await _told(channel, message())
        assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, None)


async def test_a_server_that_is_away_or_silent_is_tried_again(
    known: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exports.messages.email.channel._ATTEMPT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_port = silent.getsockname()[1]
        outcome = await _told(_channel(known, MailServer(port=silent_port)), message())
        assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, None)
    outcome = await _told(_channel(known, MailServer(port=silent_port)), message())
    assert (outcome.verdict, outcome.reason) == (Verdict.AGAIN, "The mail server can't be reached.")


async def test_mail_goes_over_tls_with_a_login(known: Database, tmp_path: Path) -> None:
    login = {"smtp_user": USER, "smtp_password": PASSWORD}
    async with mail_server(tmp_path, tls="starttls") as server:
        trusted = {"smtp_ca_bundle": server.certificate, "smtp_tls": "starttls"}
        channel = _channel(known, server, **trusted, **login)
        assert (await _told(channel, message())).verdict is Verdict.DELIVERED
    async with mail_server(tmp_path, tls="tls") as server:
        channel = _channel(known, server, smtp_ca_bundle=server.certificate, smtp_tls="tls")
        assert (await _told(channel, message())).verdict is Verdict.DELIVERED


async def test_the_operator_reads_in_the_log_why_no_mail_is_sent(
    known: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"smtp_user": USER, "smtp_password": f"{CANARY}-wrong"}
    async with mail_server(tmp_path, tls="starttls") as server:
        trusted = {"smtp_ca_bundle": server.certificate}
        for changes, logged in (
            ({**trusted, **wrong, "smtp_tls": "starttls"}, "EXPORTS_SMTP_PASSWORD"),
            ({**wrong, "smtp_tls": "starttls"}, "TLS"),
            ({**trusted, "smtp_tls": "tls"}, "TLS"),
        ):
            caplog.clear()
            outcome = await _told(_channel(known, server, **changes), message())
            assert outcome.verdict is Verdict.AGAIN
            assert logged in caplog.text
            assert CANARY not in f"{caplog.text} {outcome}"
    async with mail_server() as plain:
        caplog.clear()
        outcome = await _told(_channel(known, plain, smtp_tls="starttls"), message())
        assert outcome.verdict is Verdict.AGAIN
        assert "STARTTLS" in caplog.text
    assert server.received == plain.received == []


async def test_nobody_is_told_without_an_address(mongo_database: Database) -> None:
    channel = _channel(mongo_database, MailServer(port=9))
    assert await channel.addresses("u1", message()) == []
    outcome = await channel.send(message(), "own", delivery_id="d1")
    assert outcome.verdict is Verdict.REFUSED
    await PeopleStore(mongo_database).learn("u1", email="a@example.com")
    assert await channel.addresses("u2", message()) == []
    assert await channel.addresses("u1", message(Event.TEST)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"mail_from": "exports"},
        {"mail_from": "a@example.com, b@example.com"},
        {"mail_from": "A <a@example.com>\nBcc: b@example.com"},
        {"mail_from": None},
        {"smtp_user": "u"},
        {"smtp_user": "u", "smtp_password": "p", "smtp_tls": "none"},
    ],
)
def test_wrong_settings_are_found_at_the_start(wrong: dict[str, Any]) -> None:
    given = {"smtp_host": "mail.example.com", "mail_from": "a@example.com"}
    with pytest.raises(ValidationError):
        settings(**{**given, **wrong})


def test_certificates_that_cannot_be_read_are_found_at_the_start(
    mongo_database: Database, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="EXPORTS_SMTP_CA_BUNDLE"):
        _channel(mongo_database, MailServer(port=9), smtp_ca_bundle=tmp_path / "none.pem")


async def test_the_owner_of_a_webhook_reads_which_host_was_switched_off(known: Database) -> None:
    url = "https://hooks.example.com/path"
    await known["ExportWebhooks"].insert_one(
        {"_id": "r1", "url": url, "createdBy": "u1", "createdAt": 1}
    )
    async with mail_server() as server:
        await _told(_channel(known, server), message(Event.WEBHOOK_DISABLED))
    [(_, mail)] = server.received
    assert mail["Subject"] == "A webhook was switched off: hooks.example.com"
    assert "path" not in mail.as_string()

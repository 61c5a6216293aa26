"""The channel `email`: sends one e-mail by SMTP, to the one address of a person."""

import asyncio
import logging
import ssl
from contextlib import suppress
from email.message import EmailMessage
from typing import Final

import aiosmtplib
from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored
from exports.errors import SettingsError
from exports.mail_addresses import parse_sender
from exports.message_settings import MessageSettings
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.directory import Directory
from exports.messages.email.mail import write_mail
from exports.messages.message import Message
from exports.messages.webhook.naming import with_host
from exports.messages.wording import HEADLINES, Language, one_line
from exports.reports.report import ReportCatalog

_ATTEMPT: Final = 12.0  # seconds, of the 15 that an attempt may take
_GOODBYE: Final = 1.0  # seconds after it; the e-mail is on its way by then
_MAX_ANSWER: Final = 1024  # characters
_TAKEN: Final = 250
_PERMANENT: Final = 500
# https://www.rfc-editor.org/rfc/rfc4954#section-6
_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})
_OWN: Final = "own"
"""The id of a person's address: a retry goes to the address that the person has by then."""

_log = logging.getLogger("exports.messages.email")


class EmailChannel:
    """Sends e-mail.

    Args:
        database: The tasks' database.
        settings: The server, and who the e-mail is from.
        reports: The reports, which have titles.

    Raises:
        SettingsError: The certificates to trust can't be read.
    """

    name = "email"

    def __init__(
        self,
        database: AsyncDatabase[Stored],
        settings: MessageSettings,
        reports: ReportCatalog,
    ) -> None:
        sender = parse_sender(settings.mail_from or "")
        assert sender is not None  # noqa: S101 -- the settings have been checked
        self._sender = sender
        self._settings = settings
        self._reports = reports
        self._database = database
        self._directory = Directory(database, settings)
        try:
            self._tls = ssl.create_default_context(cafile=settings.smtp_ca_bundle)
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "EXPORTS_SMTP_CA_BUNDLE: there are no certificates to read."
            ) from None

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        """Return the address of a person, if there is one: see `Channel`."""
        if message.event not in HEADLINES[Language.ENGLISH]:
            return []
        email = (await self._directory.find(uid)).email
        return [] if email is None else [Address(_OWN, _shortened(email))]

    async def send(self, message: Message, address_id: str, *, delivery_id: str) -> Outcome:
        """Make one attempt: see `Channel`."""
        person = await self._directory.find(message.created_by)
        if person.email is None or address_id != _OWN:
            return Outcome(Verdict.REFUSED, "There is no e-mail address any more.")
        mail = write_mail(
            await with_host(message, self._database),
            person.language,
            self._reports,
            sender=self._sender,
            to=person.email,
            delivery_id=delivery_id,
        )
        try:
            return await self._attempt(mail, person.email)
        except TimeoutError:
            return Outcome(Verdict.AGAIN, f"The mail server did not answer within {_ATTEMPT:g} s.")
        except (aiosmtplib.SMTPException, OSError) as error:
            return _failed(error)

    async def _attempt(self, mail: EmailMessage, to: str) -> Outcome:
        settings = self._settings
        password = settings.smtp_password
        server = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.port_of_smtp,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=self._tls,
            username=settings.smtp_user,
            password=None if password is None else password.get_secret_value(),
            timeout=_ATTEMPT,
        )
        try:
            async with asyncio.timeout(_ATTEMPT):
                await server.connect()
                _, answer = await server.send_message(
                    mail, sender=self._sender.address, recipients=[to]
                )
            with suppress(aiosmtplib.SMTPException, OSError):
                await server.quit(timeout=_GOODBYE)
        finally:
            server.close()
        return Outcome(Verdict.DELIVERED, "The mail server took it.", _TAKEN, _answer(answer))


def _failed(error: aiosmtplib.SMTPException | OSError) -> Outcome:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]  # there was one
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or code in _LOGIN_CODES:
        _log.error(
            "The mail server refused the login (%s): check EXPORTS_SMTP_USER and "
            "EXPORTS_SMTP_PASSWORD",
            code,
        )
        return Outcome(Verdict.AGAIN, "The mail server refused the login of this service.", code)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        _log.error("The mail server's TLS can't be trusted: check EXPORTS_SMTP_TLS and _CA_BUNDLE")
        return Outcome(Verdict.AGAIN, "There was no trusted TLS connection to the mail server.")
    if code is None:  # so the text is not the server's
        _log.warning("No e-mail can be sent: %s", one_line(str(error)))
        return Outcome(Verdict.AGAIN, "The mail server can't be reached.")
    answer = _answer(error.message) if isinstance(error, aiosmtplib.SMTPException) else ""
    if code >= _PERMANENT and isinstance(
        error,
        aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPSenderRefused | aiosmtplib.SMTPDataError,
    ):
        return Outcome(Verdict.REFUSED, "The mail server refused the e-mail.", code, answer)
    return Outcome(Verdict.AGAIN, "The mail server can't take it at the moment.", code, answer)


def _answer(text: str) -> str:
    return one_line(text)[:_MAX_ANSWER]


def _shortened(email: str) -> str:
    name, _, domain = email.rpartition("@")
    return f"{name[0]}…@{domain}"

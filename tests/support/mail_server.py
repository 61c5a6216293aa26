"""A real SMTP server, aiosmtpd, in the event loop of a test: with TLS and a login, if wanted."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.leaks import CANARY

USER: Final = "exports"
PASSWORD: Final = f"{CANARY}-smtp-password"

# It logs addresses, which our own log must not have.
logging.getLogger("mail.log").setLevel(logging.ERROR)


@dataclass
class MailServer:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        certificate: The certificate to trust.
        answers: What it answers to a command, in place of its own answer: `RCPT`, `DATA`.
        received: The e-mails that it took, with the addresses that they went to.
    """

    port: int = 0
    certificate: Path | None = None
    answers: dict[str, str] = field(default_factory=dict[str, str])
    received: list[tuple[list[str], EmailMessage]] = field(
        default_factory=list[tuple[list[str], EmailMessage]]
    )

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802 -- same
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_options.extend(options)
        answer = self.answers.get("RCPT", "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 -- same
        self, server: SMTP, _: Session, envelope: Envelope
    ) -> str:
        answer = self.answers.get("DATA", "250 Queued")
        if answer == "close":
            assert server.transport is not None
            server.transport.close()
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, EmailMessage, policy=default)
        self.received.append((envelope.rcpt_tos, mail))
        return answer


def _login(_: SMTP, __: Session, ___: Envelope, mechanism: str, data: Any) -> AuthResult:
    del mechanism
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(
    folder: Path | None = None, *, tls: str = "none"
) -> AsyncGenerator[MailServer]:
    """Run a server: without TLS, or with `tls`, or with `starttls` and a login.

    Args:
        folder: Where its certificate is written.
        tls: As `EXPORTS_SMTP_TLS`.
    """
    server = MailServer()
    context: ssl.SSLContext | None = None
    options: dict[str, Any] = {}
    if tls != "none":
        assert folder is not None
        server.certificate = _certificate(folder)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(server.certificate)
    if tls == "starttls":
        options.update(tls_context=context, require_starttls=True)
        options.update(authenticator=_login, auth_required=True)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: SMTP(server, hostname="mail.test", loop=loop, **options),
        host="127.0.0.1",
        port=0,
        ssl=context if tls == "tls" else None,
    )
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


def _certificate(folder: Path) -> Path:
    """Write the certificate and the key of 127.0.0.1 into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "mail-server.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path

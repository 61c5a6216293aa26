"""A certificate authority for one test, and a server certificate signed by it."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dev.endpoints import BUCKET
from dev.ports import LOOPBACK

_LIFE: Final = timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """What a TLS server and its clients need.

    Attributes:
        ca: The file of the authority's certificate (PEM).
        server: The TLS context of a server for the bucket at the loopback address.
    """

    ca: Path
    server: ssl.SSLContext

    @classmethod
    def made_in(cls, folder: Path, *names: str) -> "Certificates":
        """Make both, with new keys; the server has these names as well."""
        authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        authority = _named("The tests' authority")
        own = (
            _certificate(authority, authority, authority_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        servers = (
            _certificate(_named("An object store"), authority, server_key)
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.IPAddress(IPv4Address(LOOPBACK)),
                        *map(x509.DNSName, ("localhost", f"{BUCKET}.localhost", *names)),
                    ]
                ),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        ca, chain = folder / "ca.pem", folder / "server.pem"
        ca.write_bytes(own.public_bytes(pem))
        chain.write_bytes(
            server_key.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + servers.public_bytes(pem)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return cls(ca, context)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
    )


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )

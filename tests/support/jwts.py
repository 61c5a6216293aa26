"""Signs JWTs as an identity provider does, and serves its public keys."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from exports.clock import now_ms
from tests.support.leaks import CANARY

ISSUER, AUDIENCE = "https://login.example", "exports"
SECRET: Final = f"{CANARY}-secret-of-32-bytes-or-more"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid token of u1; a claim that is None is left out."""
    now = now_ms() // 1000
    given = {"sub": "u1", "iss": ISSUER, "aud": AUDIENCE, "exp": now + 600, **changes}
    return {name: value for name, value in given.items() if value is not None}


def by_secret(**changes: Any) -> str:
    return jwt.encode(claims(**changes), SECRET, "HS256")


def by_key(key: Any = KEY, kid: str | None = "first", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, "ES256", headers={"kid": kid} if kid else None)


class Provider:
    """An identity provider that serves its public keys, and counts how often it is asked."""

    def __init__(self) -> None:
        public = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        self.asked = 0
        self.status = 200
        self.keys = {"keys": [{**public, "kid": "first", "alg": "ES256", "use": "sig"}]}
        self.url = ""


@contextmanager
def provider() -> Generator[Provider]:
    """Run an identity provider."""
    found = Provider()

    class _Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(json.dumps(found.keys).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/keys"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()

"""A stand-in for what gives credentials to roles of Tencent Cloud.

It answers as the metadata service of a virtual machine (CVM), and as the security token service
(STS) that a pod of TKE asks.
"""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROLE = "exports-worker"


@dataclass
class Roles:
    """What it gives.

    Attributes:
        url: Its address.
        lives: How many seconds the credentials of each answer are valid; with none left, the
            answer is an error.
        asked: Headers and body of the requests to STS.
        given: How many credentials it has given.
    """

    url: str = ""
    lives: list[float] = field(default_factory=list[float])
    asked: list[tuple[dict[str, str], dict[str, Any]]] = field(
        default_factory=list[tuple[dict[str, str], dict[str, Any]]]
    )
    given: int = 0

    def credentials(self) -> dict[str, Any] | None:
        """Return the next ones; their names have a number."""
        if not self.lives:
            return None
        self.given += 1
        return {
            "TmpSecretId": f"id-{self.given}",
            "TmpSecretKey": f"key-{self.given}",
            "Token": f"token-{self.given}",
            "ExpiredTime": int(time.time() + self.lives.pop(0)),
        }


@contextmanager
def tencent_roles(*lives: float) -> Generator[Roles]:
    """Run the stand-in.

    Args:
        lives: How many seconds the credentials of each answer are valid.
    """
    roles = Roles(lives=list(lives))

    class _Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(ROLE):
                found = roles.credentials()
                self._answer(json.dumps({**found, "Code": "Success"}) if found else None)
            else:
                self._answer(ROLE)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            roles.asked.append((dict(self.headers), json.loads(body)))
            found = roles.credentials()
            if found is None:
                self._answer('{"Response": {"Error": {"Code": "UnauthorizedOperation"}}}')
                return
            end = found.pop("ExpiredTime")
            answer = {"Credentials": found, "ExpiredTime": end}
            self._answer(json.dumps({"Response": answer}))

        def _answer(self, text: str | None) -> None:
            self.send_response(200 if text else 404)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        roles.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield roles
        finally:
            server.shutdown()
            thread.join()

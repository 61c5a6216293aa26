"""`make audit` lists vulnerable packages, and fails if it can't ask the service that knows them.

Tests can't reach that service. A local server answers instead, in its protocol:
https://google.github.io/osv.dev/api/.
"""

import json
import os
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.paths import REPOSITORY

_ID = "GHSA-0000-0000-0000"


def _service(vulnerable: str | None) -> type[BaseHTTPRequestHandler]:
    """Return a server that knows one vulnerable package, or none."""

    class Handler(BaseHTTPRequestHandler):
        asked: list[str] = []  # noqa: RUF012 -- each server has a class of its own

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = [query["package"]["name"] for query in body["queries"]]
            self.asked.extend(names)
            self._answer(
                {
                    "results": [
                        {"vulns": [{"id": _ID, "modified": _WHEN}]} if name == vulnerable else {}
                        for name in names
                    ]
                }
            )

        def do_GET(self) -> None:
            package = {"ecosystem": "PyPI", "name": vulnerable}
            affected = {"package": package, "versions": ["1.10.0"]}
            self._answer(
                {"id": _ID, "modified": _WHEN, "summary": "Made up", "affected": [affected]}
            )

        def _answer(self, answer: object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
            pass

    return Handler


_WHEN = "2026-01-01T00:00:00Z"


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _audit(service: str) -> "subprocess.CompletedProcess[str]":
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    environment = {name: text for name, text in os.environ.items() if name not in proxies}
    return subprocess.run(  # noqa: S603 -- our own Makefile
        ["make", "--no-print-directory", "audit", f"SERVICE={service}"],  # noqa: S607 -- wherever the system has it
        cwd=REPOSITORY,
        env=environment | {"UV_HTTP_RETRIES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_locked_package_is_looked_up() -> None:
    handler = _service(vulnerable=None)
    with _running(handler) as address:
        audit = _audit(address)
    assert audit.returncode == 0, audit.stderr
    asked: list[str] = getattr(handler, "asked", [])
    assert {"temporalio", "cryptography", "starlette", "pytest"} <= set(asked)


def test_a_vulnerable_package_is_named_and_fails_the_audit() -> None:
    with _running(_service(vulnerable="starlette")) as address:
        audit = _audit(address)
    assert audit.returncode != 0
    assert "starlette" in audit.stdout
    assert _ID in audit.stdout
    assert "NOTHING WAS AUDITED" not in audit.stderr


def test_the_audit_fails_if_the_service_cannot_be_reached() -> None:
    audit = _audit("http://127.0.0.1:9")
    assert audit.returncode != 0
    assert "NOTHING WAS AUDITED" in audit.stderr

"""Runs `exports codec-server` as a process, and sends it any request."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from tests.support import leaks
from tests.support.paths import REPOSITORY

TOKEN = f"{leaks.CANARY}-token-of-the-codec-server"


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.json["ok"] is False
        code: str = self.json["error"]["code"]
        return code


@dataclass(frozen=True)
class CodecServer:
    """A running server."""

    address: str

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request. Underscores in the names of headers become dashes."""
        connection = HTTPConnection(self.address, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, received, answer.read())
        finally:
            connection.close()

    def decode(self, body: object, **headers: str) -> Answer:
        """Send a request to decode, with the token."""
        given = {"authorization": f"Bearer {TOKEN}"} | headers
        return self.ask("POST", "/decode", json.dumps(body).encode(), **given)


@contextmanager
def running(**settings: str) -> Generator[tuple[CodecServer, list[str]]]:
    """Run a server. Its log is in the list when it has ended."""
    log: list[str] = []
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"EXPORTS_CODEC_TOKEN": TOKEN, "EXPORTS_CODEC_LISTEN": "127.0.0.1:0"}
    with subprocess.Popen(
        [sys.executable, "-m", "exports.cli.app", "codec-server"],
        cwd=REPOSITORY,
        env=environment | settings,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        try:
            first = process.stderr.readline()
            log.append(first)
            found = re.search(r"listens on http://(127\.0\.0\.1:\d+)$", first.strip())
            assert found, first + process.stderr.read()
            yield CodecServer(found[1]), log
        finally:
            process.send_signal(signal.SIGTERM)
            log += process.stderr.read().splitlines()
            process.wait()
            leaks.keep("codec-server", "\n".join(log))

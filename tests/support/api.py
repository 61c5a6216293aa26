"""Runs the HTTP API in the event loop of a test, on a socket, and asks it."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI

from exports.api.app import build_app
from exports.api.server import ApiServer
from exports.api.settings import ApiSettings
from exports.tokens import TokenStore
from tests.support.service import Service

# It logs the addresses of all requests, and so the links to files.
logging.getLogger("httpx2").setLevel(logging.WARNING)

OWNER, STRANGER, OPERATOR = "u1", "u2", "op"
GRACE = 30.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of a server without TLS: without it, each client reads all certificates there are."""
_DOCUMENT: dict[str, Any] = {}
"""The OpenAPI document, which is the same for all. Making it takes more than most tests."""


@dataclass(frozen=True)
class Api:
    """A running API, with a token for each of three people."""

    app: FastAPI
    server: ApiServer
    url: str
    tokens: TokenStore
    token: Mapping[str, str] = field(repr=False)
    http: httpx2.AsyncClient = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a client, as `make dev` writes them."""
        return {"EXPORTS_API_URL": self.url, "EXPORTS_API_TOKEN": self.token[OWNER]}

    def bearer(self, who: str = OWNER) -> dict[str, str]:
        """Return the header of a person's requests."""
        return {"Authorization": f"Bearer {self.token[who]}"}

    async def ask(
        self, method: str, path: str, who: str | None = OWNER, **given: Any
    ) -> httpx2.Response:
        """Send a request of a person; None for nobody."""
        headers = {**({} if who is None else self.bearer(who)), **given.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **given)


@asynccontextmanager
async def open_api(service: Service, **settings: Any) -> AsyncGenerator[Api]:
    """Run the API for a service, with settings of `ApiSettings`."""
    api = ApiSettings(**settings)
    app = build_app(
        client=service.client,
        connections=service.connections,
        settings=service.settings,
        api=api,
    )
    if not _DOCUMENT:
        _DOCUMENT.update(app.openapi())
    app.openapi_schema = _DOCUMENT
    server = ApiServer(app, api, grace=GRACE)
    tokens = TokenStore(service.database)
    made = {
        who: (await tokens.create(who, operator=who == OPERATOR))[0]
        for who in (OWNER, STRANGER, OPERATOR)
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Not `serve`, which would take the signals of the test run.
        serving = asyncio.create_task(server._serve(sockets=[listener]))  # noqa: SLF001 -- see above
        try:
            while not server.started:
                await asyncio.sleep(0.01)
                if serving.done():
                    await serving
            async with httpx2.AsyncClient(base_url=url, verify=_NO_TLS, timeout=60) as http:
                yield Api(app, server, url, tokens, made, http)
        finally:
            server.should_exit = True
            await serving

"""The web server of the API: uvicorn, with what it does not do by itself."""

import logging
import socket
from contextlib import AsyncExitStack
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from exports import names
from exports.api.app import build_app
from exports.api.errors import answer_of
from exports.api.settings import ApiSettings
from exports.client import ExportClient
from exports.connections import Connections
from exports.errors import RequestError
from exports.reports.file import load_reports
from exports.runtime.listening import open_socket, url_of
from exports.settings import Settings

_log = logging.getLogger("exports.api")

_KEEP_ALIVE: Final = 75
"""Seconds that an idle connection stays open: longer than with proxies, which would otherwise send
requests into connections that are just being closed."""
_NOT_HTTP: Final = answer_of(RequestError("This is not a valid HTTP request."))


class _Protocol(H11Protocol):
    """Answers what is not HTTP, such as a header with a NUL, like any other wrong request."""

    def send_400_response(self, msg: str) -> None:
        """Answer, and close the connection."""
        del msg
        body = bytes(_NOT_HTTP.body)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


class ApiServer(uvicorn.Server):
    """Serves the API.

    When it stops, it first sets `app.state.stopping`, then waits for what is not finished, for as
    long as the grace period. uvicorn alone would wait for streams of events until they are cut off.

    Args:
        app: What `build_app` returned.
        settings: Of the API.
        grace: The grace period, in seconds.
    """

    def __init__(self, app: FastAPI, settings: ApiSettings, *, grace: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                access_log=False,  # `exports.api.boundary` logs, without the query
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                forwarded_allow_ips=settings.api_proxies,
                timeout_graceful_shutdown=max(1, round(grace)),
            )
        )
        self._stopping = app.state.stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._stopping.set()
        await super().shutdown(sockets)


async def run(settings: Settings, api: ApiSettings) -> None:
    """Connect to all servers, and serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: The address can't be listened on.
        ExportError: What `ExportClient.connect` raises.
    """
    reports = load_reports(settings.reports_file)
    async with AsyncExitStack() as closing:
        listener = closing.enter_context(open_socket(api.api_listen, setting="EXPORTS_API_LISTEN"))
        connections = await Connections.open(settings, closing)
        client = ExportClient(
            connections=connections,
            settings=settings,
            reports=reports,
            closing=closing,
            origin=names.FROM_API,
        )
        app = build_app(client=client, connections=connections, settings=settings, api=api)
        _log.info("The API listens on %s", url_of(listener))
        grace = settings.shutdown_grace.total_seconds()
        await ApiServer(app, api, grace=grace).serve(sockets=[listener])

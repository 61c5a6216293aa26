"""The web server of the API: uvicorn, with what it does not do by itself."""

import socket
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from exports.api.errors import answer_of
from exports.api.settings import ApiSettings
from exports.errors import RequestError

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
                forwarded_allow_ips=settings.api_proxies,
                timeout_graceful_shutdown=max(1, round(grace)),
            )
        )
        self._stopping = app.state.stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._stopping.set()
        await super().shutdown(sockets)

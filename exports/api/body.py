"""Receives the body of a request before anything else is done: bounded in bytes and in time."""

import asyncio
from email.message import Message as Header
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exports.api.errors import answer_of
from exports.errors import ExportError, MediaTypeError, RequestError, TooLargeError

MAX_BODY_BYTES: Final = 1024 * 1024
"""Longest body of a request."""
_BODY_TIMEOUT: Final = 20.0  # seconds


class _GoneError(Exception):
    """The client has closed the connection."""


class WholeBody:
    """Hands on a request when its body has arrived.

    Args:
        app: What is inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await _received(Headers(scope=scope), receive)
        except ExportError as error:
            await answer_of(error)(scope, receive, send)
            return
        except _GoneError:
            return
        handed_on = False

        async def receive_whole() -> Message:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_whole, send)


async def _received(headers: Headers, receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    # uvicorn has refused what is not a number.
    if int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    if declared == "0" and "transfer-encoding" not in headers:
        return b""
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _GoneError
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
                more = message.get("more_body", False)
    except TimeoutError:
        raise RequestError(f"The body did not arrive within {_BODY_TIMEOUT:.0f} s.") from None
    if body and not _is_json(headers.get("content-type", "")):
        raise MediaTypeError("The body must be JSON, with Content-Type: application/json.")
    return bytes(body)


def _is_json(content_type: str) -> bool:
    header = Header()
    header["content-type"] = content_type
    return header.get_content_type() == "application/json"


def _too_large() -> TooLargeError:
    return TooLargeError(f"The body is too long; the limit is {MAX_BODY_BYTES:,} bytes.")

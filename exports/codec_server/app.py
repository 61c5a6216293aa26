"""`exports codec-server`: decrypts payloads for the Temporal Web UI and the `temporal` command.

The protocol: https://docs.temporal.io/production-deployment/data-encryption#codec-server-setup.
Who knows the token gets in: as a bearer token, which the `temporal` command sends
(`--codec-auth`), or with a cookie that the page of this server gives for it, which the Web UI
sends along. Pages of other origins than the stated ones get no answer.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qs

from google.protobuf.json_format import MessageToDict
from pydantic import Base64Bytes, BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload

from exports.codec_server.settings import CodecSettings
from exports.encryption.codec import EncryptionCodec
from exports.errors import (
    CodecAccessError,
    EncryptionKeyError,
    ExportError,
    RequestError,
    explain,
    refused,
)

# Temporal takes 4 MB in one message: limit.grpcMessage. In base64, with what is around it:
MAX_BODY: Final = 8 * 1024 * 1024
"""Longest body of a request, in bytes."""

_MAX_FORM: Final = 4096
_MAX_PAYLOADS: Final = 10_000
_BODY_WITHIN: Final = 20.0  # seconds
_SESSION: Final = 12 * 60 * 60  # seconds
_SIGNED_IN: Final = "in"
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Codec server</title>
<style>body {{ font: 16px sans-serif; margin: 4em auto; max-width: 30em }}</style>
<h1>Codec server</h1><p>{said}</p>
<form method="post" action="sign-in"><label>Token
<input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Sign in</button></form></html>"""
_HARMLESS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)
_Endpoint = Callable[[Request], Awaitable[Response]]


class _TooLongError(RequestError):
    pass


_STATUS: Final[dict[type[ExportError], int]] = {
    CodecAccessError: 401,
    _TooLongError: 413,
    EncryptionKeyError: 422,
}


class _PayloadView(BaseModel):
    """A payload in protobuf's JSON: bytes are base64."""

    metadata: dict[str, Base64Bytes] = Field(default_factory=dict)
    data: Base64Bytes = b""


class _PayloadsView(BaseModel):
    payloads: list[_PayloadView] = Field(max_length=_MAX_PAYLOADS)


class _Doors:
    """Knows who may come in.

    Args:
        settings: With the token.
    """

    def __init__(self, settings: CodecSettings) -> None:
        self._token = settings.codec_token.get_secret_value().encode()
        self._origins = frozenset(settings.codec_origins)

    @property
    def session_key(self) -> str:
        """Signs cookies: with another token, nobody is signed in any more."""
        return hmac.new(self._token, b"session", hashlib.sha256).hexdigest()

    def opens(self, token: str) -> bool:
        """Return whether this is the token."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def check(self, request: Request) -> None:
        """Let a request pass.

        Raises:
            CodecAccessError: It has neither the token nor the cookie, or comes from a page that
                is not among the stated ones.
        """
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise CodecAccessError(
                "Pages of this origin may not ask; EXPORTS_CODEC_ORIGINS lists those that may."
            )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.opens(token.strip()):
            return
        if not request.session.get(_SIGNED_IN):
            raise CodecAccessError(
                "Send the header Authorization: Bearer TOKEN, or sign in on the page of this "
                "server and let the Web UI include cross-origin credentials."
            )


def application(settings: CodecSettings) -> Starlette:
    """Return the codec server as an ASGI application."""
    codec, doors = EncryptionCodec(settings.keys), _Doors(settings)

    async def decode(request: Request) -> Response:
        doors.check(request)
        return _answer(await codec.decode(await _payloads(request)))

    async def encode(request: Request) -> Response:
        doors.check(request)
        return _answer(await codec.encode(await _payloads(request)))

    async def page(request: Request) -> Response:
        signed_in = bool(request.session.get(_SIGNED_IN))
        return _page("You are signed in." if signed_in else "Who knows the token may read.")

    async def sign_in(request: Request) -> Response:
        form = parse_qs((await _body(request, _MAX_FORM)).decode(errors="replace"))
        if not doors.opens(form.get("token", [""])[0]):
            return _page("That is not the token.", 401)
        request.session[_SIGNED_IN] = True
        return RedirectResponse("./", 303, headers=_HARMLESS)

    async def health(_: Request) -> Response:
        return JSONResponse({"ok": True})

    origins = settings.codec_origins
    return Starlette(
        routes=[
            Route("/decode", _in_words(decode), methods=["POST"]),
            Route("/encode", _in_words(encode), methods=["POST"]),
            Route("/", _in_words(page), methods=["GET"]),
            Route("/sign-in", _in_words(sign_in), methods=["POST"]),
            Route("/healthz", health, methods=["GET"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_credentials=True,
                allow_methods=["POST"],
                allow_headers=["Authorization", "Content-Type", "X-Namespace"],
            ),
            Middleware(
                SessionMiddleware,
                secret_key=doors.session_key,
                session_cookie="exports_codec",
                max_age=_SESSION,
                same_site="strict",
                https_only=any(origin.startswith("https:") for origin in origins),
            ),
        ],
        exception_handlers={HTTPException: _no_such_thing},
    )


def _in_words(endpoint: _Endpoint) -> _Endpoint:
    """Let whatever goes wrong be an answer in JSON, and nothing of it be logged but its kind."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ExportError as error:
            return _refusal(error, _STATUS.get(type(error), 400))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 -- its text may hold what was decrypted
            _log.error("Unexpected error: %s", type(error).__name__)
            return _refusal(ExportError("Something went wrong inside this server."), 500)

    return answered


async def _no_such_thing(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _refusal(
        RequestError("This server answers POST /decode, POST /encode, GET / and GET /healthz."),
        status,
    )


async def _payloads(request: Request) -> list[Payload]:
    try:
        view = _PayloadsView.model_validate_json(await _body(request, MAX_BODY))
    except ValidationError as error:
        raise RequestError(
            f'The body is {{"payloads": [...]}} in protobuf\'s JSON; {explain(error)}.'
        ) from None
    return [Payload(metadata=one.metadata, data=one.data) for one in view.payloads]


async def _body(request: Request, longest: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            async for piece in request.stream():
                body += piece
                if len(body) > longest:
                    raise _TooLongError(f"The body has more than {longest:,} bytes.")
    except TimeoutError:
        raise RequestError(f"The body did not come within {_BODY_WITHIN:.0f} s.") from None
    return bytes(body)


def _answer(payloads: list[Payload]) -> Response:
    found = [MessageToDict(payload) for payload in payloads]
    return JSONResponse({"payloads": found}, headers=_HARMLESS)


def _page(said: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(said=said), status, headers=_HARMLESS)


def _refusal(error: ExportError, status: int) -> Response:
    return JSONResponse(refused(error), status, headers=_HARMLESS)

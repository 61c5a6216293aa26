"""`exports codec-server`: decrypts payloads for the Temporal Web UI and the `temporal` command.

The protocol: https://docs.temporal.io/production-deployment/data-encryption#codec-server-setup.
A request needs the token: either as a bearer token, which the `temporal` command sends
(`--codec-auth`), or as a session cookie. A person who signs in with the token on the page of this
server gets the cookie, and the Web UI sends it. Pages of origins that are not in
`EXPORTS_CODEC_ORIGINS` are refused.
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

# Temporal's limit is 4 MB per gRPC message; base64 and JSON make that larger by less than half.
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Longest body of a request."""

_MAX_FORM_BYTES: Final = 4096
_MAX_PAYLOADS: Final = 10_000
_BODY_TIMEOUT: Final = 20.0  # seconds
_SESSION_AGE: Final = 12 * 60 * 60  # seconds
_SIGNED_IN: Final = "in"
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Codec server</title>
<style>body {{ font: 16px sans-serif; margin: 4em auto; max-width: 30em }}</style>
<h1>Codec server</h1><p>{message}</p>
<form method="post" action="sign-in"><label>Token
<input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Sign in</button></form></html>"""
_SECURITY_HEADERS: Final = {
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


class _BodyTooLongError(RequestError):
    pass


_STATUS: Final[dict[type[ExportError], int]] = {
    CodecAccessError: 401,
    _BodyTooLongError: 413,
    EncryptionKeyError: 422,
}


class _PayloadView(BaseModel):
    """A payload in the JSON of protobuf, where bytes are base64."""

    metadata: dict[str, Base64Bytes] = Field(default_factory=dict)
    data: Base64Bytes = b""


class _PayloadsView(BaseModel):
    payloads: list[_PayloadView] = Field(max_length=_MAX_PAYLOADS)


class _Access:
    """Checks the token, the session and the origin of requests.

    Args:
        settings: The token, and the origins that are allowed.
    """

    def __init__(self, settings: CodecSettings) -> None:
        self._token = settings.codec_token.get_secret_value().encode()
        self._origins = frozenset(settings.codec_origins)

    @property
    def session_key(self) -> str:
        """The key that signs cookies. It depends on the token: a new token ends all sessions."""
        return hmac.new(self._token, b"session", hashlib.sha256).hexdigest()

    def is_token(self, token: str) -> bool:
        """Return whether this is the token."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def check(self, request: Request) -> None:
        """Check that a request is allowed.

        Raises:
            CodecAccessError: It has neither the token nor the cookie, or comes from a page of
                another origin.
        """
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise CodecAccessError(
                "Pages of this origin are not allowed; EXPORTS_CODEC_ORIGINS lists those that are."
            )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(token.strip()):
            return
        if not request.session.get(_SIGNED_IN):
            raise CodecAccessError(
                "The token is missing or wrong: send the header Authorization: Bearer TOKEN, or "
                "sign in on the page of this server and let the Web UI include cross-origin "
                "credentials."
            )


def application(settings: CodecSettings) -> Starlette:
    """Return the codec server as an ASGI application."""
    codec, access = EncryptionCodec(settings.keys), _Access(settings)

    async def decode(request: Request) -> Response:
        access.check(request)
        return _answer(await codec.decode(await _payloads(request)))

    async def encode(request: Request) -> Response:
        access.check(request)
        return _answer(await codec.encode(await _payloads(request)))

    async def page(request: Request) -> Response:
        signed_in = bool(request.session.get(_SIGNED_IN))
        return _page(
            "You are signed in." if signed_in else "Sign in to see payloads in the Web UI."
        )

    async def sign_in(request: Request) -> Response:
        form = parse_qs((await _body(request, _MAX_FORM_BYTES)).decode(errors="replace"))
        if not access.is_token(form.get("token", [""])[0]):
            return _page("The token is wrong.", 401)
        request.session[_SIGNED_IN] = True
        return RedirectResponse("./", 303, headers=_SECURITY_HEADERS)

    async def health(_: Request) -> Response:
        return JSONResponse({"ok": True})

    origins = settings.codec_origins
    return Starlette(
        routes=[
            Route("/decode", _with_json_errors(decode), methods=["POST"]),
            Route("/encode", _with_json_errors(encode), methods=["POST"]),
            Route("/", _with_json_errors(page), methods=["GET"]),
            Route("/sign-in", _with_json_errors(sign_in), methods=["POST"]),
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
                secret_key=access.session_key,
                session_cookie="exports_codec",
                max_age=_SESSION_AGE,
                same_site="strict",
                https_only=any(origin.startswith("https:") for origin in origins),
            ),
        ],
        exception_handlers={HTTPException: _not_found},
    )


def _with_json_errors(endpoint: _Endpoint) -> _Endpoint:
    """Answer every error with JSON, and log only its class."""

    async def wrapped(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ExportError as error:
            return _error_response(error, _STATUS.get(type(error), 400))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 -- its text may contain decrypted data
            _log.error("Unexpected error: %s", type(error).__name__)
            return _error_response(
                ExportError("There was an unexpected error inside this server."), 500
            )

    return wrapped


async def _not_found(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _error_response(
        RequestError(
            "Not found: this server has POST /decode, POST /encode, GET / and GET /healthz."
        ),
        status,
    )


async def _payloads(request: Request) -> list[Payload]:
    try:
        view = _PayloadsView.model_validate_json(await _body(request, MAX_BODY_BYTES))
    except ValidationError as error:
        raise RequestError(
            f'The body must be {{"payloads": [...]}} in the JSON of protobuf; {explain(error)}.'
        ) from None
    return [Payload(metadata=payload.metadata, data=payload.data) for payload in view.payloads]


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise _BodyTooLongError(
                        f"The body is too long; the limit is {max_bytes:,} bytes."
                    )
    except TimeoutError:
        raise RequestError(f"The body did not arrive within {_BODY_TIMEOUT:.0f} s.") from None
    return bytes(body)


def _answer(payloads: list[Payload]) -> Response:
    shown = [MessageToDict(payload) for payload in payloads]
    return JSONResponse({"payloads": shown}, headers=_SECURITY_HEADERS)


def _page(message: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(message=message), status, headers=_SECURITY_HEADERS)


def _error_response(error: ExportError, status: int) -> Response:
    return JSONResponse(refused(error), status, headers=_SECURITY_HEADERS)

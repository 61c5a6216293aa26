"""`/session`: a browser changes a token for a cookie that no script can read."""

import math
from typing import Final

from fastapi import APIRouter, Request, Response

from exports.api.answers import Ok
from exports.api.errors import documented, documented_write
from exports.api.me import Me, me_of
from exports.api.parts import PartsOfApp
from exports.api.who import SESSION_COOKIE, Asks, MayAsk, Person
from exports.clock import as_seconds, now_ms
from exports.errors import RequestError

router = APIRouter(prefix="/session", tags=["session"])
_HTTPS: Final = "https"


@router.post(
    "",
    operation_id="openSession",
    summary="Sign a browser in",
    responses=documented_write(),
)
async def open_session(
    request: Request, response: Response, parts: PartsOfApp, person: Asks
) -> Ok[Me]:
    """Set a cookie with which this browser asks from now on, in place of the token.

    It lasts 12 hours at most, and no longer than the token. Whatever changes something with it must
    come from a page of the same origin.
    """
    if person.by_session:
        raise RequestError("A session is opened with a token: Authorization: Bearer TOKEN.")
    text, session = await parts.tokens.open_session(
        person.uid, operator=person.operator, ends=person.expires_at, parent=person.token
    )
    ends = session.expires_at or 0
    response.set_cookie(
        SESSION_COOKIE,
        text,
        max_age=max(0, math.floor(as_seconds(ends - now_ms()))),
        httponly=True,
        samesite="strict",
        secure=_is_https(request, parts),
    )
    signed_in = Person(session.uid, session.operator, session.expires_at)
    return Ok(data=me_of(signed_in, parts))


@router.get(
    "",
    operation_id="getSession",
    summary="Is this browser signed in?",
    responses=documented(),
    openapi_extra={"security": [{}]},  # or none
)
async def get_session(parts: PartsOfApp, person: MayAsk) -> Ok[Me | None]:
    """Return who is signed in with this browser; null if nobody is, or not any more."""
    return Ok(data=None if person is None else me_of(person, parts))


@router.delete(
    "",
    operation_id="closeSession",
    summary="Sign a browser out",
    responses=documented_write(),
)
async def close_session(
    request: Request, response: Response, parts: PartsOfApp, person: Asks
) -> Ok[None]:
    """End the session of this browser. A token stays as it is."""
    if person.by_session and person.token is not None:
        await parts.tokens.revoke(person.token)
    response.delete_cookie(
        SESSION_COOKIE, httponly=True, samesite="strict", secure=_is_https(request, parts)
    )
    return Ok(data=None)


def _is_https(request: Request, parts: PartsOfApp) -> bool:
    ours = parts.settings.api_origin or request.url.scheme
    return ours.startswith(_HTTPS)

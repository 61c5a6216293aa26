"""Who asks: from a bearer token, or from the session of a browser, never from a body."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from exports.api.parts import Parts, parts_of
from exports.errors import (
    OperatorError,
    OriginError,
    RateError,
    RequestError,
    TokenError,
    in_one_line,
    problems,
)

SESSION_COOKIE: Final = "exports_session"
"""Name of the cookie of a browser's session."""

_READS: Final = frozenset({"GET", "HEAD"})
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A JWT, or a token that `exports token create` made.",
)
_cookie = APIKeyCookie(
    name=SESSION_COOKIE,
    auto_error=False,
    scheme_name="session",
    description="The session of a browser, which `POST /session` opens.",
)


@dataclass(frozen=True)
class Person:
    """Who asks.

    Attributes:
        uid: Their name, as in `createdBy`.
        operator: Whether they are an operator, who sees the exports of everybody.
        expires_at: When their token or session ends (epoch milliseconds); None if it does not.
        token: The id of their token, or of their session, if it is one of ours.
        by_session: Whether they asked with the session of a browser.
    """

    uid: str
    operator: bool
    expires_at: int | None
    token: str | None = None
    by_session: bool = False

    @property
    def sees(self) -> str | None:
        """Whose exports they see: `created_by` of `ExportClient`; None for everybody's."""
        return None if self.operator else self.uid


async def _who(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Person:
    parts = parts_of(request)
    if bearer is not None:
        person = await _of_token(parts, bearer.credentials)
    elif cookie is not None:
        person = await _of_session(parts, cookie)
        if request.method not in _READS:
            _check_origin(request, parts.settings.api_origin)
    else:
        raise TokenError("A token is needed: Authorization: Bearer TOKEN.")
    request.state.person = person  # for the log
    wait = parts.rate.wait(person.uid)
    if wait:
        raise RateError("There were too many requests; wait a little.", retry_after=wait)
    _check_query(request)
    return person


async def _who_if_anybody(
    request: Request, cookie: Annotated[str | None, Depends(_cookie)]
) -> Person | None:
    if cookie is None:
        return None
    try:
        return await _of_session(parts_of(request), cookie)
    except TokenError:
        return None


async def _of_token(parts: Parts, text: str) -> Person:
    if text.startswith("exp_"):
        token = await parts.tokens.find(text)
        if token is not None and not token.session:
            await parts.learning.learn(token.uid, email=token.email)
            return Person(token.uid, token.operator, token.expires_at, token.id)
    elif parts.jwts is not None:
        claims = await parts.jwts.check(text)
        await parts.learning.learn(claims.uid, email=claims.email, language=claims.language)
        return Person(claims.uid, claims.operator, claims.expires_at)
    raise TokenError("The token is not valid here.")


async def _of_session(parts: Parts, text: str) -> Person:
    token = await parts.tokens.find(text)
    if token is None or not token.session:
        raise TokenError("The session has ended; sign in again.")
    return Person(token.uid, token.operator, token.expires_at, token.id, by_session=True)


def _check_origin(request: Request, ours: str | None) -> None:
    """Check that a browser sent this from a page of ours: only pages of ours may change anything.

    A page can't forge `Origin` or `Sec-Fetch-Site`.

    Raises:
        OriginError: It did not, or does not say so.
    """
    origin = request.headers.get("origin")
    if origin is None:
        allowed = request.headers.get("sec-fetch-site") == "same-origin"
    else:
        found = urlsplit(str(request.base_url))
        allowed = origin in {ours, f"{found.scheme}://{found.netloc}"}
    if not allowed:
        raise OriginError("Only pages of this origin may change something with a session.")


def require_operator(person: Person) -> None:
    """Refuse everybody else.

    Raises:
        OperatorError: They are not an operator.
    """
    if not person.operator:
        raise OperatorError("Only an operator may do this.")


def whose(person: Person, created_by: str | None) -> str | None:
    """Return whose exports somebody asks for, as `created_by` of `ExportClient`.

    Args:
        person: Who asks.
        created_by: Whose they want; None for all that they see.

    Raises:
        OperatorError: They may not see those.
    """
    if created_by not in {None, person.uid}:
        require_operator(person)
    return person.sees if created_by is None else created_by


def _check_query(request: Request) -> None:
    """Refuse parameters that a call does not have: a mistake in `dry_run` must not create.

    Raises:
        RequestError: There is one.
    """
    call = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = {given["name"] for given in call.get("parameters", ()) if given["in"] == "query"}
    found = problems(
        {"loc": (name,), "type": "extra_forbidden", "msg": ""}
        for name in request.query_params
        if name not in known
    )
    if found:
        raise RequestError(f"The query is not valid: {in_one_line(found)}.", fields=found)


Asks = Annotated[Person, Depends(_who)]
"""Who asks, for a route."""
MayAsk = Annotated[Person | None, Depends(_who_if_anybody)]
"""Who is signed in with this browser, for a route that is for others as well."""

"""What the routes need, made once by `build_app`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from exports.api.jwts import JwtVerifier
from exports.api.learning import Learning
from exports.api.rate import RateLimit
from exports.api.readiness import Readiness
from exports.api.settings import ApiSettings
from exports.api.streams import Streams
from exports.client import ExportClient
from exports.tokens import TokenStore


@dataclass(frozen=True)
class Parts:
    """What the routes need.

    Attributes:
        client: Does the work.
        settings: Of the API.
        tokens: Our own tokens.
        jwts: Checks JWTs; None if they are not accepted here.
        learning: Stores what tokens say of people.
        rate: Counts the requests of each person.
        readiness: Asks whether the servers answer.
        streams: The open streams of events.
        web_ui: The address of the exports in the Temporal Web UI; None if it is not set.
    """

    client: ExportClient
    settings: ApiSettings
    tokens: TokenStore
    jwts: JwtVerifier | None
    learning: Learning
    rate: RateLimit
    readiness: Readiness
    streams: Streams
    web_ui: str | None


def parts_of(request: Request) -> Parts:
    """Return what `build_app` made."""
    found: Parts = request.app.state.parts
    return found


def _client_of(request: Request) -> ExportClient:
    return parts_of(request).client


PartsOfApp = Annotated[Parts, Depends(parts_of)]
Client = Annotated[ExportClient, Depends(_client_of)]
"""The client, for a route."""

"""Puts the HTTP API together. A new call is a route in a module, and the module in `_ROUTERS`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from temporalio.service import RPCError

from exports import names
from exports.api import (
    creating,
    deliveries,
    docs,
    errors,
    events,
    exports,
    files,
    function,
    health,
    me,
    page_files,
    recurring,
    session,
    types,
    webhooks,
    wechat,
)
from exports.api.body import WholeBody
from exports.api.boundary import Boundary
from exports.api.jwts import JwtVerifier
from exports.api.learning import Learning
from exports.api.openapi import DocumentedApi
from exports.api.parts import Parts
from exports.api.rate import RateLimit
from exports.api.readiness import Readiness
from exports.api.settings import ApiSettings
from exports.api.streams import Streams
from exports.client import ExportClient
from exports.connections import Connections
from exports.errors import ExportError
from exports.messages.people import PeopleStore
from exports.settings import Settings
from exports.tokens import TokenStore

_ROUTERS: Final[tuple[APIRouter, ...]] = (
    creating.router,
    events.router,  # before those of `exports`, for which `events` would be an id
    exports.router,
    files.router,
    deliveries.router,
    recurring.router,
    types.router,
    me.router,
    webhooks.router,
    wechat.router,
    session.router,
    function.router,
    health.router,
    docs.router,
    page_files.router,
)


def build_app(
    *, client: ExportClient, connections: Connections, settings: Settings, api: ApiSettings
) -> FastAPI:
    """Return the HTTP API as an ASGI application.

    `app.state.stopping` is an `asyncio.Event` that is set when the server stops, before it waits
    for open connections: see `exports.api.server`.

    Args:
        client: Does the work.
        connections: Those of the client.
        settings: Those of the client.
        api: Settings of the API.
    """
    app = DocumentedApi(
        # Not `include_router`, which makes all of a route again at the first request.
        routes=[route for router in _ROUTERS for route in router.routes],
        docs_url=None,
        redoc_url=None,
        title="Exports",
        version=version("temporal-exports"),
        redirect_slashes=False,
        lifespan=_lifespan,
        exception_handlers={
            ExportError: errors.export_error,
            RPCError: errors.rpc_error,
            RequestValidationError: errors.validation_error,
            HTTPException: errors.http_error,
        },
    )
    app.state.stopping = asyncio.Event()
    database = connections.mongo[settings.mongo_database]
    tokens = TokenStore(database)
    app.state.parts = Parts(
        client=client.with_origin(names.FROM_API),
        settings=api,
        tokens=tokens,
        jwts=JwtVerifier(api) if api.takes_jwt else None,
        learning=Learning(PeopleStore(database)),
        rate=RateLimit(api.api_rate),
        readiness=Readiness(connections),
        streams=Streams(
            per_person=api.api_streams,
            most=api.api_max_streams,
            tokens=tokens,
            stopping=app.state.stopping,
        ),
        web_ui=api.web_ui(connections.temporal.namespace),
    )
    docs.mount_files(app)
    page_files.add_page(app, api)
    # The last one is the outermost.
    app.add_middleware(WholeBody)
    if api.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=api.api_cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                *("Authorization", "Content-Type"),
                *("Idempotency-Key", "If-None-Match", "Last-Event-ID"),
            ],
            expose_headers=["ETag", "Location", "Retry-After"],
        )
    app.add_middleware(Boundary)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    parts: Parts = app.state.parts
    await parts.tokens.indexes.ensure()
    app.openapi()  # takes a while, and the first request would wait for it
    yield

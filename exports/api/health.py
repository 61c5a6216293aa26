"""`/healthz` and `/readyz`: whether this process is alive, and reaches each server."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel

from exports.api.answers import Ok
from exports.api.parts import PartsOfApp
from exports.connections import Connections
from exports.tasks.collection import server_time

router = APIRouter(tags=["health"])
_TIMEOUT: Final = 5.0  # seconds


class Alive(BaseModel):
    """This process answers."""

    alive: bool = True


class Ready(BaseModel):
    """Whether each server answers."""

    temporal: bool
    database: bool
    store: bool


@router.get("/healthz", operation_id="isAlive", summary="Is this process alive?")
async def healthz() -> Ok[Alive]:
    """Answer without asking any server."""
    return Ok(data=Alive())


@router.get(
    "/readyz",
    operation_id="isReady",
    summary="Does it reach each server?",
    responses={503: {"model": Ok[Ready], "description": "A server does not answer."}},
)
async def readyz(parts: PartsOfApp, response: Response) -> Ok[Ready]:
    """Ask each server. The status is 503 if one of them does not answer within 5 seconds."""
    ready = await _asked(parts.connections)
    if not (ready.temporal and ready.database and ready.store):
        response.status_code = 503
    return Ok(data=ready)


async def _asked(connections: Connections) -> Ready:
    temporal, database, store = await asyncio.gather(
        _answers(connections.temporal.service_client.check_health()),
        _answers(server_time(connections.mongo.admin)),
        _answers(asyncio.to_thread(connections.store.check)),
    )
    return Ready(temporal=temporal, database=database, store=store)


async def _answers(asked: Awaitable[object]) -> bool:
    try:
        return await asyncio.wait_for(asked, _TIMEOUT) is not False
    except Exception:  # noqa: BLE001 -- the answer is no, whatever the reason
        return False

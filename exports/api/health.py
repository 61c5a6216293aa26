"""`/healthz` and `/readyz`: whether this process is alive, and reaches each server."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from exports.api.answers import Ok
from exports.api.parts import PartsOfApp

router = APIRouter(tags=["health"])


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
    """Ask each server. The status is 503 if one of them does not answer within 7 seconds."""
    answering = await parts.readiness.ask()
    if not all(answering.values()):
        response.status_code = 503
    return Ok(data=Ready(**answering))

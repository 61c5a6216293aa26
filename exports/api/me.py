"""`/me`: who asks, how much they may ask for, and how they are told."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from exports.api.answers import Ok
from exports.api.errors import documented, documented_write
from exports.api.parts import Client, Parts, PartsOfApp
from exports.api.who import Asks, Person
from exports.client.telling import NotifyChoice
from exports.errors import ChannelError
from exports.models import WireModel
from exports.tasks.quotas import Quotas

router = APIRouter(tags=["me"])


class Me(WireModel):
    """Who asks.

    Attributes:
        uid: Their name, as in `createdBy`.
        operator: Whether they are an operator, who sees the exports of everybody.
        expires_at: When their token or session ends (epoch milliseconds); None if it does not.
        web_ui: To an operator, the address of the workflows in the Temporal Web UI, if this
            installation has set one. A run is at `{webUi}/{workflowId}/{runId}`.
    """

    uid: str
    operator: bool
    expires_at: int | None
    web_ui: str | None


def me_of(person: Person, parts: Parts) -> Me:
    """Return what somebody is told of themselves."""
    return Me(
        uid=person.uid,
        operator=person.operator,
        expires_at=person.expires_at,
        web_ui=parts.web_ui if person.operator else None,
    )


class MeWithQuotas(Me):
    """Who asks, and how much they may ask for.

    Attributes:
        quotas: How many exports they may have, and have.
    """

    quotas: Quotas


@router.get("/me", operation_id="getMe", summary="Who am I?", responses=documented())
async def me(client: Client, parts: PartsOfApp, person: Asks) -> Ok[MeWithQuotas]:
    """Return who the token belongs to, and the quotas with what is used of them."""
    quotas = await client.quotas(created_by=person.uid)
    return Ok(data=MeWithQuotas(**dict(me_of(person, parts)), quotas=quotas))


class Notify(BaseModel):
    """How a person wants to be told of exports."""

    model_config = ConfigDict(extra="forbid")

    notify: list[str] = Field(
        max_length=20, description="The channels; none to be told nothing.", examples=[["email"]]
    )


@router.get(
    "/me/notify",
    operation_id="getNotify",
    summary="How am I told of exports?",
    responses=documented(),
)
async def notify_choice(client: Client, person: Asks) -> Ok[NotifyChoice]:
    """Return by which channels you are told of your exports, and which there are."""
    return Ok(data=await client.notify_choice(created_by=person.uid))


@router.put(
    "/me/notify",
    operation_id="setNotify",
    summary="Choose how you are told of exports",
    responses=documented_write(ChannelError),
)
async def choose_notify(wanted: Notify, client: Client, person: Asks) -> Ok[NotifyChoice]:
    """Choose by which channels you are told how your exports ended.

    A request with `notify` of its own is told by those instead.
    """
    return Ok(data=await client.choose_notify(wanted.notify, created_by=person.uid))

"""`/me`: who asks, and how much they may ask for."""

from fastapi import APIRouter

from exports.api.answers import Ok
from exports.api.errors import documented
from exports.api.parts import Client
from exports.api.who import Asks
from exports.models import WireModel
from exports.tasks.quotas import Quotas

router = APIRouter(tags=["me"])


class Me(WireModel):
    """Who asks.

    Attributes:
        uid: Their name, as in `createdBy`.
        operator: Whether they are an operator, who sees the exports of everybody.
        expires_at: When their token or session ends (epoch milliseconds); None if it does not.
    """

    uid: str
    operator: bool
    expires_at: int | None


class MeWithQuotas(Me):
    """Who asks, and how much they may ask for.

    Attributes:
        quotas: How many exports they may have, and have.
    """

    quotas: Quotas


@router.get("/me", operation_id="getMe", summary="Who am I?", responses=documented())
async def me(client: Client, person: Asks) -> Ok[MeWithQuotas]:
    """Return who the token belongs to, and the quotas with what is used of them."""
    return Ok(
        data=MeWithQuotas(
            uid=person.uid,
            operator=person.operator,
            expires_at=person.expires_at,
            quotas=await client.quotas(created_by=person.uid),
        )
    )

"""`/me`: who asks."""

from fastapi import APIRouter

from exports.api.answers import Ok
from exports.api.errors import documented
from exports.api.who import Asks
from exports.models import WireModel

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


@router.get("/me", operation_id="getMe", summary="Who am I?", responses=documented())
async def me(person: Asks) -> Ok[Me]:
    """Return who the token belongs to."""
    return Ok(
        data=Me(
            uid=person.uid,
            operator=person.operator,
            expires_at=person.expires_at,
        )
    )

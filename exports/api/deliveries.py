"""`/deliveries`: what people were told, and what is on its way to them."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from exports.api.answers import Ok
from exports.api.errors import documented, documented_write
from exports.api.exports import TaskId
from exports.api.parts import Client
from exports.api.who import Asks, whose
from exports.errors import OperatorError, TaskNotFoundError, TaskStateError
from exports.messages.deliveries import Delivery
from exports.models import WireModel

router = APIRouter(tags=["messages"])

_MAX_PER_PAGE: Final = 200

_DeliveryId = Annotated[
    str,
    Path(description="The id of the delivery.", examples=["5f0c6a1e9d3b4c7f8a2e1d0b9c8a7f6e"]),
]
_After = Annotated[str | None, Query(description="The `next` of the page before.")]
_Limit = Annotated[int, Query(ge=1, le=_MAX_PER_PAGE)]


class DeliveryPage(WireModel):
    """Some deliveries, newest first.

    Attributes:
        items: The deliveries, each with its attempts.
        next: The `after` of the next page; None if this is the last one.
    """

    items: list[Delivery]
    next: str | None


@router.get(
    "/exports/{id}/deliveries",
    operation_id="listDeliveriesOfExport",
    summary="See who was told of an export",
    responses=documented(TaskNotFoundError),
)
async def list_deliveries_of_export(
    id: TaskId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
    *,
    after: _After = None,
    limit: _Limit = 50,
) -> Ok[DeliveryPage]:
    """Return the messages about an export with every attempt to deliver them, newest first."""
    found = await client.deliveries.list(
        created_by=person.sees, task_id=id, after=after, limit=limit + 1
    )
    return Ok(data=_page(found, limit))


@router.get(
    "/deliveries",
    operation_id="listDeliveries",
    summary="List deliveries",
    responses=documented(OperatorError),
)
async def list_deliveries(
    client: Client,
    person: Asks,
    *,
    created_by: Annotated[
        str | None, Query(description="Whose. Only an operator may name somebody else.")
    ] = None,
    after: _After = None,
    limit: _Limit = 50,
) -> Ok[DeliveryPage]:
    """Return the messages to you, newest first; to an operator, those to everybody."""
    found = await client.deliveries.list(
        created_by=whose(person, created_by), after=after, limit=limit + 1
    )
    return Ok(data=_page(found, limit))


@router.get(
    "/deliveries/{id}",
    operation_id="getDelivery",
    summary="Get a delivery",
    responses=documented(TaskNotFoundError),
)
async def get_delivery(
    id: _DeliveryId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[Delivery]:
    """Return a delivery with every attempt: when, the status, milliseconds, and the answer."""
    return Ok(data=await client.deliveries.get(id, created_by=person.sees))


@router.post(
    "/deliveries/{id}/send-again",
    operation_id="sendAgain",
    summary="Send a message again",
    responses=documented_write(TaskNotFoundError, TaskStateError),
)
async def send_again(
    id: _DeliveryId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[Delivery]:
    """Send a message once more, with the same id, that is not on its way any more."""
    return Ok(data=await client.deliveries.send_again(id, created_by=person.sees))


@router.post(
    "/deliveries/{id}/cancel",
    operation_id="cancelDelivery",
    summary="Stop a delivery",
    responses=documented_write(TaskNotFoundError, TaskStateError),
)
async def cancel_delivery(
    id: _DeliveryId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[Delivery]:
    """Stop trying to deliver a message. To stop it again does nothing."""
    return Ok(data=await client.deliveries.cancel(id, created_by=person.sees))


def _page(found: list[Delivery], limit: int) -> DeliveryPage:
    items = found[:limit]
    return DeliveryPage(items=items, next=items[-1].id if len(found) > limit else None)

"""`/function`: the requests of the function that this service replaces."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from exports import envelope
from exports.api.answers import Ok
from exports.api.errors import documented_write
from exports.api.parts import Client
from exports.api.who import Asks, require_operator
from exports.errors import ActionError, OperatorError

router = APIRouter(tags=["function"])


class Envelope(BaseModel):
    """A request of the old function. Other fields, such as `uid`, are ignored."""

    model_config = ConfigDict(extra="allow")

    action: str = Field(description="`create`, `get`, `cancel`; for operators also `run`.")
    payload: dict[str, JsonValue] = Field(default_factory=dict)


@router.post(
    "/function",
    operation_id="callFunction",
    summary="Send a request of the old function",
    responses=documented_write(ActionError, OperatorError),
)
async def call(
    request: Annotated[
        Envelope,
        Body(
            examples=[
                {
                    "action": "create",
                    "payload": {"type": "statsMonthly", "params": {"year": 2026, "month": 10}},
                }
            ]
        ),
    ],
    client: Client,
    person: Asks,
) -> Ok[JsonValue]:
    """Answer as the old function did, for the person whose token it is.

    The `uid` of the body means nothing. `run`, which sweeps, is for operators.
    """
    if request.action == "run":
        require_operator(person)
    asked = {"action": request.action, "payload": request.payload, "uid": person.uid}
    return Ok(data=await envelope.answer(client, asked))

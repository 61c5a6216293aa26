"""`/me/wechat-grants`: the WeChat messages that somebody has granted."""

from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field

from exports.api.answers import Ok
from exports.api.errors import documented, documented_write
from exports.api.parts import Client
from exports.api.who import Asks
from exports.errors import ChannelError
from exports.messages.wechat.grants import WechatGrant

router = APIRouter(prefix="/me/wechat-grants", tags=["me"])


class NewGrant(BaseModel):
    """What somebody has granted."""

    model_config = ConfigDict(extra="forbid")

    templateId: str = Field(  # noqa: N815 -- its name on the wire
        description="The template whose message was accepted in `wx.requestSubscribeMessage`."
    )


@router.get(
    "",
    operation_id="listWechatGrants",
    summary="WeChat messages that I have granted",
    responses=documented(),
)
async def list_grants(client: Client, person: Asks) -> Ok[list[WechatGrant]]:
    """Return the templates to ask for with `wx.requestSubscribeMessage`, and what is left of each.

    It is empty if no messages are sent by WeChat here.
    """
    return Ok(data=[*await client.wechat_grants(created_by=person.uid)])


@router.post(
    "",
    operation_id="grantWechat",
    summary="Grant one more WeChat message",
    responses=documented_write(ChannelError),
)
async def grant(
    new: NewGrant,
    client: Client,
    person: Asks,
    *,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Makes it safe to send the request again: the same key counts once. "
            "1 to 200 characters.",
            json_schema_extra={"minLength": 1, "maxLength": 200},
        ),
    ] = None,
) -> Ok[WechatGrant]:
    """Count one message that you have accepted. One grant is one message; at most 100 are kept."""
    return Ok(
        data=await client.grant_wechat(
            new.templateId, created_by=person.uid, idempotency_key=idempotency_key
        )
    )

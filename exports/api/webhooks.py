"""`/me/webhooks`: addresses that get the messages of who asks."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from exports.api.answers import Ok, reply
from exports.api.errors import documented, documented_write
from exports.api.parts import Client
from exports.api.who import Asks
from exports.errors import (
    EncryptionKeyError,
    QuotaError,
    SettingsError,
    TaskNotFoundError,
    WebhookAddressError,
)
from exports.messages.webhook.model import Tried, Webhook, WebhookWithSecret

router = APIRouter(prefix="/me/webhooks", tags=["webhooks"])

WebhookId = Annotated[
    str,
    Path(
        description="The id of the webhook.",
        examples=["wh_2f1d9c0a6b7e4d5f8a3c1b0e9d8f7a6b"],
    ),
]
"""The id of a webhook in a path."""


class NewWebhook(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://hooks.example.com/exports"}]},
    )

    url: str = Field(description="The address: https, and public.")


@router.get(
    "",
    operation_id="listWebhooks",
    summary="List your webhooks",
    responses=documented(),
)
async def list_webhooks(client: Client, person: Asks) -> Ok[list[Webhook]]:
    """Return your webhooks, oldest first, without their secrets."""
    return Ok(data=await client.webhooks.list(created_by=person.uid))


@router.post(
    "",
    operation_id="addWebhook",
    summary="Add a webhook",
    status_code=201,
    response_model=None,
    responses={
        201: {"model": Ok[WebhookWithSecret], "description": "A new webhook, with its secret."},
        200: {
            "model": Ok[WebhookWithSecret],
            "description": "A webhook that you had already, without its secret.",
        },
        **documented_write(WebhookAddressError, QuotaError, SettingsError),
    },
)
async def add_webhook(new: NewWebhook, client: Client, person: Asks) -> Response:
    """Add an address, which gets your messages from now on.

    The secret checks their signatures. It is shown only once.
    """
    added = await client.webhooks.add(new.url, created_by=person.uid)
    headers = {"Location": f"/me/webhooks/{quote(added.id, safe='')}"}
    return reply(added, 200 if added.secret is None else 201, headers)


@router.get(
    "/{id}",
    operation_id="getWebhook",
    summary="Get a webhook",
    responses=documented(TaskNotFoundError),
)
async def get_webhook(id: WebhookId, client: Client, person: Asks) -> Ok[Webhook]:  # noqa: A002 -- the name in the path
    """Return one of your webhooks, without its secret."""
    return Ok(data=await client.webhooks.get(id, created_by=person.uid))


@router.delete(
    "/{id}",
    operation_id="removeWebhook",
    summary="Remove a webhook",
    responses=documented_write(TaskNotFoundError),
)
async def remove_webhook(id: WebhookId, client: Client, person: Asks) -> Ok[None]:  # noqa: A002 -- the name in the path
    """Remove a webhook, with its address and its secrets."""
    await client.webhooks.remove(id, created_by=person.uid)
    return Ok(data=None)


@router.post(
    "/{id}/test",
    operation_id="testWebhook",
    summary="Send a message to a webhook now",
    responses=documented_write(TaskNotFoundError, EncryptionKeyError),
)
async def try_webhook(id: WebhookId, client: Client, person: Asks) -> Ok[Tried]:  # noqa: A002 -- the name in the path
    """Send a message `webhook.test`, and return how that went. It takes up to 15 seconds."""
    return Ok(data=await client.webhooks.test(id, created_by=person.uid))


@router.post(
    "/{id}/rotate",
    operation_id="rotateWebhook",
    summary="Make a new secret for a webhook",
    responses=documented_write(TaskNotFoundError, QuotaError, SettingsError),
)
async def rotate_webhook(
    id: WebhookId,  # noqa: A002 -- the name in the path
    client: Client,
    person: Asks,
) -> Ok[WebhookWithSecret]:
    """Make a new secret, which is shown only once. For 24 hours, the old one signs as well."""
    return Ok(data=await client.webhooks.rotate(id, created_by=person.uid))


@router.post(
    "/{id}/enable",
    operation_id="enableWebhook",
    summary="Switch a webhook on again",
    responses=documented_write(TaskNotFoundError),
)
async def enable_webhook(id: WebhookId, client: Client, person: Asks) -> Ok[Webhook]:  # noqa: A002 -- the name in the path
    """Let a webhook get messages again that was switched off."""
    return Ok(data=await client.webhooks.enable(id, created_by=person.uid))

"""From an export that is done to a receiver that has checked the message, with a real worker."""

import pytest

from exports import names
from exports.messages.channels import open_channels
from exports.messages.delivery import DeliveryResult, DeliveryStatus
from exports.settings import Settings
from tests.support.leaks import CANARY
from tests.support.messages import reports
from tests.support.service import USER, Service, insert_orders, working
from tests.support.webhook_receiver import open_receiver
from tests.support.webhook_settings import with_webhooks


@pytest.fixture
def settings(settings: Settings) -> Settings:
    update = {"public_url": "https://exports.example.com"}
    return with_webhooks(settings).model_copy(update=update)


async def test_a_receiver_is_told_of_an_export_that_is_done(idle_service: Service) -> None:
    await insert_orders(idle_service.database)
    webhooks = idle_service.client.webhooks
    async with open_receiver() as receiver:
        # The search after the tests would find it in Temporal's history and in the logs.
        added = await webhooks.add(f"{receiver.url}/{CANARY}", created_by=USER)
        channels = open_channels(idle_service.settings, idle_service.database, reports())
        async with working(idle_service, channels=channels):
            task = await idle_service.exported(notify=["webhook"])
            [taken] = await receiver.received()
            result = await idle_service.temporal.get_workflow_handle(
                names.delivery_workflow_id(taken.id), result_type=DeliveryResult
            ).result()
    assert added.secret is not None
    content = taken.verified(added.secret)
    assert content["type"] == "export.done"
    assert (content["data"]["id"], content["data"]["rows"]) == (task.id, task.rows)
    assert content["data"]["fileUrl"] == f"https://exports.example.com/exports/{task.id}/file"
    assert taken.path == f"/hook/{CANARY}"
    assert (result.status, result.attempts) == (DeliveryStatus.DELIVERED, 1)
    for secret in (task.download_url, added.secret):
        assert str(secret).encode() not in taken.body

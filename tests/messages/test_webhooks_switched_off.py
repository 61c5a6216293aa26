"""When a webhook is switched off, and what a test of one shows."""

import asyncio
from datetime import timedelta

import pytest

from exports.errors import (
    RateError,
)
from exports.messages.channel import Verdict
from exports.messages.delivery import LONGEST_RETRY_AFTER
from exports.messages.message import Event
from exports.messages.webhook.channel import LONGEST_PAUSE
from exports.messages.webhook.naming import with_host
from exports.messages.webhook.store import MAX_TESTS
from tests.support.webhook_receiver import Receiver, answer, open_receiver
from tests.support.webhook_world import OWNER, STRANGER, WebhookWorld
from workflows import policies


async def test_a_receiver_that_is_gone_is_switched_off_and_its_owner_told(
    world: WebhookWorld,
) -> None:
    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        other, _ = await world.add(f"{receiver.url}/other")
        receiver.next_answers = [answer(410)]
        assert (await world.send(webhook)).verdict is Verdict.REFUSED
        [notice] = await world.told()
        told = notice.message
        assert notice.channels == ["default", "email", "webhook"]
        assert (told.event, told.created_by) == (Event.WEBHOOK_DISABLED, OWNER)
        assert told.subject is not None
        assert told.subject.id == webhook
        host = receiver.url.split("/")[2]
        assert host not in told.model_dump_json(), "it may be a secret, and goes through Temporal"
        seen = await with_host(told, world.database)
        assert seen.subject is not None
        assert (seen.subject.id, seen.subject.name) == (webhook, host), "what its owner sees"
        stranger = told.model_copy(update={"created_by": STRANGER})
        assert await with_host(stranger, world.database) == stranger
        assert "410" in told.subject.reason
        assert [one.id for one in await world.channel.addresses(OWNER, told)] == [other]
        off = await world.webhooks.get(webhook, created_by=OWNER)
        assert off.switched_off is not None

        assert (await world.send(webhook)).verdict is Verdict.REFUSED
        assert len(receiver.requests) == 1, "it gets nothing more"
        assert len(await world.told()) == 1
        assert (await world.webhooks.test(webhook, created_by=OWNER)).delivered
        for _ in range(2):
            on = await world.webhooks.enable(webhook, created_by=OWNER)
            assert on.switched_off is None
        assert (await world.send(webhook)).verdict is Verdict.DELIVERED


async def _failing(world: WebhookWorld, receiver: Receiver) -> str:
    webhook, _ = await world.add(receiver.url)
    receiver.then = answer(500)
    await world.send(webhook)
    return webhook


async def test_five_days_of_nothing_but_failures_switch_a_webhook_off(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook = await _failing(world, receiver)
        await world.age(webhook, "failingSince", timedelta(days=5, minutes=-1))
        await world.send(webhook)
        assert (await world.get(webhook)).switched_off is None
        await world.age(webhook, "failingSince", timedelta(minutes=1))
        await world.send(webhook)
        off = (await world.get(webhook)).switched_off
        assert off is not None
        assert off.reason == "Every attempt of 5 days has failed."
        assert [one.message.event for one in await world.told()] == [Event.WEBHOOK_DISABLED]
        on = await world.webhooks.enable(webhook, created_by=OWNER)
        assert on.failing_since is None


async def test_a_failure_of_last_month_says_nothing_about_today(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook = await _failing(world, receiver)
        for name in ("failingSince", "lastFailedAt"):
            await world.age(webhook, name, timedelta(days=30))
        await world.send(webhook)
        after = await world.get(webhook)
        assert after.switched_off is None
        assert after.failing_since == after.last_failed_at
        assert await world.told() == []
        # The longest wait between two attempts is no such gap.
        await world.age(webhook, "failingSince", timedelta(days=5))
        longest = max(policies.DELIVERY_DELAYS) * (1 + policies.DELIVERY_JITTER)
        await world.age(webhook, "lastFailedAt", longest)
        await world.send(webhook)
        assert (await world.get(webhook)).switched_off is not None
    assert max(longest, timedelta(seconds=LONGEST_RETRY_AFTER)) < LONGEST_PAUSE


async def test_one_success_begins_the_five_days_anew(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook = await _failing(world, receiver)
        await world.age(webhook, "failingSince", timedelta(days=6))
        # A success that is stored while another attempt, which is to fail, is on its way.
        since = (await world.get(webhook)).failing_since
        receiver.next_answers = [answer(200)]
        await world.send(webhook)
        before = await world.get(webhook)
        await world.store.switch_off(before, "It fails.", tell=["email"], failing_since=since)
        assert (await world.get(webhook)).switched_off is None
        await world.send(webhook)
        after = await world.get(webhook)
        assert after.switched_off is None
        assert after.failing_since is not None
        assert await world.told() == []


async def test_a_test_tells_how_it_went_and_changes_nothing(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook, secret = await world.add(receiver.url)
        before = await world.get(webhook)
        for status in (410, 500, 200):
            receiver.next_answers = [answer(status, b"seen")]
            tried = await world.webhooks.test(webhook, created_by=OWNER)
            assert (tried.status, tried.delivered) == (status, status == 200)
            assert tried.answer == "seen"
        assert await world.get(webhook) == before
        content = receiver.requests[0].verified(secret)
        assert content["type"] == "webhook.test"
        assert content["data"]["id"] == webhook
        assert len({request.id for request in receiver.requests}) == 3


async def test_of_many_tests_at_once_only_a_few_are_sent(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        tests = (world.webhooks.test(webhook, created_by=OWNER) for _ in range(MAX_TESTS + 3))
        done = await asyncio.gather(*tests, return_exceptions=True)
        refused = [one for one in done if isinstance(one, BaseException)]
        assert (len(receiver.requests), len(refused)) == (MAX_TESTS, 3)
        for error in refused:
            assert isinstance(error, RateError)
            assert 0 < error.retry_after <= 60
        await world.age(webhook, "testedAt.0", timedelta(minutes=1))
        assert (await world.webhooks.test(webhook, created_by=OWNER)).delivered
        with pytest.raises(RateError):
            await world.webhooks.test(webhook, created_by=OWNER)

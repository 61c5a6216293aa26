"""`exports webhook`: a person manages the addresses that get their messages."""

import re

import pytest

from exports.settings import Settings
from tests.support.command_line import CommandLine, environment_of
from tests.support.service import Service
from tests.support.webhook_receiver import answer, open_receiver
from tests.support.webhook_settings import with_webhooks


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_webhooks(settings)


async def test_a_person_adds_tests_rotates_and_removes_a_webhook(
    idle_service: Service, settings: Settings, temporal_address: str
) -> None:
    exports = CommandLine(environment_of(settings, temporal_address))
    async with open_receiver() as receiver:
        added = await exports.run("webhook", "add", receiver.url, "--created-by", "u1")
        secret = added.out.strip()
        assert re.fullmatch(r"whsec_[\w+/=]{44}", secret), "alone, for $(...)"
        assert secret not in added.err
        [webhook] = await idle_service.client.webhooks.list(created_by="u1")
        assert webhook.id in added.err
        listed = await exports.run("webhook", "list", "--created-by", "u1")
        assert receiver.url in listed.out
        assert secret not in listed.out

        receiver.next_answers = [answer(500, b"\x1b[31mno")]
        failed = await exports.run("webhook", "test", webhook.id, "--created-by", "u1")
        assert failed.code == 1
        assert "500" in failed.out
        assert "\x1b" not in failed.out
        rotated = await exports.run("webhook", "rotate", webhook.id, "--created-by", "u1", "--json")
        tried = await exports.run("webhook", "test", webhook.id, "--created-by", "u1", "--json")
        assert (tried.code, tried.json["delivered"]) == (0, True)
        for one in (secret, rotated.json["secret"]):
            assert receiver.requests[-1].verified(one)

        hidden = await exports.run("webhook", "remove", webhook.id, "--created-by", "u2")
        assert (hidden.code, hidden.err[:12]) == (2, "E_NOT_FOUND:")
        refused = await exports.run("webhook", "add", "https://10.0.0.1/", "--created-by", "u1")
        assert (refused.code, refused.err[:18]) == (2, "E_WEBHOOK_ADDRESS:")
        assert (await exports.run("webhook", "remove", webhook.id, "--created-by", "u1")).code == 0
        assert await idle_service.client.webhooks.list(created_by="u1") == []

"""Webhooks over HTTP: their owner manages them; for everybody else they do not exist."""

import json
from collections.abc import AsyncIterator

import pytest

from exports.settings import Settings
from tests.support.api import OPERATOR, OWNER, STRANGER, Api, open_api
from tests.support.service import Service
from tests.support.webhook_receiver import answer, open_receiver
from tests.support.webhook_settings import with_webhooks

NOT_THERE = "wh_" + "0" * 32


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_webhooks(settings)


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as running:
        yield running


async def test_a_person_manages_their_webhooks(api: Api) -> None:
    async with open_receiver() as receiver:
        made = await api.ask("POST", "/me/webhooks", json={"url": receiver.url})
        assert made.status_code == 201
        webhook = made.json()["data"]
        path = f"/me/webhooks/{webhook['id']}"
        assert made.headers["location"] == path
        again = await api.ask("POST", "/me/webhooks", json={"url": receiver.url})
        assert (again.status_code, again.json()["data"]["secret"]) == (200, None)
        shown = {name: value for name, value in webhook.items() if name != "secret"}
        assert (await api.ask("GET", "/me/webhooks")).json()["data"] == [shown]
        assert (await api.ask("GET", path)).json()["data"] == shown

        receiver.next_answers = [answer(418, b"teapot")]
        tried = (await api.ask("POST", f"{path}/test")).json()["data"]
        assert (tried["delivered"], tried["status"], tried["answer"]) == (False, 418, "teapot")
        rotated = (await api.ask("POST", f"{path}/rotate")).json()["data"]
        tried = (await api.ask("POST", f"{path}/test")).json()["data"]
        assert tried["delivered"]
        for secret in (webhook["secret"], rotated["secret"]):
            assert receiver.requests[-1].verified(secret)
        assert (await api.ask("POST", f"{path}/enable")).json()["data"] == shown
        for _ in range(2):
            assert (await api.ask("DELETE", path)).status_code == 200
        assert (await api.ask("GET", "/me/webhooks")).json()["data"] == []


async def test_a_webhook_of_somebody_else_answers_like_one_that_is_not_there(api: Api) -> None:
    async with open_receiver() as receiver:
        made = await api.ask("POST", "/me/webhooks", OWNER, json={"url": receiver.url})
        webhook = made.json()["data"]["id"]
        paths = {
            path: calls
            for path, calls in api.app.openapi()["paths"].items()
            if path.startswith("/me/webhooks/{id}")
        }
        assert len(paths) >= 4
        for who in (STRANGER, OPERATOR):
            for path, calls in paths.items():
                for method in calls:
                    hidden, nothing = [
                        await api.ask(method.upper(), path.replace("{id}", name), who)
                        for name in (webhook, NOT_THERE)
                    ]
                    assert hidden.status_code == nothing.status_code == 404
                    assert hidden.content == nothing.content
            assert (await api.ask("GET", "/me/webhooks", who)).json()["data"] == []
        assert receiver.requests == []


async def test_an_address_that_is_not_allowed_is_refused_and_not_repeated(api: Api) -> None:
    for body, code in (
        ({"url": "https://user:c4n4ry@example.com/"}, "E_WEBHOOK_ADDRESS"),
        ({"url": "https://10.0.0.1/c4n4ry"}, "E_WEBHOOK_ADDRESS"),
        ({"url": "https://\ud800c4n4ry.example.com/"}, "E_REQUEST"),
        ({"url": 7}, "E_REQUEST"),
        ({"url": "https://example.com/", "uid": OPERATOR}, "E_REQUEST"),
        ({}, "E_REQUEST"),
    ):
        answered = await api.ask(
            "POST",
            "/me/webhooks",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        assert answered.status_code == (422 if code == "E_WEBHOOK_ADDRESS" else 400)
        assert answered.json()["error"]["code"] == code
        assert "c4n4ry" not in answered.text

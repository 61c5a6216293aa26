"""Where messages to a person go: what their token says, and never what a request says."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from exports.messages.people import PeopleStore
from exports.settings import Settings
from tests.support.api import OWNER, STRANGER, Api, open_api
from tests.support.jwts import AUDIENCE, ISSUER, SECRET, by_secret
from tests.support.service import Service, open_service

_JWT = {"api_jwt_issuer": ISSUER, "api_jwt_audience": AUDIENCE, "api_jwt_secret": SecretStr(SECRET)}
_TEMPLATES = '{"export.done": {"template": "t1", "fields": {"thing1": "{title}"}}}'


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service, **_JWT) as running:
        yield running


async def _learned(service: Service, api: Api, token: str, uid: str) -> tuple[str | None, ...]:
    answer = await api.ask("GET", "/me", None, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    found = await PeopleStore(service.database).find(uid)
    return found.email, found.language


async def test_the_address_of_a_token_is_learned_when_it_is_used(
    idle_service: Service, api: Api
) -> None:
    text, token = await api.tokens.create("u9", email="u9@example.com")
    assert token.email == "u9@example.com"
    assert [item.email for item in await api.tokens.list()].count("u9@example.com") == 1
    assert await _learned(idle_service, api, text, "u9") == ("u9@example.com", None)
    other, _ = await api.tokens.create("u9")
    assert await _learned(idle_service, api, other, "u9") == ("u9@example.com", None)
    newer, _ = await api.tokens.create("u9", email="new@example.com")
    assert await _learned(idle_service, api, newer, "u9") == ("new@example.com", None)


async def test_the_address_of_a_jwt_is_learned_unless_it_is_not_verified(
    idle_service: Service, api: Api
) -> None:
    said: list[tuple[dict[str, Any], tuple[str | None, str | None]]] = [
        ({"email": "a@example.com", "locale": "zh-CN"}, ("a@example.com", "zh")),
        ({"email": "a@example.com", "email_verified": True}, ("a@example.com", None)),
        ({"email": "a@example.com", "email_verified": False}, (None, None)),
        ({"email": "a@example.com", "email_verified": "false"}, (None, None)),
        ({"email": "a@example.com, b@example.com"}, (None, None)),
        ({"email": ["a@example.com"], "locale": ["zh"]}, (None, None)),
        ({"mail": "a@example.com"}, (None, None)),
    ]
    for number, (claims, expected) in enumerate(said):
        uid = f"j{number}"
        token = by_secret(sub=uid, **claims)
        assert await _learned(idle_service, api, token, uid) == expected, claims


async def test_no_request_can_name_an_address(idle_service: Service, api: Api) -> None:
    body = {"type": "statsMonthly", "params": {"year": 2026, "month": 10}}
    for wrong in ({"email": "x@example.com"}, {"notify": [{"email": "x@example.com"}]}):
        answer = await api.ask("POST", "/exports", json={**body, **wrong})
        assert answer.status_code == 400, answer.text
    found = await PeopleStore(idle_service.database).find(OWNER)
    assert found.email is None


async def test_a_person_grants_wechat_messages_for_themselves(
    settings: Settings, temporal_address: str
) -> None:
    with_wechat = {"wechat_appid": "wx1", "wechat_templates": _TEMPLATES}
    async with (
        open_service(settings.model_copy(update=with_wechat), temporal_address) as service,
        open_api(service) as api,
    ):
        path = "/me/wechat-grants"
        none = {"templateId": "t1", "events": ["export.done"], "left": 0}
        assert (await api.ask("GET", path)).json()["data"] == [none]
        granted = await api.ask("POST", path, json={"templateId": "t1"})
        assert granted.json()["data"] == {**none, "left": 1}
        for _ in range(2):
            again = await api.ask(
                "POST", path, json={"templateId": "t1"}, headers={"Idempotency-Key": "k"}
            )
            assert again.json()["data"]["left"] == 2
        assert (await api.ask("GET", path, STRANGER)).json()["data"] == [none]
        for wrong, code in (
            ({"templateId": "t2"}, "E_CHANNEL"),
            ({}, "E_REQUEST"),
            ({"templateId": "t1", "uid": STRANGER}, "E_REQUEST"),
        ):
            refused = await api.ask("POST", path, json=wrong)
            assert refused.json()["error"]["code"] == code
        assert (await api.ask("POST", path, None, json={"templateId": "t1"})).status_code == 401


async def test_without_wechat_there_is_nothing_to_grant(api: Api) -> None:
    assert (await api.ask("GET", "/me/wechat-grants")).json()["data"] == []
    refused = await api.ask("POST", "/me/wechat-grants", json={"templateId": "t1"})
    assert refused.status_code == 422

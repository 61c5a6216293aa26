"""Recurring exports over HTTP: the same as with the client, for each person their own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.api import OPERATOR, STRANGER, Api, open_api
from tests.support.service import Service

NOT_THERE = "0123456789abcdef01234567"
MONTHLY: dict[str, Any] = {"type": "statsMonthly", "period": "previous month", "on": "1st"}
SPAN = {"since": 1_785_542_400_000, "until": 1_793_491_200_001}
SENT: dict[str, dict[str, Any]] = {
    "backfill": {"json": SPAN},
    "pause": {"json": {"reason": "a holiday"}},
}


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as running:
        yield running


async def _ask(api: Api, method: str, path: str, who: str = "u1", **given: Any) -> Any:
    answer = await api.ask(method, path, who, **given)
    assert answer.is_success, answer.text
    return answer.json()["data"] if answer.content else None


async def test_a_recurring_export_is_created_controlled_and_deleted(api: Api) -> None:
    key = {"Idempotency-Key": "figures"}
    made = await api.ask("POST", "/recurring", json={**MONTHLY, "format": "xlsx"}, headers=key)
    again = await api.ask("POST", "/recurring", json={**MONTHLY, "format": "xlsx"}, headers=key)
    assert (made.status_code, again.json()) == (201, made.json())
    place = made.headers["location"]
    data = made.json()["data"]
    assert place == f"/recurring/{data['id']}"
    assert data["when"] == {
        "on": "1st",
        "at": "08:00",
        "cron": None,
        "timezone": "Asia/Shanghai",
    }
    assert await _ask(api, "GET", "/recurring") == [data]
    paused = await _ask(api, "POST", f"{place}/pause", json={"reason": "a holiday"})
    assert (paused["state"], paused["note"]) == ("paused", "paused by u1 (api): a holiday")
    assert (await _ask(api, "POST", f"{place}/resume"))["state"] == "active"
    for _ in range(2):
        await _ask(api, "POST", f"{place}/trigger", headers={"Idempotency-Key": "now"})
    ids = await _ask(api, "POST", f"{place}/backfill", json=SPAN)
    months = ("08", "09", "10", "11")
    assert ids == [f"{data['id']}-2026-{month}-01T00:00:00Z" for month in months]
    did = [entry["did"] for entry in await _ask(api, "GET", f"{place}/audit", OPERATOR)]
    assert did == ["created", "paused", "resumed", "triggered", "backfilled"]
    assert (await api.ask("DELETE", place)).status_code == 204
    assert (await api.ask("GET", place)).status_code == 404
    listed = await api.ask("GET", "/exports", params={"recurring": data["id"]})
    assert listed.json()["data"]["items"] == []


async def test_a_recurring_export_of_somebody_else_is_one_that_does_not_exist(api: Api) -> None:
    mine = (await _ask(api, "POST", "/recurring", json=MONTHLY))["id"]
    before = [
        await _ask(api, "GET", f"/recurring/{mine}"),
        await _ask(api, "GET", f"/recurring/{mine}/audit"),
    ]
    paths = api.app.openapi()["paths"]
    calls = [
        (method.upper(), path)
        for path in paths
        if path.startswith("/recurring/{id}")
        for method in paths[path]
    ]
    assert len(calls) == 7
    for method, path in calls:
        sent = SENT.get(path.rpartition("/")[2], {})
        answers = [
            await api.ask(method, path.replace("{id}", id_), STRANGER, **sent)
            for id_ in (mine, NOT_THERE)
        ]
        hidden, nothing = (
            (answer.status_code, answer.content, set(answer.headers) - {"date"})
            for answer in answers
        )
        assert hidden == nothing
        assert nothing[0] == 404
    assert await _ask(api, "GET", "/recurring", STRANGER) == []
    assert (await api.ask("GET", "/recurring?created_by=u1", STRANGER)).status_code == 403
    assert len(await _ask(api, "GET", "/recurring", OPERATOR)) == 1
    assert before == [
        await _ask(api, "GET", f"/recurring/{mine}"),
        await _ask(api, "GET", f"/recurring/{mine}/audit"),
    ]

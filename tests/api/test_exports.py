"""The life of an export over HTTP, from the request to the file."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from exports.models import TaskStatus
from exports.settings import Settings
from tests.support.api import OPERATOR, OWNER, STRANGER, Api, open_api
from tests.support.service import MONTH, Service, downloaded, insert_orders, open_service, working

_NEW = {"type": "statsMonthly", "params": MONTH, "format": "csv"}


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as running:
        yield running


async def _data(api: Api, method: str, path: str, who: str = OWNER, **given: Any) -> Any:
    answer = await api.ask(method, path, who, **given)
    assert answer.status_code in {200, 201}, answer.text
    content = answer.json()
    assert set(content) == {"ok", "data"}
    return content["data"]


async def _ended(api: Api, path: str) -> Any:
    """Poll as a mini-program does, but without the pauses."""
    tag: str | None = None
    while True:
        headers = {} if tag is None else {"If-None-Match": tag}
        answer = await api.ask("GET", path, headers=headers)
        if answer.status_code == 200:
            data = answer.json()["data"]
            if data["status"] not in {"pending", "running"}:
                assert "retry-after" not in answer.headers
                return data
            tag = answer.headers["etag"]
        assert answer.headers["retry-after"] == "2"
        await asyncio.sleep(0.05)


async def test_a_person_asks_follows_and_gets_the_file(
    settings: Settings, temporal_address: str
) -> None:
    joining = settings.model_copy(update={"join_within": timedelta(minutes=10)})
    async with open_service(joining, temporal_address) as service, open_api(service) as api:
        await insert_orders(service.database)
        await _asks_follows_and_gets_the_file(api, service)


async def _asks_follows_and_gets_the_file(api: Api, service: Service) -> None:
    asked = await api.ask("POST", "/exports", json={**_NEW, "columns": ["day", "orders"]})
    assert asked.status_code == 201
    assert asked.headers["retry-after"] == "2"
    path = asked.headers["location"]
    new = asked.json()["data"]
    assert path == f"/exports/{new['id']}"
    assert (new["joined"], new["createdBy"], new["status"]) == (False, OWNER, "pending")
    again = await api.ask("POST", "/exports", json={**_NEW, "columns": ["day", "orders"]})
    assert (again.status_code, again.headers["location"]) == (200, path)
    assert again.json()["data"]["joined"] is True
    forced = await api.ask("POST", "/exports?force=true", json=_NEW)
    assert (forced.status_code, forced.json()["data"]["joined"]) == (201, False)

    async with working(service):
        done = await _ended(api, path)
        await service.ended(forced.json()["data"]["id"])
    assert (done["status"], done["rows"], done["format"]) == ("done", 3, "csv")
    content = downloaded(done["downloadUrl"])

    preview = await _data(api, "GET", f"{path}/preview")
    assert [column["name"] for column in preview["columns"]] == ["day", "orders"]
    assert len(preview["rows"]) == 3

    led = await api.ask("GET", f"{path}/file")
    assert (led.status_code, led.headers["cache-control"]) == (302, "no-store")
    assert downloaded(led.headers["location"]) == content
    link = await _data(api, "GET", f"{path}/file?as=json")
    assert set(link) == {"url", "expiresAt", "fileName"}
    assert downloaded(link["url"]) == content
    renewed = await _data(api, "POST", f"{path}/renew")
    assert downloaded(renewed["downloadUrl"]) == content
    assert [entry["did"] for entry in await _data(api, "GET", f"{path}/audit")][-3:] == [
        *("downloaded", "downloaded", "renewed"),
    ]
    entries = await _data(api, "GET", f"{path}/audit")
    assert {entry["origin"] for entry in entries if entry["role"] == "user"} == {"api"}

    for _ in range(2):
        assert (await _data(api, "DELETE", f"{path}/file"))["status"] == "expired"
    gone = await api.ask("GET", f"{path}/file")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "E_EXPIRED")


async def test_a_key_makes_it_safe_to_send_a_request_again(api: Api) -> None:
    key = {"Idempotency-Key": "october"}
    first = await api.ask("POST", "/exports?force=true", json=_NEW, headers=key)
    again = await api.ask("POST", "/exports?force=true", json=_NEW, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    other = await api.ask("POST", "/exports", json={**_NEW, "format": "xlsx"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "E_IDEMPOTENCY_KEY")
    somebody = await api.ask("POST", "/exports", STRANGER, json=_NEW, headers=key)
    assert somebody.status_code == 201
    for wrong in ("", "k" * 201):
        refused = await api.ask("POST", "/exports", json=_NEW, headers={"Idempotency-Key": wrong})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "E_REQUEST")


async def test_a_dry_run_says_what_would_come_of_it_and_stores_nothing(
    api: Api, idle_service: Service
) -> None:
    for query in ("dry_run=true", "dry_run=true&force=true"):
        estimate = await _data(api, "POST", f"/exports?{query}", json=_NEW)
        assert estimate["joins"] is None
        assert set(estimate) == {"rows", "seconds", "openEnded", "joins", "quotas"}
    wrong = await api.ask("POST", "/exports?dry_run=true", json={**_NEW, "params": {"year": 1}})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "E_PARAMS")
    assert set(wrong.json()["error"]["fields"]) == {"year", "month"}
    assert await idle_service.client.list(created_by=None) == []


async def test_what_can_not_be_asked_for_has_a_code_and_a_status(api: Api) -> None:
    for change, expected in (
        ({"type": "nope"}, (404, "E_TYPE")),
        ({"format": "doc"}, (422, "E_FORMAT")),
        ({"columns": ["nope"]}, (422, "E_PARAMS")),
        ({"params": {**MONTH, "region": {"$ne": ""}}}, (422, "E_PARAMS")),
    ):
        answer = await api.ask("POST", "/exports", json={**_NEW, **change})
        assert (answer.status_code, answer.json()["error"]["code"]) == expected


async def test_an_export_is_cancelled_retried_and_refused_what_its_status_forbids(
    api: Api, idle_service: Service
) -> None:
    path = f"/exports/{(await _data(api, 'POST', '/exports', json=_NEW))['id']}"
    assert (await api.ask("GET", f"{path}/file")).json()["error"]["code"] == "E_STATE"
    assert (await api.ask("POST", f"{path}/retry")).status_code == 409
    cancelled = await _data(api, "POST", f"{path}/cancel", json={"reason": "wrong month"})
    assert (cancelled["status"], cancelled["cancelReason"]) == ("cancelled", "wrong month")
    assert (await _data(api, "POST", f"{path}/cancel"))["status"] == "cancelled"
    await idle_service.database["ExportTasks"].update_one({}, {"$set": {"status": "failed"}})
    assert (await api.ask("POST", f"{path}/cancel")).status_code == 409
    assert (await _data(api, "POST", f"{path}/retry"))["status"] == "pending"


async def test_pages_of_a_list_have_every_export_of_one_person_once(
    api: Api, idle_service: Service
) -> None:
    documents = [
        {
            "_id": f"t{number}",
            "type": "statsMonthly" if number % 2 else "statsAnnual",
            "status": TaskStatus.DONE.value,
            "format": "csv",
            "createdBy": OWNER if number < 7 else STRANGER,
            "createdAt": 1000 + number // 2,  # some at the same time
        }
        for number in range(9)
    ]
    await idle_service.database["ExportTasks"].insert_many(documents)

    async def listed(who: str, **query: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = await _data(api, "GET", "/exports", who, params={"limit": 2, **query})
            assert len(page["items"]) <= 2
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                return found
            query["after"] = page["next"]

    assert await listed(OWNER) == [f"t{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    assert await listed(OWNER, type="statsMonthly") == ["t5", "t3", "t1"]
    assert await listed(OWNER, created_from=1001, created_before=1003) == ["t5", "t4", "t3", "t2"]
    assert await listed(OWNER, status="failed") == []
    assert await listed(OPERATOR) == [f"t{number}" for number in range(8, -1, -1)]
    assert await listed(OPERATOR, created_by=STRANGER) == ["t8", "t7"]
    assert await listed(OWNER, created_by=OWNER, format="csv", type="statsAnnual") == [
        *("t6", "t4", "t2", "t0"),
    ]
    for wrong in ({"after": "t8"}, {"after": "nope"}):
        answer = await api.ask("GET", "/exports", params=wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "E_REQUEST"), wrong
    others = await api.ask("GET", "/exports", params={"created_by": STRANGER})
    assert (others.status_code, others.json()["error"]["code"]) == (403, "E_OPERATOR")
    foreign, unknown = [
        (await api.ask("GET", "/exports", params={"after": after})).json() for after in ("t8", "t9")
    ]
    assert foreign == unknown, "a cursor of somebody else is one that does not exist"


async def test_the_old_function_answers_for_the_person_whose_token_it_is(
    api: Api, idle_service: Service
) -> None:
    create = {"action": "create", "payload": _NEW, "uid": STRANGER, "trace": 7}
    made = await _data(api, "POST", "/function", json=create)
    assert (made["_id"], made["createdBy"]) == (made["id"], OWNER)
    get = {"action": "get", "payload": {"taskId": made["id"]}, "uid": OWNER}
    assert (await _data(api, "POST", "/function", json=get))["id"] == made["id"]
    hidden = await api.ask("POST", "/function", STRANGER, json=get)
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "E_NOT_FOUND")
    unknown = await api.ask("POST", "/function", json={"action": "drop"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "E_ACTION")
    run: dict[str, Any] = {"action": "run", "payload": {}}
    refused = await api.ask("POST", "/function", json=run)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "E_OPERATOR")
    async with working(idle_service):
        swept = await _data(api, "POST", "/function", OPERATOR, json=run)
    assert set(swept) == {"started", "healed", "purged", "handled"}
    entries = await _data(api, "GET", f"/exports/{made['id']}/audit")
    assert entries[0]["origin"] == "envelope"


async def test_a_person_sees_who_they_are_and_what_they_may_still_ask_for(api: Api) -> None:
    for who, operator in ((OWNER, False), (OPERATOR, True)):
        me = await _data(api, "GET", "/me", who)
        assert (me["uid"], me["operator"], me["expiresAt"]) == (who, operator, None)
        assert me["quotas"] == {"open": None, "day": None, "reports": {}}


async def test_too_many_exports_are_refused_with_what_to_wait_for(
    settings: Settings, temporal_address: str
) -> None:
    limited = settings.model_copy(update={"quota_open": 1, "quota_per_day": 2})
    async with open_service(limited, temporal_address) as service, open_api(service) as api:
        made = await _data(api, "POST", "/exports", json=_NEW)
        quotas = (await _data(api, "GET", "/me"))["quotas"]
        assert quotas["open"] == {"limit": 1, "used": 1, "resetsAt": None}
        refused = await api.ask("POST", "/exports?force=true", json=_NEW)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["retryable"]) == (429, "E_QUOTA", True)
        assert "retry-after" not in refused.headers, "nobody knows when an export ends"
        await _data(api, "POST", f"/exports/{made['id']}/cancel")
        second = await _data(api, "POST", "/exports?force=true", json=_NEW)
        await _data(api, "POST", f"/exports/{second['id']}/cancel")
        for query in ("force=true", "dry_run=true"):
            tomorrow = await api.ask("POST", f"/exports?{query}", json=_NEW)
            assert tomorrow.status_code == 429
            assert 0 < int(tomorrow.headers["retry-after"]) <= 24 * 60 * 60


async def test_a_person_learns_what_can_be_asked_for(api: Api) -> None:
    types = await _data(api, "GET", "/types")
    assert {found["type"] for found in types} >= {"statsMonthly", "statsAnnual", "recordsDetail"}
    monthly = await _data(api, "GET", "/types/statsMonthly")
    assert monthly in types
    assert monthly["params"]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert monthly["params"]["required"] == ["year", "month"]
    assert "xlsx" in monthly["formats"]
    assert (monthly["periods"], monthly["periodParams"]) == (["previous month"], ["year", "month"])
    assert monthly["fileName"] == "statsMonthly-2026-10.csv"
    assert monthly["timezone"] == "Asia/Shanghai"
    assert [column["name"] for column in monthly["columns"]][:2] == ["day", "category"]
    detail = await _data(api, "GET", "/types/recordsDetail")
    # A form lets people choose the last day, and sends the day after it.
    assert detail["params"]["properties"]["to"]["x-exclusive"] is True
    unknown = await api.ask("GET", "/types/nope")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "E_TYPE")

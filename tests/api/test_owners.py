"""Two people over HTTP: for each of them, the other's exports do not exist.

The same is shown for the client, the commands and the envelope in `tests/client/test_owners.py`.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from bson import ObjectId

from exports.models import TaskStatus
from tests.support.api import OPERATOR, OWNER, STRANGER, Api, open_api
from tests.support.protections import protected_by
from tests.support.service import MONTH, Service

NOT_THERE = "0123456789abcdef01234567"
# What a call is sent with, for those that need something.
_SENT: dict[str, dict[str, Any]] = {
    "POST /exports/{id}/cancel": {"json": {"reason": "mine"}},
    "GET /exports/{id}/file": {"params": {"as": "json"}},
}


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as running:
        yield running


def _calls(api: Api) -> list[tuple[str, str]]:
    """Return every call that names an export."""
    paths = api.app.openapi()["paths"]
    return [
        (method.upper(), path)
        for path in paths
        if path.startswith("/exports/{id}")
        for method in paths[path]
    ]


def _seen(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return all that one can see of an answer, but the time of day."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
    return answer.status_code, answer.content, headers


@protected_by(
    "exports/api/who.py", "return None if self.operator else self.uid", instead="return None"
)
async def test_an_export_of_somebody_else_is_one_that_does_not_exist(
    api: Api, idle_service: Service
) -> None:
    tasks = idle_service.database["ExportTasks"]
    documents: list[dict[str, Any]] = [
        {
            "_id": ObjectId(),
            "type": "statsMonthly",
            "params": MONTH,
            "status": status.value,
            "createdBy": OWNER,
            "createdAt": 1,
            "fileName": "a.csv",
            "downloadUrl": "https://link",
            "runId": "run-1",
        }
        for status in TaskStatus
    ]
    await tasks.insert_many(documents)
    before = await tasks.find({}).to_list()
    calls = _calls(api)
    assert len(calls) >= 8
    for method, path in calls:
        sent = _SENT.get(f"{method} {path}", {})
        nothing = await api.ask(method, path.replace("{id}", NOT_THERE), STRANGER, **sent)
        assert nothing.status_code == 404
        assert nothing.json()["error"]["msg"] == "There is no such task."
        for document in documents:
            hidden = await api.ask(
                method, path.replace("{id}", str(document["_id"])), STRANGER, **sent
            )
            assert _seen(hidden) == _seen(nothing), (method, path, document["status"])
        if method == "GET" and not path.endswith("events"):
            own = await api.ask(method, path.replace("{id}", str(documents[0]["_id"])), **sent)
            assert own.json() != nothing.json(), "the owner does see it"
    assert await tasks.find({}).to_list() == before


async def test_a_tag_or_a_key_of_somebody_else_tells_nothing(
    api: Api, idle_service: Service
) -> None:
    task = await idle_service.create(created_by=OWNER, idempotency_key="october")
    tag = (await api.ask("GET", f"/exports/{task.id}")).headers["etag"]
    for named in (tag, "*", f"W/{tag}"):
        answer = await api.ask(
            "GET", f"/exports/{task.id}", STRANGER, headers={"If-None-Match": named}
        )
        assert answer.status_code == 404
    own = await api.ask("GET", f"/exports/{task.id}", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (own.status_code, own.content, own.headers["etag"]) == (304, b"", tag)
    key = {"Idempotency-Key": "october"}
    new = {"type": "statsMonthly", "params": MONTH}
    asked = await api.ask("POST", "/exports", STRANGER, json=new, headers=key)
    assert asked.status_code == 201
    assert asked.json()["data"]["id"] != task.id


async def test_an_operator_sees_all_and_asks_in_their_own_name(
    api: Api, idle_service: Service
) -> None:
    task = await idle_service.create(created_by=OWNER)
    assert (await api.ask("GET", f"/exports/{task.id}", OPERATOR)).status_code == 200
    new = {"type": "statsMonthly", "params": MONTH}
    asked = await api.ask("POST", "/exports", OPERATOR, json=new)
    assert asked.json()["data"]["createdBy"] == OPERATOR
    audit = await api.ask("GET", f"/exports/{task.id}/audit", OPERATOR)
    assert re.search('"user":"u1"', audit.text)

"""The gateway of the old function can go on sending its envelopes."""

import json
from typing import Any

import pytest

from exports.envelope import handle
from exports.models import TaskStatus
from tests.support.service import MONTH, Service, insert_orders

CREATE = {"type": "statsMonthly", "params": MONTH}


def envelope(action: object, payload: object, uid: object = "u1") -> dict[str, object]:
    return {"action": action, "payload": payload, "uid": uid}


async def asked(service: Service, request: Any) -> Any:
    answer = await handle(service.client, request)
    assert answer == json.loads(json.dumps(answer)), "a gateway sends it on as JSON"
    return answer


async def code(service: Service, request: Any) -> str:
    answer = await asked(service, request)
    assert answer["ok"] is False
    assert set(answer) == {"ok", "error"}
    assert set(answer["error"]) == {"code", "msg"}
    return str(answer["error"]["code"])


async def test_a_gateway_creates_an_export_and_gets_its_link(service: Service) -> None:
    await insert_orders(service.database)
    created = await asked(service, envelope("create", {**CREATE, "format": "xlsx"}))
    assert created["ok"] is True
    task_id = created["data"]["_id"]
    assert created["data"]["id"] == task_id
    assert (created["data"]["createdBy"], created["data"]["format"]) == ("u1", "xlsx")

    await service.ended(task_id)
    found = (await asked(service, envelope("get", {"id": task_id})))["data"]
    assert (found["status"], found["rows"]) == ("done", 3)
    assert found["downloadUrl"].startswith("http")


@pytest.mark.parametrize("name", ["id", "_id", "taskId"])
async def test_a_task_may_be_named_by_any_field_that_old_clients_use(
    idle_service: Service, name: str
) -> None:
    task = await idle_service.create()
    answer = await asked(idle_service, envelope("get", {name: task.id}))
    assert answer["data"]["_id"] == task.id


async def test_a_gateway_cancels_an_export_and_says_why(idle_service: Service) -> None:
    task = await idle_service.create()
    run = idle_service.run_of(task.id)
    await run.terminate()
    answer = await asked(idle_service, envelope("cancel", {"id": task.id, "reason": "wrong month"}))
    assert (answer["data"]["status"], answer["data"]["cancelReason"]) == (
        "cancelled",
        "wrong month",
    )


async def test_the_old_timer_sweeps_without_naming_a_person(service: Service) -> None:
    await insert_orders(service.database)
    task_id = f"by-hand-{service.settings.task_queue}"  # all tests share one Temporal
    stored = {"_id": task_id, "type": "statsMonthly", "params": MONTH, "status": "pending"}
    await service.database["ExportTasks"].insert_one({**stored, "createdBy": "u7"})
    answer = await asked(service, {"action": "run"})
    assert answer == {"ok": True, "data": {"started": 1, "healed": 0, "purged": 0, "handled": 1}}
    assert (await service.ended(task_id)).status is TaskStatus.DONE


@pytest.mark.parametrize("action", ["get", "cancel"])
async def test_somebody_elses_task_does_not_exist(idle_service: Service, action: str) -> None:
    task = await idle_service.create(created_by="u1")
    assert await code(idle_service, envelope(action, {"id": task.id}, uid="u2")) == "E_NOT_FOUND"
    assert (await idle_service.client.get(task.id, created_by="u1")).status is TaskStatus.PENDING


@pytest.mark.parametrize("action", ["drop", "", None, 7, {"$ne": 1}, ["create"]])
async def test_an_unknown_action_is_refused_and_the_known_ones_are_named(
    idle_service: Service, action: object
) -> None:
    answer = await asked(idle_service, envelope(action, {}))
    assert answer["error"]["code"] == "E_ACTION"
    assert "create, run, get, cancel" in answer["error"]["msg"]


@pytest.mark.parametrize("request_", [None, [], "create", 7])
async def test_a_request_that_is_not_an_envelope_is_refused(
    idle_service: Service, request_: object
) -> None:
    assert await code(idle_service, request_) == "E_REQUEST"


@pytest.mark.parametrize("action", ["create", "get", "cancel"])
@pytest.mark.parametrize("uid", [None, "", 7, {"$ne": ""}, ["u1"], "\ud800"])
async def test_an_envelope_must_say_who_asks(
    idle_service: Service, action: str, uid: object
) -> None:
    task = await idle_service.create()
    payload = CREATE if action == "create" else {"id": task.id}
    assert await code(idle_service, envelope(action, payload, uid=uid)) == "E_REQUEST"
    assert await code(idle_service, {"action": action, "payload": payload}) == "E_REQUEST"
    assert [task.id] == [found.id for found in await idle_service.client.list(created_by=None)]


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("create", None),
        ("create", [CREATE]),
        ("create", {}),
        ("create", {**CREATE, "status": "done"}),
        ("create", {**CREATE, "params": "2026"}),
        ("create", {**CREATE, "format": 1}),
        ("create", {**CREATE, "createdBy": "u2"}),
        ("get", {}),
        ("get", {"id": ""}),
        ("get", {"id": {"$ne": None}}),
        ("get", {"id": "a", "taskId": "a"}),
        ("get", {"id": "a", "reason": "none"}),
        ("cancel", {"id": "a", "reason": 1}),
        ("run", {"limit": 5}),
        ("run", []),
    ],
)
async def test_a_payload_of_the_wrong_shape_is_refused(
    idle_service: Service, action: str, payload: object
) -> None:
    assert await code(idle_service, envelope(action, payload)) == "E_REQUEST"
    assert await idle_service.client.list(created_by=None) == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({**CREATE, "type": "secret"}, "E_TYPE"),
        ({**CREATE, "format": "pdf"}, "E_FORMAT"),
        ({**CREATE, "params": {"year": 2026, "month": 13}}, "E_PARAMS"),
        ({**CREATE, "params": {"year": {"$gt": 0}, "month": 1}}, "E_PARAMS"),
        ({"type": "statsMonthly"}, "E_PARAMS"),
    ],
)
async def test_a_refusal_of_the_report_is_answered_with_its_code(
    idle_service: Service, payload: object, expected: str
) -> None:
    assert await code(idle_service, envelope("create", payload)) == expected


async def test_what_a_client_sends_is_not_sent_back_in_an_error(idle_service: Service) -> None:
    secret = "s3cr3t" * 20
    for request in (
        envelope("create", {**CREATE, secret: secret}),
        envelope(secret, {}),
        envelope("create", {"type": secret}),
        envelope("get", {"id": secret}),
    ):
        answer = await asked(idle_service, request)
        assert secret not in answer["error"]["msg"]


async def test_an_unexpected_error_is_answered_without_its_details(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("uid u1")

    monkeypatch.setattr(idle_service.client, "get", broken)
    answer = await asked(idle_service, envelope("get", {"id": "a"}))
    assert answer["error"] == {
        "code": "E_INTERNAL",
        "msg": "Something went wrong inside the service.",
    }
    assert "ZeroDivisionError" in caplog.text
    assert "u1" not in caplog.text

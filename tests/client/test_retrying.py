"""After an outage: all failed exports again, by one call."""

from typing import Any, Final

import pytest
from bson import ObjectId
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from exports.client import retrying
from exports.client.retrying import RetriedAll
from exports.clock import now_ms
from exports.errors import RequestError
from exports.models import TaskStatus
from tests.support.service import USER, Service
from tests.support.stored_tasks import insert_task

OTHER: Final = "u2"
STORE: Final = {"code": "E_STORE", "msg": "The object store is away."}


async def _failed(service: Service, **fields: Any) -> str:
    return await insert_task(
        service, **{"status": "failed", "error": STORE, "finishedAt": now_ms(), **fields}
    )


async def _statuses(service: Service) -> dict[str, str]:
    found = await service.database["ExportTasks"].find({}, {"status": True}).to_list()
    return {str(document["_id"]): document["status"] for document in found}


async def test_all_failed_exports_run_again_in_pages_and_once(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "_PAGE", 3)
    client = idle_service.client
    mine = [await _failed(idle_service, retries=3) for _ in range(7)]
    theirs = [await _failed(idle_service, createdBy=OTHER) for _ in range(2)]
    broken = f"{ObjectId()}-payment"
    await idle_service.temporal.start_workflow("Payment", id=broken, task_queue="nobody")
    await _failed(idle_service, _id=broken, workflowId=broken, createdBy=OTHER)
    done = await insert_task(idle_service, status="done")
    counted = await client.retry_all(created_by=USER, dry_run=True)
    assert counted == RetriedAll(found=7)
    assert {*(await _statuses(idle_service)).values()} == {"failed", "done"}
    assert await client.retry_all(created_by=USER) == RetriedAll(found=7, retried=7)
    assert await client.retry_all(created_by=USER) == RetriedAll()
    assert await _statuses(idle_service) == {
        **dict.fromkeys(mine, "pending"),
        **dict.fromkeys([*theirs, broken], "failed"),
        done: "done",
    }
    for task_id in mine:
        document = await idle_service.document(task_id)
        assert (document["retries"], "error" in document) == (0, False)
        run = await idle_service.run_of(task_id).describe()
        assert run.status == WorkflowExecutionStatus.RUNNING
    audit = await client.audit(mine[0], created_by=USER)
    assert [(entry.did, entry.user) for entry in audit] == [("retried", USER)]
    # An operator sees all. What can't run does not stop the others.
    result = await client.retry_all(created_by=None)
    assert result == RetriedAll(found=3, retried=2, refused={"E_TASK": 1})


async def test_only_those_that_are_meant_run_again(idle_service: Service) -> None:
    now = now_ms()
    meant = await _failed(idle_service, finishedAt=now - 1000)
    for other in (
        *({"error": {"code": "E_ROWS", "msg": "Too many."}}, {"type": "statsAnnual"}),
        *({"finishedAt": now - 3_600_000}, {"finishedAt": [now]}, {"error": None}),
    ):
        await _failed(idle_service, **other)
    result = await idle_service.client.retry_all(
        created_by=None, code="E_STORE", type="statsMonthly", failed_since=now - 60_000
    )
    assert result == RetriedAll(found=1, retried=1)
    statuses = await _statuses(idle_service)
    assert [task_id for task_id, status in statuses.items() if status == "pending"] == [meant]
    wrongs: list[dict[str, Any]] = [{"code": "\udcff"}, {"type": "\udcff"}, {"failed_since": -1}]
    for wrong in wrongs:
        with pytest.raises(RequestError):
            await idle_service.client.retry_all(created_by=None, **wrong)


async def test_while_temporal_is_away_it_is_asked_once_and_the_sweep_starts_them(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def away(*_: object, **given: Any) -> bool:
        asked.append(str(given["workflow_id"]))
        raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")

    monkeypatch.setattr(retrying, "_SIDE_BY_SIDE", 1)
    monkeypatch.setattr("exports.client.asking.start_export", away)
    for _ in range(4):
        await _failed(idle_service)
    assert await idle_service.client.retry_all(created_by=None) == RetriedAll(found=4, retried=4)
    assert len(asked) == 1
    found = await idle_service.client.list(created_by=None, status=TaskStatus.PENDING)
    assert all(task.next_run_at is not None and task.next_run_at <= now_ms() for task in found)
    assert len(found) == 4

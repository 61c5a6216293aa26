"""Documents that can't be run: they fail with a code, and do not hold up the others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, MaxKey, Regex
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.clock import now_ms
from exports.errors import TemporalRefusedError
from exports.models import SweepResult, TaskStatus
from exports.temporal.start import accepts_exports
from tests.support import hostile
from tests.support.service import Service, insert_orders
from tests.support.stored_tasks import insert_task


async def test_documents_that_are_not_valid_fail_with_a_code_and_do_not_hold_up_the_others(
    service: Service,
) -> None:
    await insert_orders(service.database)
    rubbish = {
        await insert_task(service, type="statsWeekly"): "E_TYPE",
        await insert_task(service, type=42): "E_TASK",
        await insert_task(service, params="2026-10"): "E_TASK",
        await insert_task(service, params={"year": {"$gt": 0}, "month": 1}): "E_PARAMS",
        await insert_task(service, params={"year": 2026, "month": 13}): "E_PARAMS",
        await insert_task(service, params={"when": datetime(2026, 1, 1, tzinfo=UTC)}): "E_TASK",
        await insert_task(service, format="docx"): "E_FORMAT",
        await insert_task(service, createdBy=None): "E_TASK",
        await insert_task(service, maxRetries="many"): "E_TASK",
        await insert_task(service, createdBy="x" * 5000): "E_TASK",
        await insert_task(service, type="y" * 5000): "E_TASK",
    }
    good = await insert_task(service, createdAt=1_790_000_000_001)
    assert (await service.client.sweep()).started == len(rubbish) + 1
    assert (await service.ended(good)).status is TaskStatus.DONE
    for task_id, code in rubbish.items():
        task = await service.ended(task_id)
        assert task.status is TaskStatus.FAILED
        assert task.error is not None
        assert task.error.code == code
    assert (await service.client.sweep()).handled == 0


async def test_an_id_that_is_not_valid_for_a_workflow_is_refused(service: Service) -> None:
    for task_id in (17, "", "x" * 201, "任" * 29, "a\nb", {"part": 1}):
        await insert_task(service, _id=task_id)
    assert await service.client.sweep() == SweepResult(started=0, healed=0, purged=0, handled=6)
    documents = await service.database["ExportTasks"].find().to_list()
    assert [(each["status"], each["error"]["code"]) for each in documents] == [
        ("failed", "E_TASK")
    ] * 6


async def test_a_document_with_the_workflow_id_of_another_fails_and_does_not_hold_up_the_others(
    service: Service,
) -> None:
    await insert_orders(service.database)
    refused = [
        await insert_task(service, status=status, workflowId=workflow_id)
        for workflow_id in (names.workflow_id("another"), "x" * 2000, "", 17, {"$gt": ""})
        for status in ("pending", "running")
    ]
    good = await insert_task(service, createdAt=1_790_000_000_001)
    assert await service.client.sweep() == SweepResult(started=1, healed=0, purged=0, handled=11)
    assert (await service.ended(good)).status is TaskStatus.DONE
    for task_id in refused:
        document = await service.document(task_id)
        assert (document["status"], document["error"]["code"]) == ("failed", "E_TASK")


NOT_TAKEN: dict[str, list[object]] = {
    "runId": [float("nan"), 7, ["a"], [None], {"$gt": ""}, Regex("a"), hostile.deep(30)],
    "runStartedAt": [
        9e15,
        [9e15],
        [0],
        "soon",
        float("nan"),
        Decimal128("9E15"),
        MaxKey(),
        {"a": 1},
    ],
    "nextRunAt": [[0], [now_ms() + 3_600_000], [], [[0]], 9e15, float("inf")],
    "retries": [10**9, 1e300, 0.5, "1", True, [0], {"$inc": 1}, Decimal128("1")],
    "maxRetries": [101, -1, float("nan"), 0.5, "3", True, [3], {"$inc": 1}],
}
"""Fields of a task that runs and sweeps act on, and values that they can't act on."""


@pytest.mark.parametrize("status", ["pending", "running"])
@pytest.mark.parametrize("field", NOT_TAKEN)
async def test_a_task_that_no_run_could_take_fails_and_names_the_field(
    service: Service, field: str, status: str
) -> None:
    await insert_orders(service.database)
    tasks = [
        await insert_task(service, status=status, **{field: value}) for value in NOT_TAKEN[field]
    ]
    assert (await service.client.sweep()).handled == len(tasks)
    for task_id in tasks:
        task = await service.ended(task_id)
        assert (task.status, task.error and task.error.code) == (TaskStatus.FAILED, "E_TASK")
        assert task.error is not None
        assert field in task.error.msg
    assert (await service.client.sweep()).handled == 0


@pytest.mark.parametrize("retries", [None, -5, float("nan"), 3.0])
async def test_a_number_of_failed_attempts_that_can_be_counted_on_is_taken_as_it_is(
    service: Service, retries: object
) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, retries=retries)
    await service.client.sweep()
    task = await service.ended(task_id)
    assert (task.status, task.retries) == (TaskStatus.DONE, 3 if retries == 3.0 else 0)


async def test_a_task_that_temporal_refuses_fails_and_does_not_hold_up_the_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Client.start_workflow

    # A fake answer of Temporal for one task.
    async def picky(self: Client, *given: Any, **named: Any) -> Any:
        if named["id"] == names.workflow_id("refused"):
            raise RPCError("too much of it", RPCStatusCode.INVALID_ARGUMENT, b"")
        return await start(self, *given, **named)

    monkeypatch.setattr(Client, "start_workflow", picky)
    await insert_orders(service.database)
    await insert_task(service, _id="refused")
    good = await insert_task(service, createdAt=1_790_000_000_001)
    swept = await service.client.sweep()
    assert (swept.started, swept.handled) == (1, 2)
    assert (await service.ended(good)).status is TaskStatus.DONE
    assert (await service.document("refused"))["error"]["code"] == "E_TASK"


async def test_if_temporal_refuses_every_export_no_document_is_blamed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Client.start_workflow

    # A fake answer, of a server that is set up wrongly.
    async def refusing(self: Client, workflow: str, *given: Any, **named: Any) -> Any:
        if workflow == names.EXPORT_WORKFLOW:
            raise RPCError("not this type", RPCStatusCode.INVALID_ARGUMENT, b"")
        return await start(self, workflow, *given, **named)

    await insert_orders(service.database)
    tasks = [await insert_task(service), await insert_task(service, status="running")]
    with monkeypatch.context() as refused:
        refused.setattr(Client, "start_workflow", refusing)
        with pytest.raises(TemporalRefusedError, match="refuses to start any export"):
            await service.client.sweep()
    for task_id, status in zip(tasks, ("pending", "running"), strict=True):
        assert (await service.document(task_id))["status"] == status
    assert await service.client.sweep() == SweepResult(started=1, healed=1, purged=0, handled=2)
    for task_id in tasks:
        assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_temporal_says_before_anything_starts_whether_it_accepts_exports(
    service: Service, task_queue: str
) -> None:
    task = await service.create()
    used = names.workflow_id(task.id)
    assert await accepts_exports(service.temporal, task_queue=task_queue, used_id=used)
    # A real server answers for a queue whose name is too long.
    assert not await accepts_exports(service.temporal, task_queue="q" * 2000, used_id=used)

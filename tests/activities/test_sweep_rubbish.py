"""Documents that can't be run: they fail with a code, and do not hold up the others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from dev.endpoints import Endpoints
from exports import names
from exports.errors import TemporalRefusedError
from exports.models import SweepResult, TaskStatus
from exports.temporal.converter import data_converter
from exports.temporal.start import accepts_exports
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


@pytest.mark.parametrize("task_id", [17, "", "x" * 201, "任" * 29, "a\nb", {"part": 1}])
async def test_an_id_that_is_not_valid_for_a_workflow_is_refused(
    service: Service, task_id: object
) -> None:
    await insert_task(service, _id=task_id)
    assert await service.client.sweep() == SweepResult(started=0, healed=0, purged=0, handled=1)
    document = await service.database["ExportTasks"].find_one({})
    assert document is not None
    assert (document["status"], document["error"]["code"]) == ("failed", "E_TASK")


@pytest.mark.parametrize("status", ["pending", "running"])
@pytest.mark.parametrize(
    "workflow_id", [names.workflow_id("another"), "x" * 2000, "", 17, {"$gt": ""}]
)
async def test_a_document_with_the_workflow_id_of_another_fails_and_does_not_hold_up_the_others(
    service: Service, status: str, workflow_id: object
) -> None:
    await insert_orders(service.database)
    task_id = await insert_task(service, status=status, workflowId=workflow_id)
    good = await insert_task(service, createdAt=1_790_000_000_001)
    assert await service.client.sweep() == SweepResult(started=1, healed=0, purged=0, handled=2)
    assert (await service.ended(good)).status is TaskStatus.DONE
    document = await service.document(task_id)
    assert (document["status"], document["error"]["code"]) == ("failed", "E_TASK")


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

    # A fake answer: what the server says while a search attribute is missing.
    async def refusing(self: Client, workflow: str, *given: Any, **named: Any) -> Any:
        if workflow == names.EXPORT_WORKFLOW:
            raise RPCError("no mapping for ExportType", RPCStatusCode.INVALID_ARGUMENT, b"")
        return await start(self, workflow, *given, **named)

    await insert_orders(service.database)
    tasks = [await insert_task(service), await insert_task(service, status="running")]
    with monkeypatch.context() as refused:
        refused.setattr(Client, "start_workflow", refusing)
        with pytest.raises(TemporalRefusedError, match=r"search attribute.*ExportType"):
            await service.client.sweep()
    for task_id, status in zip(tasks, ("pending", "running"), strict=True):
        assert (await service.document(task_id))["status"] == status
    assert await service.client.sweep() == SweepResult(started=1, healed=1, purged=0, handled=2)
    for task_id in tasks:
        assert (await service.ended(task_id)).status is TaskStatus.DONE


async def test_temporal_says_before_anything_starts_whether_it_accepts_exports(
    service: Service, endpoints: Endpoints, task_queue: str
) -> None:
    task = await service.create()
    used = names.workflow_id(task.id)
    assert await accepts_exports(service.temporal, task_queue=task_queue, used_id=used)
    # A real server answers for a namespace without the search attributes of exports.
    await service.temporal.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=task_queue, workflow_execution_retention_period=Duration(seconds=86400)
        )
    )
    bare = await Client.connect(
        endpoints.temporal_address, namespace=task_queue, data_converter=data_converter()
    )
    assert not await accepts_exports(bare, task_queue=task_queue, used_id="any")

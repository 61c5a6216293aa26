"""A namespace without our search attributes, as on Temporal Cloud before somebody adds them."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.bridge.services_generated import OperatorService
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from dev.endpoints import Endpoints
from exports import names
from exports.models import TaskStatus
from exports.server_errors.temporal import temporal_error
from exports.settings import Settings
from exports.temporal import search_attributes
from exports.temporal.converter import data_converter
from exports.temporal.search_attributes import (
    KnownSearchAttributes,
    ensure_search_attributes,
    knows_search_attributes,
)
from tests.support.service import MONTH, USER, Service, insert_orders, open_service, working
from tests.support.stored_tasks import insert_task

_FAILED_TASK: Any = "workflow_task_failed_event_attributes"


@pytest.fixture
async def bare(endpoints: Endpoints, task_queue: str) -> Client:
    """A client of a namespace without search attributes, of a real server."""
    client = await Client.connect(
        endpoints.temporal_address, namespace=task_queue, data_converter=data_converter()
    )
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=task_queue, workflow_execution_retention_period=Duration(seconds=86400)
        )
    )
    return client


@pytest.fixture
async def bare_service(settings: Settings, bare: Client) -> AsyncIterator[Service]:
    async with open_service(settings, "", temporal=bare) as service:
        yield service


def _operators_only(monkeypatch: pytest.MonkeyPatch, status: RPCStatusCode) -> None:
    """Answer as a stand-in for Temporal Cloud, which has no OperatorService for clients."""

    async def refuse(*_: object, **__: object) -> None:
        raise RPCError("Request unauthorized.", status, b"")

    monkeypatch.setattr(OperatorService, "list_search_attributes", refuse)
    monkeypatch.setattr(OperatorService, "add_search_attributes", refuse)


@pytest.mark.parametrize(
    "status",
    [
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNIMPLEMENTED,
        RPCStatusCode.INVALID_ARGUMENT,  # of an own cluster that has no room for more of them
        # The store for visibility is away, or answers no more questions this second.
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    ],
)
async def test_a_worker_that_can_not_add_search_attributes_starts_and_says_how_to_add_them(
    bare: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: RPCStatusCode,
) -> None:
    _operators_only(monkeypatch, status)
    if not temporal_error(status).permanent:
        monkeypatch.setattr(Client, "count_workflows", OperatorService.list_search_attributes)
    with caplog.at_level(logging.WARNING):
        await ensure_search_attributes(bare)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    for said in (
        status.name,
        f"temporal operator search-attribute create --namespace {bare.namespace} --name ExportType",
        f"tcld namespace search-attributes add --namespace {bare.namespace} --search-attribute",
        "Cloud UI",
        *names.SEARCH_ATTRIBUTES,
    ):
        assert said in caplog.text


async def test_where_they_have_been_added_nothing_is_asked_of_the_operators_api(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _operators_only(monkeypatch, RPCStatusCode.PERMISSION_DENIED)
    await ensure_search_attributes(temporal_client)
    assert caplog.records == []


async def test_exports_run_to_their_end_without_search_attributes_and_with_them_once_added(
    bare_service: Service, task_queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_attributes, "_ASK_AGAIN_AFTER", 0.0)
    temporal = bare_service.temporal
    await insert_orders(bare_service.database)

    async def directly(name: str, **changes: Any) -> str:
        request = {"type": "statsMonthly", "params": MONTH, "createdBy": USER} | changes
        await temporal.start_workflow(
            names.EXPORT_WORKFLOW, request, id=name, task_queue=task_queue
        )
        return name

    async with working(bare_service):
        asked = await bare_service.create()
        inserted = await insert_task(bare_service)
        started = await directly("started-directly")
        refused = await directly("refused", type="statsWeekly")
        # Two, if the namespace was too new for the client.
        assert (await bare_service.client.sweep()).started in (1, 2)
        for task_id in (asked.id, inserted, started):
            assert (await bare_service.ended(task_id)).status is TaskStatus.DONE
        with pytest.raises(WorkflowFailureError) as failed:
            await temporal.get_workflow_handle(refused).result()
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "E_TYPE"
        recurring = await bare_service.client.recurring.create(
            "statsMonthly",
            period="previous month",
            cron="0 6 1 * *",
            timezone="Asia/Shanghai",
            created_by=USER,
        )
        assert recurring.state == "active"

        await ensure_search_attributes(temporal)  # it may add them here
        assert await knows_search_attributes(temporal)
        again = await bare_service.create(format="ndjson")
        later = (names.workflow_id(again.id), await directly("later"))
        for workflow in later:
            result = await temporal.get_workflow_handle(workflow).result()
            assert result["status"] == TaskStatus.DONE
    for workflow in (names.workflow_id(asked.id), names.workflow_id(inserted), started, refused):
        run = temporal.get_workflow_handle(workflow)
        assert not set((await run.describe()).search_attributes) & set(names.SEARCH_ATTRIBUTES)
        events = (await run.fetch_history()).events
        assert not [event for event in events if event.HasField(_FAILED_TASK)]
    for workflow in later:
        found = (await temporal.get_workflow_handle(workflow).describe()).typed_search_attributes
        assert found.get(SearchAttributeKey.for_keyword(names.SEARCH_STATUS)) == "done"


async def test_an_export_gets_search_attributes_although_one_server_did_not_know_them_yet(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Client.start_workflow
    refusals = [RPCError("no mapping for ExportType", RPCStatusCode.INVALID_ARGUMENT, b"")]

    # A fake answer, once: for some seconds, some servers of a cluster do not know a new one.
    async def lagging(self: Client, *given: Any, **named: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await start(self, *given, **named)

    monkeypatch.setattr(Client, "start_workflow", lagging)
    await insert_orders(service.database)
    task = await service.exported()
    assert task.status is TaskStatus.DONE
    await service.run_of(task.id).result()
    found = (await service.run_of(task.id).describe()).typed_search_attributes
    for name, value in (
        (names.SEARCH_STATUS, "done"),
        (names.SEARCH_TYPE, "statsMonthly"),
        (names.SEARCH_CREATED_BY, USER),
    ):
        assert found.get(SearchAttributeKey.for_keyword(name)) == value


async def test_while_temporal_does_not_say_search_attributes_count_as_missing(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise RPCError("visibility is away", RPCStatusCode.UNAVAILABLE, b"")

    monkeypatch.setattr(Client, "count_workflows", away)
    known = KnownSearchAttributes(temporal_client)
    assert not await known.all_there()
    monkeypatch.undo()
    assert not await known.all_there()  # it is asked again after a minute
    assert await KnownSearchAttributes(temporal_client).all_there()

"""Any Temporal client can start and cancel exports, for example the `temporal` command."""

import asyncio
import json
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError, CancelledError

from dev import binaries
from exports import names
from exports.models import ExportRequest, TaskStatus
from exports.temporal.start import summary_of
from tests.support.service import USER, Service, insert_orders, working

LONGEST = 150
"""Seconds after which a test stops waiting and fails."""

REQUEST = {
    "type": "statsMonthly",
    "params": {"year": 2026, "month": 10},
    "createdBy": USER,
    "format": "csv",
}


async def _temporal(service: Service, *arguments: str) -> str:
    address = service.temporal.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        binaries.temporal(),
        *arguments,
        "--address",
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _start(service: Service, workflow_id: str, *inputs: str) -> None:
    given = [part for text in inputs for part in ("--input", text)]
    await _temporal(
        service,
        *("workflow", "start", "--type", "ExportWorkflow", "--workflow-id", workflow_id),
        *("--task-queue", service.settings.task_queue),
        *given,
    )


async def test_the_temporal_cli_starts_an_export_and_the_workflow_makes_the_document(
    service: Service, task_queue: str
) -> None:
    await insert_orders(service.database)
    await _start(service, f"by-hand-{task_queue}", json.dumps(REQUEST))
    result = await service.temporal.get_workflow_handle(f"by-hand-{task_queue}").result()
    assert (result["status"], result["rows"]) == ("done", 3)
    task = await service.client.get(result["taskId"], created_by=USER)
    assert (task.status, task.workflow_id) == (TaskStatus.DONE, f"by-hand-{task_queue}")
    assert task.created_at is not None


async def test_the_format_may_be_left_out(service: Service, task_queue: str) -> None:
    await insert_orders(service.database)
    given = {key: value for key, value in REQUEST.items() if key != "format"}
    await _start(service, task_queue, json.dumps(given))
    result = await service.temporal.get_workflow_handle(task_queue).result()
    assert result["fileName"] == "statsMonthly-2026-10.csv"


async def test_the_temporal_cli_cancels_by_signal(idle_service: Service, task_queue: str) -> None:
    await _start(idle_service, task_queue, json.dumps(REQUEST))
    await _temporal(
        idle_service,
        *("workflow", "signal", "--workflow-id", task_queue, "--name", "cancel"),
        *("--input", '"wrong month"'),
    )
    async with working(idle_service):
        with pytest.raises(WorkflowFailureError) as closed:
            await idle_service.temporal.get_workflow_handle(task_queue).result()
    assert isinstance(closed.value.cause, CancelledError)
    task = await idle_service.client.get(task_queue, created_by=USER)
    assert (task.status, task.cancel_reason) == (TaskStatus.CANCELLED, "wrong month")


async def test_an_export_started_by_hand_runs_again_under_its_own_id(
    service: Service, task_queue: str
) -> None:
    await _start(service, task_queue, json.dumps(REQUEST))
    handle = service.temporal.get_workflow_handle(task_queue)
    with pytest.raises(WorkflowFailureError):
        await handle.result()  # there are no orders yet
    await insert_orders(service.database)
    await service.client.retry(task_queue, created_by=USER)
    task = await service.ended(task_queue)
    assert (task.status, task.workflow_id) == (TaskStatus.DONE, task_queue)


async def test_an_export_started_by_hand_is_healed_under_its_own_id(
    service: Service, task_queue: str
) -> None:
    await insert_orders(service.database)
    await _start(service, task_queue, json.dumps(REQUEST))
    await service.temporal.get_workflow_handle(task_queue).result()
    await service.database["ExportTasks"].update_one({}, {"$set": {"status": "running"}})
    assert (await service.client.sweep()).healed == 1
    assert (await service.ended(task_queue)).status is TaskStatus.DONE


async def test_a_workflow_id_is_not_used_again_for_another_export(
    service: Service, task_queue: str
) -> None:
    await insert_orders(service.database)
    await _start(service, task_queue, json.dumps(REQUEST))
    handle = service.temporal.get_workflow_handle(task_queue)
    first = await handle.result()
    await _start(service, task_queue, json.dumps(REQUEST))
    assert await handle.result() == first
    for other in (
        {"createdBy": "u2"},
        {"params": {"year": 2026, "month": 9}},
        {"format": "xlsx"},
    ):
        await _start(service, task_queue, json.dumps(REQUEST | other))
        with pytest.raises(WorkflowFailureError) as closed:
            await handle.result()
        assert isinstance(closed.value.cause, ApplicationError)
        assert closed.value.cause.type == "E_REQUEST"
    assert (await service.document(task_queue))["status"] == "done"


async def test_a_workflow_started_under_the_id_of_a_stored_task_does_not_get_at_it(
    service: Service, task_queue: str
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.run_of(task.id).result()
    before, kept = await service.document(task.id), service.keys()
    for workflow_id in (names.workflow_id(task.id), task.id):
        handle = await service.temporal.start_workflow(
            "ExportWorkflow",
            {**REQUEST, "createdBy": "somebody-else"},
            id=workflow_id,
            task_queue=task_queue,
        )
        with pytest.raises(WorkflowFailureError) as closed:
            await handle.result()
        assert isinstance(closed.value.cause, ApplicationError)
        assert closed.value.cause.type == "E_REQUEST"
    await service.client.sweep()
    assert await service.client.list(created_by="somebody-else") == []
    assert await service.document(task.id) == before
    assert service.keys() == kept


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ((), "E_REQUEST"),
        (("null",), "E_REQUEST"),
        (('"statsMonthly"',), "E_REQUEST"),
        (("[]",), "E_REQUEST"),
        (("42",), "E_REQUEST"),
        (("{}",), "E_REQUEST"),
        (('{"type": "statsMonthly"}',), "E_REQUEST"),
        ((json.dumps({**REQUEST, "params": "2026-10"}),), "E_REQUEST"),
        ((json.dumps({**REQUEST, "createdBy": ""}),), "E_REQUEST"),
        ((json.dumps({**REQUEST, "createdBy": {"$gt": ""}}),), "E_REQUEST"),
        ((json.dumps({**REQUEST, "color": "red"}),), "E_REQUEST"),
        ((json.dumps({**REQUEST, "taskId": "of-somebody-else"}),), "E_REQUEST"),
        ((json.dumps(REQUEST), json.dumps(REQUEST)), "E_REQUEST"),
        ((json.dumps({**REQUEST, "type": "statsWeekly"}),), "E_TYPE"),
        ((json.dumps({**REQUEST, "format": "docx"}),), "E_FORMAT"),
        ((json.dumps({**REQUEST, "params": {"year": {"$gt": 0}, "month": 1}}),), "E_PARAMS"),
        ((json.dumps({**REQUEST, "params": {"year": 2026, "month": 13}}),), "E_PARAMS"),
    ],
)
async def test_a_wrong_input_fails_at_once(
    service: Service, task_queue: str, inputs: tuple[str, ...], code: str
) -> None:
    await _start(service, task_queue, *inputs)
    handle = service.temporal.get_workflow_handle(task_queue)
    with pytest.raises(WorkflowFailureError) as closed:
        await asyncio.wait_for(handle.result(), LONGEST)
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == code
    assert len(closed.value.cause.message) < 300


async def test_an_input_in_an_unknown_encoding_fails_at_once(
    service: Service, task_queue: str
) -> None:
    await _temporal(
        service,
        *("workflow", "start", "--type", "ExportWorkflow", "--workflow-id", task_queue),
        *("--task-queue", task_queue, "--input", "rubbish", "--input-meta", "encoding=foo/bar"),
    )
    with pytest.raises(WorkflowFailureError) as closed:
        await asyncio.wait_for(service.temporal.get_workflow_handle(task_queue).result(), LONGEST)
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == "E_REQUEST"


async def test_an_operator_reads_an_export_in_the_web_ui_without_opening_a_payload(
    service: Service,
) -> None:
    await insert_orders(service.database)
    task = await service.exported("statsAnnual", format="xlsx")
    run = service.run_of(task.id)
    await run.result()
    described = await run.describe()
    assert await described.static_summary() == f"statsAnnual 2026 for {USER}"
    found = {
        name: described.typed_search_attributes.get(SearchAttributeKey.for_keyword(name))
        for name in names.SEARCH_ATTRIBUTES
    }
    assert found == {
        names.SEARCH_TYPE: "statsAnnual",
        names.SEARCH_FORMAT: "xlsx",
        names.SEARCH_STATUS: "done",
        names.SEARCH_CREATED_BY: USER,
    }
    details: Any = await run.query("__temporal_workflow_metadata")
    assert "**done**" in str(details)
    assert "statsAnnual-2026" in str(details)
    summaries = [
        event.user_metadata.summary.data.decode()
        for event in (await run.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert '"rows of 2026-10"' in summaries
    assert '"1 rows as xlsx"' in summaries


async def test_neither_link_nor_row_nor_credential_enters_the_history(service: Service) -> None:
    await insert_orders(service.database, ("31337.42",))
    task = await service.exported()
    run = service.run_of(task.id)
    await run.result()
    # Not `to_json`, in which every payload is base64.
    history = b"".join(event.SerializeToString() for event in (await run.fetch_history()).events)
    assert b"statsMonthly-2026-10" in history
    secret = service.settings.s3_secret_access_key
    key = service.settings.s3_access_key_id
    assert secret is not None
    assert key is not None
    for leak in ("X-Amz", "31337", "图书", secret.get_secret_value(), key.get_secret_value()):
        assert leak.encode() not in history


async def test_no_repr_shows_a_link_or_a_key(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    assert task.download_url is not None
    assert "X-Amz" in task.download_url
    shown = repr(task) + str(task) + repr(service.settings) + repr(service.client)
    assert "X-Amz" not in shown
    secret = service.settings.s3_secret_access_key
    assert secret is not None
    assert secret.get_secret_value() not in shown


@pytest.mark.parametrize(
    ("params", "summary"),
    [
        ({"year": 2026, "month": 9}, "statsMonthly 2026-09 for u1"),
        ({"year": "2026"}, "statsMonthly 2026 for u1"),
        ({"year": {"$gt": 0}}, "statsMonthly for u1"),
        ({}, "statsMonthly for u1"),
    ],
)
def test_the_summary_says_the_period_if_there_is_one(params: dict[str, Any], summary: str) -> None:
    assert summary_of(ExportRequest(type="statsMonthly", params=params, created_by="u1")) == summary


async def test_an_operator_cancels_many_exports_with_one_command(
    idle_service: Service, task_queue: str
) -> None:
    await insert_orders(idle_service.database)
    unwanted = [await idle_service.create() for _ in range(3)]
    wanted = await idle_service.create("statsAnnual")
    query = (
        f'TaskQueue = "{task_queue}" AND ExecutionStatus = "Running" AND '
        'ExportType = "statsMonthly"'
    )
    while (await idle_service.temporal.count_workflows(query)).count < len(unwanted):
        await asyncio.sleep(0.05)
    await _temporal(
        idle_service,
        *("workflow", "signal", "--name", "cancel", "--query", query, "--yes"),
        *("--input", '{"reason": "the source is being restored"}', "--reason", "by hand"),
    )
    for task in unwanted:
        async with asyncio.timeout(LONGEST):
            while not await _was_signalled(idle_service, task.id):
                await asyncio.sleep(0.05)
    async with working(idle_service):
        cancelled = [await idle_service.ended(task.id) for task in unwanted]
        assert (await idle_service.ended(wanted.id)).status is TaskStatus.DONE
    assert {task.status for task in cancelled} == {TaskStatus.CANCELLED}
    assert {(await idle_service.document(task.id))["cancelReason"] for task in cancelled} == {
        "the source is being restored"
    }


async def _was_signalled(service: Service, task_id: str) -> bool:
    history = await service.run_of(task_id).fetch_history()
    return any(
        event.HasField("workflow_execution_signaled_event_attributes") for event in history.events
    )

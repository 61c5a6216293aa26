"""What a client does for the owner of a document that names things of others: it refuses."""

from typing import Any, Final

import pytest
from bson import ObjectId
from temporalio.client import WorkflowHandle

from exports import names
from exports.clock import now_ms
from exports.errors import FileExpiredError, TaskInvalidError
from exports.models import TaskStatus
from exports.tasks.task import ExportTask
from tests.support.protections import protected_by
from tests.support.service import USER, Service, working
from tests.support.stored_tasks import insert_task

OWN: Final = "6b04e9c37b18ed84111ce662"
RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
OTHERS: Final = f"files/another/{RUN}/3-1-{'0' * 32}/export.csv"


async def _insert_done(service: Service, **changes: Any) -> str:
    key = names.file_key(OWN, RUN, attempt="3-1", extension="csv")
    for name in (key, OTHERS, "invoices/10.pdf"):
        service.store.put(name, b"a file")
    file = {"runId": RUN, "objectKey": key, "fileName": "a.csv", "purgeAt": now_ms() + 3_600_000}
    return await insert_task(service, _id=ObjectId(OWN), status="done", **{**file, **changes})


async def test_a_link_is_made_to_the_file_of_a_task(idle_service: Service) -> None:
    task_id = await _insert_done(idle_service)
    task = await idle_service.client.renew(task_id, created_by=USER)
    assert OWN in str(task.download_url)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objectKey", OTHERS),
        ("objectKey", "invoices/10.pdf"),
        ("objectKey", f"files/{OWN}/{RUN}/../../../invoices/10.pdf"),
        ("objectKey", [OTHERS]),
        ("objectKey", None),
        ("runId", "another"),
        ("runId", None),
        ("fileName", "../../.bashrc"),
        ("fileName", "a\r\nSet-Cookie: b.csv"),
        ("fileName", "a\u202efdp.exe"),
        ("fileName", "x" * 256),
        ("fileName", 7),
        ("fileName", None),
    ],
)
@protected_by(
    "exports/tasks/task.py", "names.is_file_key(key, str(task_id), run_id)", instead="True"
)
async def test_no_link_is_made_if_the_document_does_not_name_a_file_of_its_own(
    idle_service: Service, field: str, value: object
) -> None:
    task_id = await _insert_done(idle_service, **{field: value})
    before = await idle_service.document(task_id)
    with pytest.raises(TaskInvalidError) as refused:
        await idle_service.client.renew(task_id, created_by=USER)
    assert ("fileName" if field == "fileName" else "objectKey") in refused.value.msg
    assert await idle_service.document(task_id) == before


@pytest.mark.parametrize("purge_at", [0, -8e15])
async def test_no_link_is_made_to_a_file_whose_time_is_over(
    idle_service: Service, purge_at: object
) -> None:
    task_id = await _insert_done(idle_service, purgeAt=purge_at)
    with pytest.raises(FileExpiredError):
        await idle_service.client.renew(task_id, created_by=USER)


@pytest.fixture
async def payment(idle_service: Service) -> WorkflowHandle[Any, Any]:
    """A workflow of another service."""
    nobody = f"{idle_service.settings.task_queue}-nobody"
    return await idle_service.temporal.start_workflow(
        "PaymentWorkflow", id=f"payment-{nobody}", task_queue=nobody
    )


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_a_cancel_does_not_reach_the_export_of_another_task(
    idle_service: Service, status: str
) -> None:
    theirs = await idle_service.create(created_by="u2")
    workflow_id = names.workflow_id(theirs.id)
    mine = await insert_task(idle_service, status=status, workflowId=workflow_id)
    cancelled = await idle_service.client.cancel(mine, created_by=USER)
    assert cancelled.status is TaskStatus.CANCELLED
    assert (await idle_service.run_of(theirs.id).describe()).history_length == 2
    assert (await idle_service.document(theirs.id))["status"] == "pending"


@protected_by(
    "exports/temporal/start.py", "found.workflow_type != names.EXPORT_WORKFLOW", instead="not found"
)
async def test_a_cancel_does_not_reach_a_workflow_of_another_service(
    idle_service: Service, payment: WorkflowHandle[Any, Any]
) -> None:
    mine = await insert_task(idle_service, _id=payment.id, workflowId=payment.id)
    with pytest.raises(TaskInvalidError, match="workflow"):
        await idle_service.client.cancel(mine, created_by=USER)
    assert (await payment.describe()).history_length == 2


@pytest.mark.parametrize("status", ["pending", "running", "failed"])
async def test_no_export_is_started_under_the_id_of_another_services_workflow(
    idle_service: Service, payment: WorkflowHandle[Any, Any], status: str
) -> None:
    mine = await insert_task(idle_service, _id=payment.id, workflowId=payment.id, status=status)
    await payment.terminate()
    if status == "failed":
        with pytest.raises(TaskInvalidError, match="workflow"):
            await idle_service.client.retry(mine, created_by=USER)
    async with working(idle_service):
        assert (await idle_service.client.sweep()).handled == 1
    latest = await idle_service.temporal.get_workflow_handle(payment.id).describe()
    assert latest.run_id == payment.first_execution_run_id
    task = await idle_service.client.get(mine, created_by=USER)
    assert (task.status, task.error and task.error.code) == (TaskStatus.FAILED, "E_TASK")


async def test_a_failed_task_of_which_nothing_can_be_read_is_retried_and_refused_with_a_code(
    service: Service,
) -> None:
    task_id = await insert_task(service, status="failed", type=None, createdBy=None, params=7)
    await service.client.retry(task_id, created_by=None)
    task = await service.ended(task_id)
    assert (task.status, task.error and task.error.code) == (TaskStatus.FAILED, "E_TASK")


@pytest.mark.parametrize("status", [["done"], ["pending", "done"], [], 7])
async def test_a_list_of_tasks_has_no_document_without_one_of_our_statuses(
    idle_service: Service, status: object
) -> None:
    await insert_task(idle_service, status=status)
    mine = await insert_task(idle_service)
    for found in (None, TaskStatus.PENDING):
        listed = await idle_service.client.list(created_by=USER, status=found)
        assert [task.id for task in listed] == [mine]


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://bucket.example/a.csv?X-Amz-Signature=1", True),
        ("http://127.0.0.1:8333/a.csv", True),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("https://example\r\nSet-Cookie: a", False),
        ("//example", False),
        (["https://example"], False),
        (7, False),
    ],
)
def test_a_link_that_is_no_address_of_the_web_is_not_shown(link: object, *, shown: bool) -> None:
    task = ExportTask.from_document({"_id": "t1", "status": "done", "downloadUrl": link})
    assert task.download_url == (link if shown else None)


@pytest.mark.parametrize("name", ["..", ".", "a/b.csv", "a\\b.csv", "/etc/passwd", "a\0b", "", 7])
def test_a_name_that_leads_out_of_a_folder_is_no_file_name(name: object) -> None:
    document = {"_id": "t1", "status": "done", "fileName": name}
    assert ExportTask.from_document(document).file_name is None


@pytest.mark.parametrize(
    "name", ["订单-2026-10.csv.gz", "گزارش\u200cها-2026.xlsx", "...a", "Übersicht 1.csv"]
)
def test_a_name_in_any_script_is_a_file_name(name: str) -> None:
    document = {"_id": "t1", "status": "done", "fileName": name}
    assert ExportTask.from_document(document).file_name == name

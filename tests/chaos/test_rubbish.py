"""What can't be read never hangs an export or a sweep: it is refused with a code, or ignored.

Anyone with access to Temporal can send anything to a workflow. If the workflow task failed because
of that, it would be tried again for ever, and the export would say nothing.
"""

import asyncio

import pytest
from temporalio.api.common.v1 import Memo, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    RequestCancelWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue

from exports import names
from exports.models import TaskStatus
from tests.support.recording import reading_held
from tests.support.rubbish import RUBBISH, Run, code_of, end_of
from tests.support.service import MONTH, PATIENCE, USER, Service, insert_orders, working


async def _started(service: Service, workflow: str, name: str, *given: object) -> Run:
    return await service.temporal.start_workflow(
        workflow,
        args=given,
        id=f"{service.settings.task_queue}-{name}",
        task_queue=service.settings.task_queue,
    )


async def test_an_export_that_is_started_with_rubbish_fails_at_once(service: Service) -> None:
    for name, given in RUBBISH.items():
        one = await _started(service, names.EXPORT_WORKFLOW, name, given)
        two = await _started(service, names.EXPORT_WORKFLOW, f"{name}-twice", given, given)
        assert await code_of(one) == await code_of(two) == "E_REQUEST", name


async def test_a_sweep_needs_no_input_and_does_its_work_whatever_it_is_given(
    service: Service,
) -> None:
    runs = [await _started(service, names.SWEEP_WORKFLOW, "without-input")]
    for name, given in RUBBISH.items():
        runs.append(await _started(service, names.SWEEP_WORKFLOW, name, given))
        runs.append(await _started(service, names.SWEEP_WORKFLOW, f"{name}-twice", given, given))
    for run in runs:
        assert await end_of(run) is WorkflowExecutionStatus.COMPLETED, run.id


async def test_a_cancel_signal_stops_the_export_whatever_it_carries(idle_service: Service) -> None:
    given = [[one] * times for one in RUBBISH.values() for times in (1, 2)]
    tasks = [await idle_service.create() for _ in given]
    for task, arguments in zip(tasks, given, strict=True):
        await idle_service.run_of(task.id).signal("cancel", args=arguments)
    async with working(idle_service):
        for task in tasks:
            run = idle_service.run_of(task.id)
            assert await end_of(run) is WorkflowExecutionStatus.CANCELED
            assert (await idle_service.ended(task.id)).status is TaskStatus.CANCELLED


async def test_a_cancel_in_the_web_ui_stops_the_export_however_long_its_reason_is(
    idle_service: Service,
) -> None:
    reason = "why " * 750_000
    task = await idle_service.create()
    await idle_service.temporal.workflow_service.request_cancel_workflow_execution(
        RequestCancelWorkflowExecutionRequest(
            namespace=idle_service.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=names.workflow_id(task.id)),
            reason=reason,
        )
    )
    async with working(idle_service):
        assert await end_of(idle_service.run_of(task.id)) is WorkflowExecutionStatus.CANCELED
    stopped = await idle_service.ended(task.id)
    assert (stopped.status, stopped.cancel_reason) == (TaskStatus.CANCELLED, reason[:500])


async def test_signals_queries_and_updates_that_do_not_exist_change_nothing(
    service: Service,
) -> None:
    await insert_orders(service.database)
    with reading_held() as held:
        run = service.run_of((await service.create()).id)
        await asyncio.wait_for(held.reached.wait(), PATIENCE.total_seconds())
        for given in RUBBISH.values():
            await run.signal("stop", given)
            await run.query("__stack_trace", given)
            with pytest.raises(WorkflowQueryFailedError):
                await run.query("progress", given)
            with pytest.raises(WorkflowUpdateFailedError):
                await run.execute_update("hurry", given)
        held.released.set()
        assert await end_of(run) is WorkflowExecutionStatus.COMPLETED


async def test_what_comes_with_a_start_and_is_not_read_changes_nothing(
    service: Service, task_queue: str
) -> None:
    await insert_orders(service.database)
    rubbish = [
        given.payload if isinstance(given, RawValue) else Payload(data=b"{}")
        for given in RUBBISH.values()
    ]
    request = {"type": "statsMonthly", "params": MONTH, "createdBy": USER}
    payloads = service.temporal.data_converter.payload_converter.to_payloads([request])
    start = StartWorkflowExecutionRequest(
        namespace=service.temporal.namespace,
        workflow_id=f"{task_queue}-by-hand",
        workflow_type=WorkflowType(name=names.EXPORT_WORKFLOW),
        task_queue=TaskQueue(name=task_queue),
        request_id=task_queue,
        input=Payloads(payloads=payloads),
        memo=Memo(fields={str(number): each for number, each in enumerate(rubbish)}),
        last_completion_result=Payloads(payloads=rubbish),
        continued_failure=Failure(
            application_failure_info=ApplicationFailureInfo(details=Payloads(payloads=rubbish))
        ),
    )
    for number, each in enumerate(rubbish):
        start.header.fields[str(number)].CopyFrom(each)
    await service.temporal.workflow_service.start_workflow_execution(start)
    run = service.temporal.get_workflow_handle(start.workflow_id)
    assert await end_of(run) is WorkflowExecutionStatus.COMPLETED

"""Steps that somebody completes, fails or answers for from outside, with the `temporal` CLI.

What can't be read fails the export, with a code; it never hangs it.
"""

from contextlib import suppress

import pytest
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.workflowservice.v1 import RespondActivityTaskFailedByIdRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from exports import names
from exports.models import ExportPlan, TaskRef, TaskStatus
from tests.support.recording import reading_held, silent_steps
from tests.support.rubbish import PERSONAL, RUBBISH, code_of, end_of, left_open
from tests.support.service import OF_ROWS, USER, Service, insert_orders, working
from workflows import policies

NOTHING_OR_RUBBISH = [[], *([given] for given in RUBBISH.values())]


async def _failed(service: Service, task_id: str) -> str | None:
    """Wait until an export has failed; return its code."""
    code = await code_of(service.run_of(task_id))
    task = await service.ended(task_id)
    assert task.status is TaskStatus.FAILED
    assert task.error is not None
    assert task.error.code == code
    assert PERSONAL not in task.error.msg
    return code


@pytest.mark.parametrize("step", [names.AGGREGATE, names.UPLOAD, names.WRITEBACK_DONE])
async def test_a_step_that_is_completed_with_rubbish_fails_the_export(
    idle_service: Service, step: str
) -> None:
    await insert_orders(idle_service.database)
    with left_open(idle_service.temporal, step) as begun:
        async with working(idle_service):
            tasks = [await idle_service.create(**OF_ROWS) for _ in NOTHING_OR_RUBBISH]
            for arguments in NOTHING_OR_RUBBISH:
                await (await begun()).complete(*arguments)
            for task in tasks:
                assert await _failed(idle_service, task.id) == "E_PAYLOAD"
        assert idle_service.keys() == []


async def test_a_claim_that_is_completed_with_rubbish_fails_the_run_and_the_sweep_starts_another(
    idle_service: Service,
) -> None:
    await insert_orders(idle_service.database)
    with left_open(idle_service.temporal, names.CLAIM) as begun:
        async with working(idle_service):
            tasks = [await idle_service.create() for _ in NOTHING_OR_RUBBISH]
            for arguments in NOTHING_OR_RUBBISH:
                await (await begun()).complete(*arguments)
            for task in tasks:
                assert await code_of(idle_service.run_of(task.id)) == "E_PAYLOAD"
    async with working(idle_service):
        assert (await idle_service.client.sweep()).started == len(tasks)
        for task in tasks:
            assert (await idle_service.ended(task.id)).status is TaskStatus.DONE


async def test_a_claim_that_is_completed_with_numbers_that_make_no_sense_fails_the_run(
    idle_service: Service,
) -> None:
    plan = ExportPlan(
        type="t", params={}, created_by=USER, format="csv", file_name="f", summary="s", units=[]
    ).model_dump()
    ref = TaskRef(task_id="t", workflow_id="w", run_id="r").model_dump()
    claims = [
        {"task": ref, "plan": {**plan, "sideBySide": 0}},
        {"task": ref, "plan": {**plan, "sideBySide": -1}},
        {"task": {**ref, "maxRetries": 2**31}, "plan": plan},
        {"task": {**ref, "maxRetries": -(2**31)}, "plan": plan},
    ]
    with left_open(idle_service.temporal, names.CLAIM) as begun:
        async with working(idle_service):
            tasks = [await idle_service.create() for _ in claims]
            for claim in claims:
                await (await begun()).complete(claim)
            for task in tasks:
                assert await code_of(idle_service.run_of(task.id)) == "E_PAYLOAD"


@pytest.mark.parametrize("step", [names.WRITEBACK_FAILED, names.DISCARD])
async def test_a_failed_export_ends_also_if_its_clean_up_is_completed_with_rubbish(
    idle_service: Service, step: str
) -> None:
    with left_open(idle_service.temporal, step) as begun:
        async with working(idle_service):
            # They fail: there is no collection.
            tasks = [await idle_service.create() for _ in RUBBISH]
            for given in RUBBISH.values():
                await (await begun()).complete(given)
            for task in tasks:
                assert await code_of(idle_service.run_of(task.id)) == "E_COLLECTION"
            await idle_service.client.sweep()
            for task in tasks:
                assert await _failed(idle_service, task.id) == "E_COLLECTION"


@pytest.mark.parametrize("step", [names.WRITEBACK_CANCELLED, names.CLOSE_AS_CANCELED])
async def test_a_cancelled_export_ends_also_if_its_last_step_is_completed_with_rubbish(
    idle_service: Service, step: str
) -> None:
    with left_open(idle_service.temporal, step) as begun:
        async with working(idle_service):
            with reading_held():
                tasks = [await idle_service.create() for _ in RUBBISH]
                for task in tasks:
                    await idle_service.run_of(task.id).signal("cancel")
                for given in RUBBISH.values():
                    await (await begun()).complete(given)
                if step == names.CLOSE_AS_CANCELED:  # it has not done so, and is asked again
                    again = [await begun() for _ in tasks]
                    for task in tasks:
                        await idle_service.run_of(task.id).cancel()
                    for one in again:
                        await one.complete()
                for task in tasks:
                    run = idle_service.run_of(task.id)
                    assert await end_of(run) is WorkflowExecutionStatus.CANCELED
            await idle_service.client.sweep()
            for task in tasks:
                assert (await idle_service.ended(task.id)).status is TaskStatus.CANCELLED


@pytest.mark.parametrize("step", [names.SWEEP_DUE, names.SWEEP_LEFT_BEHIND, names.SWEEP_EXPIRED])
async def test_a_sweep_whose_step_is_completed_with_rubbish_fails(
    idle_service: Service, step: str
) -> None:
    queue = idle_service.settings.task_queue
    with left_open(idle_service.temporal, step) as begun:
        async with working(idle_service):
            for name, given in RUBBISH.items():
                run = await idle_service.temporal.start_workflow(
                    names.SWEEP_WORKFLOW, id=f"{queue}-{name}", task_queue=queue
                )
                await (await begun()).complete(given)
                if name == "an object":  # which reads as a count of nothing
                    assert await end_of(run) is WorkflowExecutionStatus.COMPLETED
                else:
                    assert await code_of(run) == "E_PAYLOAD"


async def test_a_step_that_is_failed_from_outside_fails_the_export(idle_service: Service) -> None:
    await insert_orders(idle_service.database)
    with left_open(idle_service.temporal, names.AGGREGATE) as begun:
        async with working(idle_service):
            task = await idle_service.create(**OF_ROWS)
            error = ApplicationError(
                "by hand", *RUBBISH.values(), type="x" * 5000, non_retryable=True
            )
            await (await begun()).fail(error)
            await _failed(idle_service, task.id)


async def test_a_step_that_is_failed_in_a_way_that_no_sdk_knows_fails_the_export(
    idle_service: Service,
) -> None:
    info = ApplicationFailureInfo(type="by hand", non_retryable=True)
    info.category = 99  # type: ignore[assignment] # unknown on purpose
    await insert_orders(idle_service.database)
    with left_open(idle_service.temporal, names.AGGREGATE) as begun:
        async with working(idle_service):
            task = await idle_service.create(**OF_ROWS)
            await begun()
            run = await idle_service.run_of(task.id).describe()
            [step] = run.raw_description.pending_activities
            await idle_service.temporal.workflow_service.respond_activity_task_failed_by_id(
                RespondActivityTaskFailedByIdRequest(
                    namespace=idle_service.temporal.namespace,
                    workflow_id=run.id,
                    run_id=run.run_id,
                    activity_id=step.activity_id,
                    failure=Failure(message="by hand", application_failure_info=info),
                )
            )
            assert await _failed(idle_service, task.id) == "E_PAYLOAD"


async def test_a_step_that_is_cancelled_from_outside_ends_the_export(idle_service: Service) -> None:
    await insert_orders(idle_service.database)
    with left_open(idle_service.temporal, names.AGGREGATE) as begun:
        async with working(idle_service):
            run = idle_service.run_of((await idle_service.create(**OF_ROWS)).id)
            step = await begun()
            await run.cancel()
            async for event in run.fetch_history_events(wait_new_event=True):
                if event.HasField("activity_task_cancel_requested_event_attributes"):
                    break
            await step.report_cancellation(*RUBBISH.values())
            assert await end_of(run) is WorkflowExecutionStatus.CANCELED


async def test_a_lost_worker_is_no_failed_attempt_whatever_its_heartbeat_said(
    idle_service: Service,
) -> None:
    await insert_orders(idle_service.database)
    with silent_steps(), left_open(idle_service.temporal, names.AGGREGATE) as begun:
        async with working(idle_service):
            task = await idle_service.create(**OF_ROWS)
            step = await begun()
            with suppress(RPCError):  # a slow machine: the step has been begun again already
                await step.heartbeat(*RUBBISH.values())
            stopped = ApplicationError("stopped", *RUBBISH.values(), type=policies.WORKER_SHUTDOWN)
            await (await begun()).fail(stopped)
            done = ApplicationError("enough", type="E_SOURCE", non_retryable=True)
            await (await begun()).fail(done)
            assert await _failed(idle_service, task.id) == "E_SOURCE"
    assert (await idle_service.ended(task.id)).retries == 0

"""Recordings of runs that are cancelled, in each step and in each way."""

import asyncio
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from exports.errors import SourceUnavailableError
from exports.models import ExportPlan
from exports.tasks.transitions import RunTransitions
from tests.support.recording import (
    Held,
    Run,
    closed,
    quick_retries,
    reading_fails,
    reading_held,
    recorded,
    silent_steps,
    upload_held,
    without_grace,
)
from tests.support.service import Service, insert_orders, working

_REASON = {"reason": "recorded"}


@recorded("cancelled-by-signal")
async def _before_it_begins(service: Service) -> Run:
    run = service.run_of((await service.create()).id)
    await run.signal("cancel", _REASON)
    async with working(service):
        return await closed(run)


@recorded("cancelled-natively")
async def _by_the_server_before_it_begins(service: Service) -> Run:
    run = service.run_of((await service.create()).id)
    await run.cancel()
    async with working(service):
        return await closed(run)


@recorded("cancelled-in-both-ways")
async def _by_signal_and_by_the_server(service: Service) -> Run:
    async with working(service):
        with reading_held() as held:
            run = service.run_of((await service.create("statsAnnual")).id)
            await held.reached.wait()
            await run.signal("cancel", "a bare text")
            await run.signal("cancel")
            await run.cancel()
            return await closed(run)


@recorded("cancelled-while-claiming")
async def _while_it_claims(service: Service) -> Run:
    held, claim = Held(), RunTransitions.claim

    async def wait(self: RunTransitions, *given: Any, **named: Any) -> Any:
        await held.wait()
        return await claim(self, *given, **named)

    with patch.object(RunTransitions, "claim", wait):
        async with working(service):
            run = service.run_of((await service.create()).id)
            await held.reached.wait()
            await run.signal("cancel", _REASON)
            held.released.set()
            return await closed(run)


@recorded("cancelled-while-aggregating")
async def _while_it_reads(service: Service) -> Run:
    async with working(service):
        with reading_held() as held:
            run = service.run_of((await service.create("statsAnnual")).id)
            await held.reached.wait()
            await run.signal("cancel")
            return await closed(run)


@recorded("cancelled-while-uploading")
async def _while_it_uploads(service: Service) -> Run:
    await insert_orders(service.database)
    with upload_held() as reached:
        async with working(service):
            run = service.run_of((await service.create()).id)
            await reached.wait()
            await run.signal("cancel", _REASON)
            return await closed(run)


@recorded("done-cancelled-too-late")
async def _while_it_is_written_back(service: Service) -> Run:
    held, done = Held(), RunTransitions.done

    async def wait(self: RunTransitions, *given: Any, **named: Any) -> Any:
        await held.wait()
        return await done(self, *given, **named)

    await insert_orders(service.database)
    with patch.object(RunTransitions, "done", wait):
        async with working(service):
            run = service.run_of((await service.create()).id)
            await held.reached.wait()
            await run.signal("cancel", _REASON)
            held.released.set()
            return await closed(run)


@recorded("cancelled-while-waiting-for-a-retry")
async def _while_it_waits(service: Service) -> Run:
    away = SourceUnavailableError("The source database is away.")
    with reading_fails(away), quick_retries(timedelta(minutes=1)):
        async with working(service):
            task = await service.create()
            while (await service.document(task.id))["retries"] == 0:
                await asyncio.sleep(0.05)
            await service.run_of(task.id).signal("cancel", _REASON)
            return await closed(service.run_of(task.id))


@recorded("cancelled-while-waiting-for-another-worker")
async def _while_it_waits_for_a_worker_with_its_report(service: Service) -> Run:
    await insert_orders(service.database)
    with quick_retries(timedelta(minutes=1)):
        async with working(service):
            with patch("activities.claim.ExportPlan", _planned_elsewhere):
                run = service.run_of((await service.create()).id)
                while not await _has_a_timer(run):
                    await asyncio.sleep(0.05)
                await run.signal("cancel", _REASON)
                return await closed(run)


@recorded("cancelled-the-task-is-gone")
async def _after_the_task_was_deleted(service: Service) -> Run:
    async with working(service):
        with reading_held() as held:
            run = service.run_of((await service.create()).id)
            await held.reached.wait()
            await run.signal("cancel", _REASON)
            await service.database["ExportTasks"].delete_many({})
            return await closed(run)


@recorded("cancelled-with-its-worker")
async def _while_its_worker_is_lost(service: Service) -> Run:
    with silent_steps(), reading_held() as held:
        async with working(without_grace(service)):
            run = service.run_of((await service.create()).id)
            await held.reached.wait()
            await run.signal("cancel", _REASON)
            return await closed(run)


@recorded("cancelled-after-a-reset")
async def _after_a_reset(service: Service) -> Run:
    await insert_orders(service.database)
    with reading_held() as held:
        async with working(without_grace(service)):
            run = service.run_of((await service.create()).id)
            await held.reached.wait()
            *_, claimed = [
                event.event_id
                for event in (await run.fetch_history()).events
                if event.HasField("workflow_task_completed_event_attributes")
            ]
            await service.temporal.workflow_service.reset_workflow_execution(
                ResetWorkflowExecutionRequest(
                    namespace=service.temporal.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=run.id),
                    workflow_task_finish_event_id=claimed,
                    request_id=run.id,
                    reason="recorded",
                )
            )
            await run.signal("cancel", _REASON)
            return await closed(run)


def _planned_elsewhere(**given: Any) -> ExportPlan:
    return ExportPlan.model_validate(given | {"definition": "another"})


async def _has_a_timer(run: Run) -> bool:
    events = (await run.fetch_history()).events
    return any(event.HasField("timer_started_event_attributes") for event in events)

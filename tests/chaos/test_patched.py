"""A workflow is changed with `workflow.patched`: exports begun under the old code go on."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import Client
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

import worker
from exports import names
from exports.models import (
    Claim,
    ExportPlan,
    ExportRequest,
    ExportResult,
    FinishedFile,
    StagedUnit,
    TaskStatus,
)
from exports.settings import Settings
from exports.tasks.task import ExportTask
from exports.temporal.converter import data_converter
from tests.support.recording import reading_held
from tests.support.service import Service, insert_orders, open_service, working
from workflows.admission import Admission
from workflows.export import ExportWorkflow
from workflows.sandbox import workers_runner

EARLY, LATE = "wait-before-reading", "wait-before-uploading"


class _Changed(ExportWorkflow):
    """Has two more steps: one before the rows are read and one after."""

    async def _stage(self, plan: ExportPlan, claim: Claim) -> list[StagedUnit]:
        if self._is_in(EARLY):
            await workflow.sleep(0.01)
        return await super()._stage(plan, claim)

    async def _upload(self, plan: ExportPlan, units: list[StagedUnit]) -> FinishedFile:
        if self._is_in(LATE):
            await workflow.sleep(0.01)
        return await super()._upload(plan, units)

    def _is_in(self, patch: str) -> bool:
        raise NotImplementedError


@workflow.defn(name=names.EXPORT_WORKFLOW)
class Patched(_Changed):
    """Asks `workflow.patched` whether a run has the steps."""

    @workflow.run
    async def run(self, request: ExportRequest) -> ExportResult:
        return await super().run(request)

    def _is_in(self, patch: str) -> bool:
        return workflow.patched(patch)


@workflow.defn(name=names.EXPORT_WORKFLOW)
class Deprecated(_Changed):
    """Always has the steps: no run without them is open any more."""

    @workflow.run
    async def run(self, request: ExportRequest) -> ExportResult:
        return await super().run(request)

    def _is_in(self, patch: str) -> bool:
        workflow.deprecate_patch(patch)
        return True


@workflow.defn(name=names.EXPORT_WORKFLOW)
class Unpatched(_Changed):
    """Has the steps, without a patch marker."""

    @workflow.run
    async def run(self, request: ExportRequest) -> ExportResult:
        return await super().run(request)

    def _is_in(self, patch: str) -> bool:
        del patch
        return True


@pytest.fixture
async def waiting(settings: Settings, temporal_address: str) -> AsyncIterator[Service]:
    """A service without a worker, whose workers stop at once."""
    quick = settings.model_copy(update={"shutdown_grace": timedelta(milliseconds=50)})
    async with open_service(quick, temporal_address) as service:
        await insert_orders(service.database)
        yield service


@asynccontextmanager
async def _working(service: Service, code: type[ExportWorkflow]) -> AsyncGenerator[None]:
    """Run a worker with a version of the workflow, over a connection of its own."""
    address = service.temporal.service_client.config.target_host
    temporal = await Client.connect(address, data_converter=data_converter())
    apart = replace(service, connections=replace(service.connections, temporal=temporal))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worker, "ExportWorkflow", code)
        async with working(apart):
            yield


async def _begun(service: Service, code: type[ExportWorkflow]) -> ExportTask:
    """Begin an export under a version of the workflow, and stop the worker while it reads rows."""
    with reading_held() as held:
        async with _working(service, code):
            task = await service.create("statsAnnual")
            await held.reached.wait()
    return task


async def _patches(service: Service, task: ExportTask) -> list[str]:
    """Return the ids of the patches in the history of a run, in order."""
    found: list[str] = []
    async for event in service.run_of(task.id).fetch_history_events():
        marker = event.marker_recorded_event_attributes
        for payload in marker.details["patch-data"].payloads:
            found += [name for name in (EARLY, LATE) if name.encode() in payload.data]
    return found


async def _replays(service: Service, task: ExportTask, code: type[ExportWorkflow]) -> bool:
    replayer = Replayer(
        workflows=[code],
        interceptors=[Admission()],
        workflow_runner=workers_runner(),
        data_converter=data_converter(),
    )
    history = await service.run_of(task.id).fetch_history()
    try:
        await replayer.replay_workflow(history)
    except NondeterminismError:
        return False
    return True


async def test_an_export_begun_under_the_old_code_ends_under_the_new(
    waiting: Service,
) -> None:
    old = await _begun(waiting, ExportWorkflow)
    async with _working(waiting, Patched):
        new = await waiting.create()
        for task in (old, new):
            ended = await waiting.ended(task.id)
            assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
            await waiting.run_of(task.id).result()
    # It skips the new step that it had passed already, and takes the one still to come.
    assert await _patches(waiting, old) == [LATE]
    assert await _patches(waiting, new) == [EARLY, LATE]
    for task in (old, new):
        assert await _replays(waiting, task, Patched)
        assert not await _replays(waiting, task, ExportWorkflow)


async def test_the_old_code_goes_when_no_older_run_is_open_and_then_the_patch(
    waiting: Service,
) -> None:
    patched = await _begun(waiting, Patched)
    async with _working(waiting, Deprecated):
        deprecated = await waiting.create()
        for task in (patched, deprecated):
            ended = await waiting.ended(task.id)
            assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
            await waiting.run_of(task.id).result()
    assert await _replays(waiting, deprecated, Unpatched)
    # That is why the patch stays as long as such runs are open.
    assert not await _replays(waiting, patched, Unpatched)


async def test_the_same_change_without_a_patch_fails_the_replay(
    waiting: Service,
) -> None:
    async with _working(waiting, ExportWorkflow):
        task = await waiting.exported()
        await waiting.run_of(task.id).result()
    assert await _replays(waiting, task, ExportWorkflow)
    assert await _replays(waiting, task, Patched)
    assert not await _replays(waiting, task, Unpatched)


async def test_an_old_worker_that_gets_a_new_export_fails_the_workflow_task_and_not_the_export(
    waiting: Service,
) -> None:
    task = await _begun(waiting, Patched)
    run = waiting.run_of(task.id)
    async with _working(waiting, ExportWorkflow):
        async for event in run.fetch_history_events(wait_new_event=True):
            failed = event.workflow_task_failed_event_attributes
            if event.HasField("workflow_task_failed_event_attributes"):
                cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
                assert failed.cause == cause
                break
    async with _working(waiting, Patched):
        ended = await waiting.ended(task.id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)

"""A lost worker is no failed attempt, unless the export itself is the cause."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from temporalio.client import WorkflowFailureError

from dev.endpoints import Endpoints
from exports.models import TaskStatus
from exports.reports.stats.report import StatsReport
from exports.settings import Settings
from tests.support.held_report import GATE
from tests.support.paths import REPOSITORY
from tests.support.protections import protected_by
from tests.support.service import USER, Service, insert_orders, open_service
from workflows import policies

LONGEST = 150
"""Seconds after which a test stops waiting and fails."""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    folder = tmp_path / "gate"
    folder.mkdir()
    return folder


@pytest.fixture
async def held(settings: Settings, temporal_address: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service whose only report waits at the gate; the tests start its workers as processes."""
    reports = tmp_path / "held.toml"
    reports.write_text('[reports.held]\npython = "tests.support.held_report:HeldReport"\n')
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service:
        yield service


@asynccontextmanager
async def _process(
    service: Service, endpoints: Endpoints, gate: Path, **changes: str
) -> AsyncGenerator[asyncio.subprocess.Process]:
    settings = service.settings
    environment = endpoints.environment() | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "EXPORTS_MONGO_DATABASE": settings.mongo_database,
        "EXPORTS_S3_PREFIX": settings.s3_prefix,
        "EXPORTS_TASK_QUEUE": settings.task_queue,
        "EXPORTS_REPORTS_FILE": str(settings.reports_file),
        GATE: str(gate),
        **changes,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(REPOSITORY / "worker.py"),
        env=environment,
        stderr=None,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _reached(gate: Path, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(LONGEST):
        while not (gate / f"reached-{process.pid}").exists():
            await asyncio.sleep(0.05)


@protected_by(
    "workflows/worker_loss.py",
    "if isinstance(cause, ActivityTimeoutError) and cause.type == TimeoutType.HEARTBEAT:",
    instead="if False:",
)
async def test_an_export_survives_kill_9_and_it_costs_no_attempt(
    held: Service, endpoints: Endpoints, gate: Path
) -> None:
    task = await held.create("held", params={})
    async with _process(held, endpoints, gate) as first:
        await _reached(gate, first)
        first.send_signal(signal.SIGKILL)
    (gate / "open").touch()
    async with _process(held, endpoints, gate):
        ended = await held.ended(task.id)
        await held.run_of(task.id).result()
    assert (ended.status, ended.retries, ended.rows) == (TaskStatus.DONE, 0, 1)
    assert held.keys() == [(await held.document(task.id))["objectKey"]]


async def test_a_deploy_costs_no_attempt(held: Service, endpoints: Endpoints, gate: Path) -> None:
    task = await held.create("held", params={})
    async with _process(held, endpoints, gate, EXPORTS_SHUTDOWN_GRACE="1") as first:
        await _reached(gate, first)
        first.terminate()
        assert await asyncio.wait_for(first.wait(), LONGEST) == 0
    (gate / "open").touch()
    async with _process(held, endpoints, gate):
        ended = await held.ended(task.id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)


async def test_a_deploy_waits_for_a_step_that_fits_into_the_grace(
    held: Service, endpoints: Endpoints, gate: Path
) -> None:
    task = await held.create("held", params={})
    async with _process(held, endpoints, gate) as only:
        await _reached(gate, only)
        only.terminate()
        await asyncio.sleep(0.5)
        assert only.returncode is None
        (gate / "open").touch()
        assert await asyncio.wait_for(only.wait(), LONGEST) == 0
    history = (await held.run_of(task.id).fetch_history()).events
    completed = [
        event for event in history if event.HasField("activity_task_completed_event_attributes")
    ]
    assert len(completed) == 1  # the claim, and with it the rows that it was reading


@pytest.fixture
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Activities send no heartbeats, as if their worker were killed; it is noticed after 2 s."""
    monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 1000)
    monkeypatch.setattr(policies, "HEARTBEATS_PER_TIMEOUT", 1)


@protected_by(
    "workflows/policies.py",
    "non_retryable_error_types=[HEARTBEAT_TIMED_OUT, ",
    instead="non_retryable_error_types=[",
)
@pytest.mark.usefixtures("_silent")
async def test_an_export_that_kills_every_worker_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0

    async def hang(*_: Any, **__: Any) -> AsyncIterator[pa.RecordBatch]:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()
        raise AssertionError
        yield

    monkeypatch.setattr(StatsReport, "read", hang)
    task = await service.exported()
    assert task.status is TaskStatus.FAILED
    assert task.error is not None
    assert task.error.code == "E_WORKER_LOST"
    assert begun == policies.MOST_WORKERS_LOST


@protected_by("workflows/worker_loss.py", "if again and cancel_requested():", instead="if False:")
@pytest.mark.usefixtures("_silent")
async def test_a_step_that_was_cancelled_is_not_run_again_when_its_worker_is_lost(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, times = asyncio.Event(), 0

    async def hang(*_: Any, **__: Any) -> AsyncIterator[pa.RecordBatch]:
        nonlocal times
        times += 1
        begun.set()
        if times > 1:
            return
        await asyncio.Event().wait()
        raise AssertionError
        yield

    monkeypatch.setattr(StatsReport, "read", hang)
    task = await service.create()
    await asyncio.wait_for(begun.wait(), LONGEST)
    # A worker learns of a cancel from the answer to a heartbeat, and this one sends none.
    await service.run_of(task.id).signal("cancel", {"reason": "enough"})
    ended = await service.ended(task.id)
    assert (ended.status, ended.cancel_reason) == (TaskStatus.CANCELLED, "enough")
    assert times == 1


@pytest.mark.usefixtures("_silent")
async def test_an_attempt_that_goes_on_after_its_timeout_changes_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = StatsReport.read
    risen, attempts = asyncio.Event(), 0

    async def zombie_first(self: StatsReport, *given: Any, **named: Any) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            # This attempt goes on without heartbeats; those after it send them.
            await asyncio.sleep(0.1)
            monkeypatch.setattr("activities.boundary.heartbeat_interval", lambda: 0.5)
            # Five seconds after its timeout, the SDK cancels it. A frozen worker would not notice.
            with suppress(asyncio.CancelledError):
                await risen.wait()
            await asyncio.wait_for(risen.wait(), LONGEST)
        async for batch in read(self, *given, **named):
            yield batch

    monkeypatch.setattr(StatsReport, "read", zombie_first)
    await insert_orders(service.database)
    task = await service.exported()
    await service.run_of(task.id).result()
    before = await service.document(task.id)
    kept = service.keys()
    risen.set()
    async with asyncio.timeout(LONGEST):
        while service.keys() == kept:
            await asyncio.sleep(0.05)
    assert (task.status, task.retries) == (TaskStatus.DONE, 0)
    assert await service.document(task.id) == before
    await service.client.sweep()
    assert service.keys() == kept == [before["objectKey"]]


async def test_a_worker_that_is_lost_in_the_last_writeback_is_noticed_as_soon_as_any_other(
    service: Service,
) -> None:
    failed = await service.exported()
    stopped = await service.create()
    await service.client.cancel(stopped.id, created_by=USER)
    for task_id in (failed.id, stopped.id):
        with suppress(WorkflowFailureError):
            await service.run_of(task_id).result()
        history = (await service.run_of(task_id).fetch_history()).events
        steps = [
            event.activity_task_scheduled_event_attributes
            for event in history
            if event.HasField("activity_task_scheduled_event_attributes")
        ]
        silences = {step.activity_type.name: step.heartbeat_timeout.ToSeconds() for step in steps}
        assert set(silences.values()) == {12}, silences

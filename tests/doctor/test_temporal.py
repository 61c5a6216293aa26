"""Each fault of Temporal is named by the check that is for it, and by no other."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, ScheduleIntervalSpec, ScheduleUpdate, ScheduleUpdateInput

from exports import names
from exports.doctor.temporal import TemporalDoctor
from exports.settings import Settings
from exports.temporal.schedule import SweepSchedule
from tests.support.doctor import polled, wrong
from tests.support.service import write_reports


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, temporal_address: str) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/dev/null")


async def _delete(temporal: Client, queue: str) -> None:
    await temporal.get_schedule_handle(names.schedule_id(queue)).delete()


async def _pause(temporal: Client, queue: str) -> None:
    await SweepSchedule(temporal, task_queue=queue).pause("a restore")


async def _make_old(temporal: Client, queue: str) -> None:
    def hourly(found: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = found.description.schedule
        every = [ScheduleIntervalSpec(every=timedelta(hours=1))]
        return ScheduleUpdate(replace(schedule, spec=replace(schedule.spec, intervals=every)))

    await temporal.get_schedule_handle(names.schedule_id(queue)).update(hourly)


async def _nothing(temporal: Client, queue: str) -> None:
    del temporal, queue


@pytest.mark.parametrize(
    ("fault", "unheard", "named", "mended"),
    [
        (_nothing, [], {}, {}),
        (_delete, [], {"schedule": "failed"}, {}),
        (_make_old, [], {"schedule": "warning"}, {}),
        # Somebody has paused it, and knows why.
        (_pause, [], {"schedule": "warning"}, {"schedule": "warning"}),
        (_nothing, ["-bulk"], {"workers on {}-bulk": "failed"}, {"workers on {}-bulk": "failed"}),
    ],
)
async def test_a_fault_of_the_schedule_or_of_the_workers_is_named_and_mended_twice_over(
    settings: Settings,
    temporal_client: Client,
    fault: Callable[[Client, str], Awaitable[None]],
    unheard: list[str],
    named: dict[str, str],
    mended: dict[str, str],
) -> None:
    queue = settings.task_queue
    await SweepSchedule(temporal_client, task_queue=queue).apply()
    await fault(temporal_client, queue)
    doctor = TemporalDoctor(settings)
    async with polled(temporal_client, queue, but=[f"{queue}{name}" for name in unheard]):
        assert await wrong(doctor.server()) == {key.format(queue): it for key, it in named.items()}
        for _ in range(2):
            left = await wrong(doctor.server(), fix=True)
            assert left == {key.format(queue): it for key, it in mended.items()}


async def test_without_a_report_that_reads_rows_nobody_has_to_take_bulk_exports(
    settings: Settings, temporal_client: Client, tmp_path: Path
) -> None:
    queue = settings.task_queue
    await SweepSchedule(temporal_client, task_queue=queue).apply()
    reports = await asyncio.to_thread(write_reports, tmp_path / "reports.toml")
    small = settings.model_copy(update={"reports_file": reports})
    async with polled(temporal_client, queue, but=[f"{queue}-bulk"]):
        assert await wrong(TemporalDoctor(small).server()) == {
            f"workers on {queue}-bulk": "warning"
        }


async def test_without_any_worker_one_check_says_so(
    settings: Settings, temporal_client: Client
) -> None:
    await SweepSchedule(temporal_client, task_queue=settings.task_queue).apply()
    assert await wrong(TemporalDoctor(settings).server()) == {"workers": "failed"}


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("TEMPORAL_ADDRESS", "127.0.0.1:9", "reachable"),
        ("TEMPORAL_ADDRESS", "not an address", "reachable"),
        ("TEMPORAL_NAMESPACE", "nowhere", "namespace"),
    ],
)
async def test_what_can_not_be_reached_is_named_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert await wrong(TemporalDoctor(settings).server()) == {named: "failed"}


async def test_a_clock_that_is_wrong_is_named_and_no_worker_is_missed_for_it(
    settings: Settings, temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: there() + 180 * 1_000_000_000)
    await SweepSchedule(temporal_client, task_queue=settings.task_queue).apply()
    async with polled(temporal_client, settings.task_queue):
        assert await wrong(TemporalDoctor(settings).server()) == {"clock": "failed"}


async def test_missing_search_attributes_are_named_and_added(
    settings: Settings, temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = f"new-{settings.task_queue}"
    await temporal_client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    monkeypatch.setenv("TEMPORAL_NAMESPACE", namespace)
    doctor = TemporalDoctor(settings)
    while await wrong(doctor.server()) != {
        "search attributes": "warning",
        "schedule": "failed",
        "workers": "failed",
    }:  # a new namespace is known to all parts of Temporal after a moment
        await asyncio.sleep(0.2)
    there = await Client.connect(
        temporal_client.service_client.config.target_host, namespace=namespace
    )
    async with polled(there, settings.task_queue):
        assert await wrong(doctor.server(), fix=True) == {}
        assert await wrong(doctor.server()) == {}

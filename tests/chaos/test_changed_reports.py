"""Reports change while exports run: a file follows one definition from start to end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from exports.models import Claim, ExportRequest, TaskStatus, Unit
from exports.reports.stats.report import StatsReport
from exports.settings import Settings
from exports.temporal.converter import data_converter
from tests.support.chaos.deployed import attempts_of, until
from tests.support.protections import protected_by
from tests.support.service import Service, downloaded, insert_orders, open_service, working
from workflows import export, policies

YESTERDAY = """
[reports.year]
collection = "orders"
time_field = "createdAt"
period = "year"
measures.orders = { op = "count" }

[reports.records]
kind = "rows"
collection = "orders"
time_field = "createdAt"
columns.who = "uid"
"""
TODAY = (
    YESTERDAY.replace(
        "[reports.records]",
        """
measures.revenue = { op = "sum", field = "amount" }

[reports.records]""",
    )
    + 'columns.what = "category"\n'
)
WITHOUT = "[reports.records]" + YESTERDAY.partition("[reports.records]")[2]


class Versions:
    """A service with the reports of yesterday, and services with others for more workers."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.old = service
        self._folder = folder

    async def with_reports(self, text: str, **changes: Any) -> Service:
        reports = self._folder / "today.toml"
        reports.write_text(text)
        settings = self.old.settings.model_copy(update={"reports_file": reports} | changes)
        # Two workers on one task queue can't share a connection.
        address = self.old.temporal.service_client.config.target_host
        temporal = await Client.connect(address, data_converter=data_converter())
        connections = replace(self.old.connections, temporal=temporal)
        return replace(self.old, settings=settings, connections=connections)


@pytest.fixture
async def versions(
    settings: Settings,
    temporal_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Versions]:
    monkeypatch.setattr(policies, "FIRST_DELAY", timedelta(milliseconds=20))
    monkeypatch.setattr(policies, "LONGEST_DELAY", timedelta(milliseconds=100))
    reports = tmp_path / "yesterday.toml"
    reports.write_text(YESTERDAY)
    changed = settings.model_copy(
        update={
            "reports_file": reports,
            "shutdown_grace": timedelta(milliseconds=50),
            "max_concurrent_activities": 3,
        }
    )
    async with open_service(changed, temporal_address) as service:
        await insert_orders(service.database)
        yield Versions(service, tmp_path)


class Held:
    """Holds the reading of yesterday's report after its first unit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()
        self._let_through = 1
        read, held = StatsReport.read, self

        async def wait(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Any]:
            await held._pass(self)
            async for rows in read(self, *given, **named):
                yield rows

        monkeypatch.setattr(StatsReport, "read", wait)

    async def _pass(self, report: StatsReport) -> None:
        if "revenue" in str(report.describe_params()):
            return
        if self._let_through:
            self._let_through -= 1
            return
        self.begun.set()
        await self.released.wait()


async def _units_read(service: Service, task_id: str) -> int:
    attempts = await attempts_of(service, task_id)
    return sum((each.step, each.outcome) == ("aggregate", "completed") for each in attempts)


@protected_by(
    "activities/aggregate.py", "if planned_by in (None, report.fingerprint):", instead="if True:"
)
async def test_a_changed_report_is_read_again_from_its_first_unit(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The unit that was read before, and the twelve of the new plan, are all that may be read.
    monkeypatch.setattr(policies, "MOST_UNITS", 13)
    held = Held(monkeypatch)
    async with working(versions.old):
        task = await versions.old.create("year", params={"year": 2026})
        await held.begun.wait()
        async with asyncio.timeout(150):  # units begin side by side
            while await _units_read(versions.old, task.id) != 1:
                await asyncio.sleep(0.05)
    assert await _units_read(versions.old, task.id) == 1
    async with working(await versions.with_reports(TODAY)):
        ended = await versions.old.ended(task.id)
        await versions.old.run_of(task.id).result()
    assert (ended.status, ended.retries, ended.rows) == (TaskStatus.DONE, 0, 12)
    lines = downloaded(ended.download_url).decode("utf-8-sig").splitlines()
    assert lines[0] == '"month","orders","revenue"'
    assert all(line.count(",") == 2 for line in lines)
    assert versions.old.keys() == [(await versions.old.document(task.id))["objectKey"]]


@pytest.mark.parametrize("here", [TODAY, WITHOUT], ids=["changed", "unknown"])
async def test_a_worker_whose_report_differs_leaves_the_unit_to_another_and_no_attempt_is_counted(
    versions: Versions,
    here: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(policies, "MOST_WORKERS_THAT_DIFFER", 1_000_000)
    held = Held(monkeypatch)
    async with working(versions.old):
        task = await versions.old.create("year", params={"year": 2026})
        await held.begun.wait()
        async with working(await versions.with_reports(here)):
            await until(
                lambda: "year is not the report that the export was planned by" in caplog.text
            )
            held.released.set()
            ended = await versions.old.ended(task.id)
            # Rarely, a worker that is stopped while it is given a workflow task never ends
            # (temporalio 1.35.0).
            await versions.old.run_of(task.id).result()
    assert (ended.status, ended.retries, ended.rows) == (TaskStatus.DONE, 0, 12)
    header, *_ = downloaded(ended.download_url).decode("utf-8-sig").splitlines()
    assert header == '"month","orders"'
    claims = [each for each in await attempts_of(versions.old, task.id) if each.step == "claim"]
    assert len(claims) == 1


async def test_workers_that_never_agree_on_a_report_make_an_export_fail_and_say_why(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_PLANS", 2)
    small = replace(
        versions.old, settings=versions.old.settings.model_copy(update={"worker_takes": "small"})
    )
    async with working(small), working(await versions.with_reports(TODAY, worker_takes="bulk")):
        task = await small.create("records", params={"from": "2026-10-01", "to": "2026-11-01"})
        ended = await small.ended(task.id)
    assert (ended.status, ended.retries) == (TaskStatus.FAILED, 0)
    assert ended.error is not None
    assert ended.error.code == "E_REPORT_CHANGED"
    assert ended.error.msg == (
        "The definition of records was changed while the export ran; ask for it again."
    )
    assert small.keys() == []


def test_an_old_worker_understands_what_a_new_one_has_written() -> None:
    unit = Unit(key="2026-01", start=0, end=1).model_dump() | {"ofToday": 1}
    claim = {"task": {"taskId": "t", "workflowId": "w", "runId": "r", "ofToday": 1}, "ofToday": 1}
    assert Unit.model_validate(unit).key == "2026-01"
    assert Claim.model_validate(claim).task.task_id == "t"


def test_a_field_that_a_person_mistyped_is_still_refused() -> None:
    request = {"type": "year", "createdBy": "u1"}
    assert ExportRequest.model_validate(request).type == "year"
    with pytest.raises(ValueError, match="formatt"):
        ExportRequest.model_validate(request | {"formatt": "xlsx"})

"""After a mixed load, the metrics and the log say the same as the documents."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client

from exports.clock import now_ms
from exports.errors import PipelineError
from exports.reports.report import Rows
from exports.reports.stats.report import StatsReport
from exports.runtime import metrics
from exports.settings import Settings
from exports.temporal.converter import data_converter
from tests.support.logs import logged
from tests.support.metrics import Scraped, measured_runtime
from tests.support.recording import closed, quick_retries
from tests.support.service import Service, insert_orders, open_service, working
from tests.support.stored_tasks import insert_task

HOUR = 3_600_000
ATTEMPTS = {"retried": 2, "unheard": 0}
PLANNED = ("retried", "finished", "refused", "held")


class Faults:
    """Reads that fail, fail once or never end, by who has asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = asyncio.Event()
        once = iter([OSError("the cable")])
        read = StatsReport.read

        async def reading(
            report: StatsReport, *given: Any, created_by: str, **named: Any
        ) -> AsyncGenerator[Rows]:
            if created_by == "retried":
                for fault in once:
                    raise fault
            if created_by == "refused":
                raise PipelineError("MongoDB refused the pipeline.")
            if created_by == "held":
                self.held.set()
                await asyncio.Event().wait()
            async for rows in read(report, *given, created_by=created_by, **named):
                yield rows

        monkeypatch.setattr(StatsReport, "read", reading)


async def _mixed_load(service: Service, faults: Faults) -> None:
    """End exports in each way that there is; meanwhile a worker is replaced, and a sweep looks."""
    await insert_orders(service.database)
    unheard = await service.create(created_by="unheard")
    await service.run_of(unheard.id).terminate()
    await service.client.cancel(unheard.id, created_by=None)  # no run has taken it
    of_no_type = await insert_task(service, createdAt=now_ms() - HOUR, type="no such report")
    await insert_task(service, _id=17, createdAt=now_ms())  # which the sweep refuses
    with quick_retries():
        async with working(service):
            quick = [
                await service.create(created_by="retried"),
                await service.create("statsAnnual", created_by="finished", format="ndjson"),
                await service.create(created_by="refused"),
            ]
            held = await service.create(created_by="held", format="xlsx")
            await asyncio.gather(
                faults.held.wait(), *(closed(service.run_of(each.id)) for each in quick)
            )
            await service.client.sweep()
            await closed(service.run_of(of_no_type))
            faults.held.clear()
        async with working(service):
            await faults.held.wait()
            await service.client.cancel(held.id, created_by=None)
            await closed(service.run_of(held.id))


async def test_metrics_and_log_agree_with_the_documents_after_a_mixed_load(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, scrape = measured_runtime()
    monkeypatch.setattr(vars(metrics)["_Process"], "meter", runtime.metric_meter)
    temporal = await Client.connect(
        temporal_address, data_converter=data_converter(), runtime=runtime
    )
    brief = settings.model_copy(update={"shutdown_grace": timedelta(seconds=0.1)})
    with logged("json") as lines, logged("text") as text:
        async with open_service(brief, "", temporal=temporal) as service:
            await _mixed_load(service, Faults(monkeypatch))
            documents = await service.database["ExportTasks"].find().to_list()
    _metrics_agree(scrape(), documents)
    _log_agrees([json.loads(line) for line in lines()], documents)
    assert [line for line in text() if " exports.ended: Export ended task=" in line]


def _metrics_agree(seen: Scraped, documents: list[dict[str, Any]]) -> None:
    ended = Counter(
        (task["status"], task.get("error", {}).get("code", "none")) for task in documents
    )
    assert seen.sums("exports_ended_total", "outcome", "code") == ended
    assert set(ended) == {
        ("done", "none"), ("cancelled", "none"),
        ("failed", "E_PIPELINE"), ("failed", "E_TYPE"), ("failed", "E_TASK"),
    }  # fmt: skip
    planned = [task for task in documents if task["createdBy"] in PLANNED]
    kinds = Counter((task["type"], task["format"]) for task in planned)
    assert seen.sums("exports_started_total", "type", "format") == kinds
    ended_kinds = seen.sums("exports_ended_total", "type", "format")
    assert ended_kinds == {**kinds, ("unknown", "unknown"): len(documents) - len(planned)}
    types = Counter((task["type"],) for task in planned)
    assert seen.sums("exports_time_to_start_seconds_count", "type") == types

    done = [task for task in documents if task["status"] == "done"]
    assert seen.sums("exports_time_to_done_seconds_count", "type") == Counter(
        (task["type"],) for task in done
    )
    assert seen.sums("exports_rows_total") == {(): sum(task["rows"] for task in done)}
    assert seen.sums("exports_file_bytes_total") == {(): sum(task["bytes"] for task in done)}
    failed_attempts = seen.sums("exports_failed_attempts_total", "activity_type")
    failed_attempts[("claim",)] -= 1  # of what is no report; it is not counted there
    # The first attempt at the rows of a small export is that of its claim.
    assert sum(failed_attempts.values()) == sum(task["retries"] for task in planned)
    assert set(failed_attempts) <= {("claim",), ("aggregate",)}
    assert seen.sums("exports_lost_workers_total", "reason") == {("shutdown",): 1}

    # What was open when the sweep looked, and what it did.
    assert seen.sums("exports_open", "status") == {("pending",): 2, ("running",): 1}
    assert seen.sums("exports_oldest_pending_age_seconds")[()] >= HOUR / 1000
    swept = seen.sums("exports_last_sweep", "activity_type", "did")
    assert swept.pop(("sweep-messages", "changed")) >= 1
    assert swept == {("sweep-due", "changed"): 1, ("sweep-due", "refused"): 1}
    assert len(seen.sums("exports_last_sweep_timestamp_seconds", "activity_type")) == 4

    # Nothing that grows with the tasks, their people or what they ask for.
    assert seen.labels("exports_") == {
        "type": {"statsMonthly", "statsAnnual", "unknown"},
        "format": {"csv", "ndjson", "xlsx", "unknown"},
        "outcome": {"done", "failed", "cancelled"},
        "code": {"none", "E_PIPELINE", "E_TYPE", "E_TASK", "E_INTERNAL"},
        "reason": {"shutdown"},
        "status": {"pending", "running"},
        "did": {"changed", "refused", "objects"},
        "le": seen.labels("exports_")["le"],
    }


def _log_agrees(lines: list[dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    ended = [line for line in lines if line["message"] == "Export ended"]
    told = ("task", "outcome", "code", "rows", "bytes", "attempts")
    assert sorted(tuple(line.get(name) for name in told) for line in ended) == sorted(
        (
            str(task["_id"]),
            task["status"],
            task.get("error", {}).get("code"),
            task.get("rows", 0),
            task.get("bytes", 0),
            ATTEMPTS.get(task["createdBy"], 1 if task["_id"] != 17 else 0),
        )
        for task in documents
    )
    assert {(line["type"], line["format"]) for line in ended} == {
        ("statsMonthly", "csv"), ("statsAnnual", "ndjson"), ("statsMonthly", "xlsx"),
        ("unknown", "unknown"),
    }  # fmt: skip
    assert all(line["seconds"] >= 0 for line in ended)

    of_steps = [line for line in lines if "step" in line]
    assert {line["step"] for line in of_steps} >= {"claim", "sweep-expired"}
    tasks = {str(task["_id"]) for task in documents}
    for line in of_steps:
        assert {"workflow", "run", "attempt"} <= line.keys()
        assert line["step"].startswith("sweep-") or line["task"] in tasks

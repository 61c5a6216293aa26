"""The benchmarks: replayed exports are real ones, and results are kept and reported."""

import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks.bulk import REPORT, YEAR
from benchmarks.findings import FINDINGS
from benchmarks.month import MONTH
from benchmarks.plan import Plan
from benchmarks.replay import RecordingSource, ReplaySource, record, recorded_rows
from benchmarks.report import page
from benchmarks.results import Goal, Outcome, Record, Results, Row
from benchmarks.rows import decoded, split
from dev import orders
from dev.process import CrashError
from exports.reports.file import load_reports
from exports.source.database import RowQuery, Source
from tests.support.service import Service, downloaded
from worker import at_work, create_workers

_ROWS = 30_000  # more than the first unit of a row-level export takes
_RUNS = Row(
    what="exports",
    unit="exports/s",
    ours=[9, 2, 6],
    reference=[3, 2, 3],
    reference_name="plain script",
)


async def _recorded(service: Service, directory: Path) -> None:
    await service.database["orders"].insert_many(_sample())
    await record(
        RecordingSource(service.database, timedelta(minutes=1)),
        load_reports(service.settings.reports_file),
        {"statsMonthly": MONTH, REPORT: YEAR},
        directory,
    )


@cache
def _sample() -> list[dict[str, Any]]:
    return orders.orders()[-200:]


@asynccontextmanager
async def _working(service: Service, source: Source) -> AsyncGenerator[None]:
    reports = load_reports(service.settings.reports_file)
    async with at_work(create_workers(service.settings, reports, service.connections, source)):
        yield


async def test_a_replayed_export_is_the_file_that_the_database_gives(
    idle_service: Service, tmp_path: Path
) -> None:
    service = idle_service
    await _recorded(service, tmp_path)
    async with _working(service, Source(service.database, timedelta(minutes=1))):
        real = await service.exported()
    await service.database.drop_collection("orders")
    replay = ReplaySource(service.database, timedelta(minutes=1), directory=tmp_path)
    async with _working(service, replay):
        replayed = await service.exported()
    assert replayed.rows > 0
    assert replayed.sha256 == real.sha256


async def test_replayed_rows_are_all_in_the_file(idle_service: Service, tmp_path: Path) -> None:
    service = idle_service
    await _recorded(service, tmp_path)
    replay = ReplaySource(service.database, timedelta(minutes=1), directory=tmp_path, rows=_ROWS)
    async with _working(service, replay):
        task = await service.exported(REPORT, params=YEAR, format="ndjson")
    lines = downloaded(task.download_url).splitlines()
    assert task.rows == len(lines) == len(set(lines)) == _ROWS


async def test_replayed_rows_answer_a_query_as_the_database_does(
    idle_service: Service, tmp_path: Path
) -> None:
    await _recorded(idle_service, tmp_path)
    rows = recorded_rows(tmp_path, 1_000)
    every = _documents(rows.all())
    [time] = [name for name, value in every[0].items() if isinstance(value, datetime)]
    start, end = every[300][time], every[700][time]

    def found(limit: int | None) -> list[dict[str, Any]]:
        period = {"createdAt": {"$gte": start, "$lt": end}}
        return _documents(rows.of(RowQuery(period, {}, [("createdAt", 1)], limit)))

    assert len(every) == 1_000
    assert every == sorted(every, key=lambda document: document[time])
    assert found(None) == every[300:700]
    assert found(250) == every[300:550]


def _documents(batches: Iterable[bytes]) -> list[dict[str, Any]]:
    return [decoded(document) for batch in batches for document in split(batch)]


def test_a_figure_is_the_median_of_its_runs_and_a_ratio_that_of_each_run() -> None:
    assert (_RUNS.figure, _RUNS.reference_figure, _RUNS.ratio) == (6, 3, 2)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal(side="at least", bound=2), True),
        (Goal(side="at least", bound=2.1), False),
        (Goal(side="at most", bound=1.9), False),
        (Goal(side="at most", bound=6, of="figure"), True),
        (Goal(side="at most", bound=5, of="figure"), False),
        (None, None),
    ],
)
def test_a_goal_is_held_against_the_ratio_or_the_figure(
    *, goal: Goal | None, met: bool | None
) -> None:
    assert _RUNS.model_copy(update={"goal": goal}).met is met


def _record(name: str, row: Row = _RUNS) -> Record:
    return Record(
        name=name,
        about="What it is.",
        command="python -m benchmarks",
        at=datetime(2026, 11, 1, tzinfo=UTC),
        seconds=60,
        machine="a machine",
        versions={"Python": "3.11"},
        outcome=Outcome(rows=[row]),
    )


def test_a_benchmark_that_is_run_alone_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    kept = tmp_path / "results.json"
    Results().with_record(_record("one")).with_record(_record("two")).save(kept)
    later = _record("two", _RUNS.model_copy(update={"ours": [1.0] * 3}))
    Results.load(kept).with_record(later).save(kept)
    assert Results.load(kept).records == {"one": _record("one"), "two": later}


def test_the_page_says_of_every_missed_goal_what_the_limit_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missed = _RUNS.model_copy(update={"goal": Goal(side="at least", bound=5)})
    monkeypatch.setitem(FINDINGS, ("one", "exports"), "The disk.")
    written = page(Results().with_record(_record("one", missed)), ["one"])
    assert "| one | exports | 6 exports/s | 3 exports/s (plain script) | 2.00 |" in written
    assert "**Missed: exports.** The disk." in written


def test_what_is_said_of_a_miss_belongs_to_a_benchmark_that_there_is() -> None:
    assert {name for name, _ in FINDINGS} <= set(program.BENCHMARKS)


def _benchmark(outcome: Outcome | CrashError) -> ModuleType:
    async def run(plan: Plan) -> Outcome:
        assert plan.extent == "quick"
        if isinstance(outcome, CrashError):
            raise outcome
        return outcome

    module = ModuleType("benchmark", "What it is.")
    module.__dict__["run"] = run
    return module


def test_a_benchmark_that_can_not_be_run_is_reported_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = _benchmark(CrashError("There is no server."))
    monkeypatch.setattr(
        program, "BENCHMARKS", {"broken": broken, "whole": _benchmark(Outcome(rows=[_RUNS]))}
    )
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--quick"])
    assert program.main() == 1
    said = capsys.readouterr().out
    assert "broken could not be run: There is no server." in said
    assert "6 exports/s" in said

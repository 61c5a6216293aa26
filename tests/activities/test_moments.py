"""The units of an export are read from one moment on, by whichever worker."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.reports.rows import reading
from exports.settings import Settings
from exports.source.database import Source
from exports.tables.warnings import NOT_FROZEN
from tests.support.sent_commands import SentCommands
from tests.support.service import insert_orders, open_service
from worker import at_work, create_workers

OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}
_ROWS = """
kind = "rows"
collection = "{collection}"
time_field = "createdAt"
timezone = "Asia/Shanghai"
columns.id = "_id"
"""
REPORTS = f"""
[reports.year]
collection = "orders"
time_field = "createdAt"
period = "year"
measures.orders = {{ op = "count" }}

[reports.detail]{_ROWS.format(collection="orders")}
[reports.seen]{_ROWS.format(collection="seen")}
[reports.still]{_ROWS.format(collection="orders")}consistency = "snapshot"
"""


async def test_every_unit_is_read_after_the_moment_of_its_export_or_exactly_at_it(
    settings: Settings, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 2)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 2)
    reports = tmp_path / "reports.toml"
    reports.write_text(REPORTS, encoding="utf-8")
    commands = SentCommands()
    async with (
        open_service(
            settings.model_copy(update={"reports_file": reports}), temporal_address
        ) as service,
        AsyncMongoClient[dict[str, Any]](
            settings.mongo_uri.get_secret_value(), event_listeners=[commands]
        ) as client,
    ):
        await insert_orders(service.database, ["1"] * 9)
        await service.database.command({"create": "seen", "viewOn": "orders", "pipeline": []})
        source = Source(client[service.database.name], timedelta(minutes=1))
        workers = create_workers(
            service.settings, load_reports(reports), service.connections, source, {}
        )
        found: dict[str, list[dict[str, Any]]] = {}
        warnings: dict[str, set[str]] = {}
        async with at_work(workers):
            for kind, params in (
                ("year", {"year": 2026}),
                ("detail", OCTOBER),
                ("seen", OCTOBER),
                ("still", OCTOBER),
            ):
                commands.sent.clear()
                task = await service.exported(kind, params=params)
                assert task.status is TaskStatus.DONE, task.error
                assert task.rows == (12 if kind == "year" else 9)
                found[kind] = [
                    sent["readConcern"] for sent in commands.sent if "readConcern" in sent
                ]
                warnings[kind] = {f"{item.code} {item.column}" for item in task.warnings}
    assert len(found["year"]) == 12
    assert len({str(sent["afterClusterTime"]) for sent in found["year"]}) == 1
    for kind in ("detail", "seen"):
        assert len(found[kind]) > 4
        times = [sent["afterClusterTime"] for sent in found[kind]]
        assert min(times) == times[0]
        assert {sent["level"] for sent in found[kind]} == {"majority"}
    assert {str(sent["atClusterTime"]) for sent in found["still"]} == {
        str(found["still"][0]["atClusterTime"])
    }
    assert {sent["level"] for sent in found["still"]} == {"snapshot"}
    assert warnings == {
        "year": set(),
        "detail": set(),
        "seen": {f"{NOT_FROZEN} a view"},
        "still": set(),
    }

"""A file says what it is, how far its data goes, and is never silently shorter than asked for."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from exports import names
from exports.clock import from_epoch_ms
from exports.errors import ExportError
from exports.models import TaskStatus
from exports.settings import Settings
from tests.support.protections import protected_by
from tests.support.recording import closed
from tests.support.service import USER, Service, downloaded, insert_orders, open_service, working

REPORTS = """
[reports.year]
title = "Sales"
collection = "orders"
time_field = "createdAt"
period = "year"
timezone = "Asia/Shanghai"
max_rows = 2
group_by = { category = "category" }
measures.orders = { op = "count" }
params.region = { field = "region", title = "地区", choices = ["north", "south"], many = true }

[reports.rows]
kind = "rows"
collection = "orders"
time_field = "createdAt"
max_rows = 2
about = false
columns.region = "region"
params.region = { field = "region" }
"""
SHANGHAI = ZoneInfo("Asia/Shanghai")
THIS_YEAR = datetime.now(SHANGHAI).year
PERIOD = {"from": f"{THIS_YEAR}-01-01", "to": f"{THIS_YEAR + 1}-01-01"}


@pytest.fixture
async def reporting(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> AsyncIterator[Service]:
    """A service with an order in each of the first three months of this year, two of the north."""
    reports = tmp_path / "reports.toml"
    reports.write_text(REPORTS, encoding="utf-8")
    changed = settings.model_copy(update={"reports_file": reports, "units_side_by_side": 12})
    async with open_service(changed, temporal_address) as service, working(service):
        await service.database["orders"].insert_many(
            [
                {"region": region, "category": "a", "createdAt": datetime(THIS_YEAR, month, 9)}  # noqa: DTZ001 -- UTC to MongoDB
                for month, region in ((1, "north"), (2, "south"), (3, "north"))
            ]
        )
        yield service


async def test_a_file_of_a_period_that_is_not_over_says_so_in_its_name_and_in_its_last_sheet(
    reporting: Service,
) -> None:
    task = await reporting.exported(
        "year", params={"year": THIS_YEAR, "region": "north"}, format="xlsx"
    )
    assert (task.status, task.rows, task.params["region"]) == (TaskStatus.DONE, 2, ["north"])
    assert task.created_at is not None
    assert task.data_until is not None
    assert task.finished_at is not None
    assert task.created_at <= task.data_until <= task.finished_at
    until = from_epoch_ms(task.data_until).astimezone(SHANGHAI)
    assert task.file_name == f"Sales-{THIS_YEAR}-until-{until:%Y-%m-%d-%H%M}.xlsx"

    book = openpyxl.load_workbook(io.BytesIO(downloaded(task.download_url)))
    rows = book.worksheets[-1].iter_rows(values_only=True)
    lines = {str(label): value for label, value in rows}
    asked = from_epoch_ms(task.created_at).astimezone(SHANGHAI)
    assert lines == {
        "Report": "Sales",
        "year": str(THIS_YEAR),
        "地区": "north",
        "Period": str(THIS_YEAR),
        "Time zone": "Asia/Shanghai",
        "Asked by": USER,
        "Asked at": asked.isoformat(" ", "seconds"),
        "Made at": until.isoformat(" ", "seconds"),
        "Data until": until.isoformat(" ", "seconds"),
        "Rows": "2",
    }
    assert book.worksheets[1]["A2"].value == f"year {THIS_YEAR} · 地区: north"

    await _has_a_preview(reporting, task.id)


async def _has_a_preview(service: Service, task_id: str) -> None:
    preview = await service.client.preview(task_id, created_by=USER)
    assert [(item.name, item.type) for item in preview.columns] == [
        ("month", "month"),
        ("category", "text"),
        ("orders", "integer"),
    ]
    months = [f"{THIS_YEAR}-01", f"{THIS_YEAR}-03"]
    assert preview.rows == [{"month": key, "category": "a", "orders": 1} for key in months]
    assert preview.chart is not None
    assert preview.chart.labels == months
    # Nobody else, whatever has become of it.
    key = (await service.document(task_id))["objectKey"]
    service.store.remove_all([names.preview_key(key)])
    assert await _refusal(service, task_id, "mallory") == "E_NOT_FOUND"
    assert await _refusal(service, task_id, USER) == "E_PREVIEW"
    service.store.remove_all([key])
    assert await _refusal(service, task_id, USER) == "E_EXPIRED"


async def _refusal(service: Service, task_id: str, created_by: str) -> str:
    with pytest.raises(ExportError) as refused:
        await service.client.preview(task_id, created_by=created_by)
    return refused.value.code


@protected_by("activities/upload.py", "ask.plan.check_rows(rows)", instead="pass")
@protected_by("activities/aggregate.py", "ask.plan.check_rows(attempt.rows)", instead="pass")
async def test_an_export_of_more_rows_than_allowed_fails_and_leaves_nothing(
    reporting: Service,
) -> None:
    # All months are read side by side, none of which has more than one row.
    year, rows, few = await asyncio.gather(
        reporting.exported("year", params={"year": THIS_YEAR}),
        reporting.exported("rows", params=PERIOD),
        reporting.exported("rows", params={**PERIOD, "region": "north"}, format="xlsx"),
    )
    for task, ways in (
        (year, "the parameter region"),
        (rows, "a shorter period, or the parameter region"),
    ):
        assert (task.status, task.retries) == (TaskStatus.FAILED, 1)
        assert task.error is not None
        assert task.error.code == "E_ROWS"
        assert task.error.msg == (
            f"The export has more than 2 rows, which is the limit of {task.type}; "
            f"ask for less with {ways}."
        )
        with pytest.raises(ExportError, match="only one that is done"):
            await reporting.client.preview(task.id, created_by=USER)
    assert (few.status, few.rows) == (TaskStatus.DONE, 2)
    book = openpyxl.load_workbook(io.BytesIO(downloaded(few.download_url)))
    assert book.sheetnames == ["rows"]  # about = false
    await asyncio.gather(*(closed(reporting.run_of(task.id)) for task in (year, rows, few)))
    assert reporting.keys() == [(await reporting.document(few.id))["objectKey"]]
    assert names.UPLOAD not in await _steps(reporting, rows.id), "noticed while it was read"


async def _steps(service: Service, task_id: str) -> list[str]:
    history = await service.run_of(task_id).fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


async def test_a_file_of_a_period_that_is_over_says_nothing_of_it(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported(params={"year": 2020, "month": 2})
    assert task.file_name == "statsMonthly-2020-02.csv"
    assert task.data_until is None
    assert "dataUntil" not in await service.document(task.id)
    assert (await service.client.preview(task.id, created_by=USER)).rows == []

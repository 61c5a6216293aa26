"""A row-level export, from the request to the finished file."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bson import Decimal128, ObjectId

from activities import aggregate
from exports import names
from exports.models import TaskStatus, UploadInput
from exports.reports.rows import reading
from exports.settings import Settings
from exports.source import database
from exports.tables.warnings import MISMATCH_NULL, MISMATCH_TEXT, TaskWarning
from exports.tasks.task import ExportTask
from exports.temporal.payload_size import size_of
from tests.support.service import Service, downloaded, open_service, working
from workflows import policies

OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}
FIRST = datetime(2026, 9, 30, 16, tzinfo=UTC)  # midnight in Shanghai


async def _insert(service: Service, *moments: datetime) -> None:
    await service.database["orders"].insert_many(
        [
            {
                "_id": ObjectId(f"{index:024x}"),
                "createdAt": moment,
                "tenant": "huamao",
                "uid": "u1",
                "category": "图书",
                "region": "华东",
                "kind": "sale",
                "quantity": index,
                "amount": Decimal128("12.50"),
                "note": "=1+1",
            }
            for index, moment in enumerate(moments)
        ]
    )


def _csv(task: ExportTask) -> list[list[str]]:
    assert task.status is TaskStatus.DONE, task.error
    return list(csv.reader(io.StringIO(downloaded(task.download_url).decode("utf-8-sig"))))


async def test_an_analyst_gets_every_order_of_a_month_in_order(service: Service) -> None:
    before, end = FIRST - timedelta(milliseconds=1), FIRST + timedelta(days=31)
    last = end - timedelta(milliseconds=1)
    await _insert(service, last, end, FIRST, before)
    task = await service.exported("recordsDetail", params=OCTOBER, format="csv")
    rows = _csv(task)
    assert task.file_name == "recordsDetail-2026-10-01_2026-11-01.csv"
    assert [row[0] for row in rows] == ["订单号 Order", f"{2:024x}", f"{0:024x}"]
    assert [row[1] for row in rows[1:]] == [
        "2026-10-01T00:00:00.000+08:00",
        "2026-10-31T23:59:59.999+08:00",
    ]
    assert [row[7:9] for row in rows[1:]] == [["2", "12.50"], ["0", "12.50"]]


async def test_an_analyst_chooses_columns(service: Service) -> None:
    await _insert(service, FIRST)
    params = OCTOBER | {"columns": "amount,id"}
    rows = _csv(await service.exported("recordsDetail", params=params))
    assert rows == [["金额 Amount", "订单号 Order"], ["12.50", f"{0:024x}"]]


async def test_a_large_export_is_read_in_many_units_and_is_one_file_in_order(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 20)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 25)
    # Many small parts: some units list them in the history, and later ones in the bucket.
    monkeypatch.setattr(aggregate, "PART_BYTES", 1)
    monkeypatch.setattr(database, "ROWS_PER_BATCH", 5)
    monkeypatch.setattr(policies, "MOST_LISTED_OF_UNIT", 2000)
    monkeypatch.setattr(policies, "MOST_LISTED", 8000)
    # Three of each instant, and later far more in a time than at first.
    hours = [number // 3 * (6 if number < 60 else 1) for number in range(400)]
    await _insert(service, *(FIRST + timedelta(hours=hour) for hour in reversed(hours)))
    task = await service.exported("recordsDetail", params=OCTOBER | {"columns": "created,id"})
    rows = _csv(task)[1:]
    assert task.rows == len(rows) == 400
    assert rows == sorted(rows)
    assert len({row[1] for row in rows}) == 400
    await service.run_of(task.id).result()
    uploaded = await _upload_input(service, task.id)
    assert {bool(part.lists) for part in uploaded.parts} == {False, True}
    assert size_of(uploaded) < 20_000
    assert len(service.keys()) == 1  # the file


async def _upload_input(service: Service, task_id: str) -> UploadInput:
    for event in (await service.run_of(task_id).fetch_history()).events:
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == names.UPLOAD:
            return UploadInput.model_validate_json(scheduled.input.payloads[0].data)
    raise AssertionError("Nothing was uploaded.")


@pytest.mark.parametrize(
    ("on_mismatch", "warnings", "cells"),
    [
        ("text", [TaskWarning(code=MISMATCH_TEXT, column="n", count=1)], ["1", "many", "3"]),
        ("null", [TaskWarning(code=MISMATCH_NULL, column="n", count=1)], ["1", "", "3"]),
        ("fail", [], []),
    ],
)
async def test_a_value_that_does_not_fit_is_handled_as_the_report_says(
    settings: Settings,
    temporal_address: str,
    tmp_path: Path,
    on_mismatch: str,
    warnings: list[TaskWarning],
    cells: list[str],
) -> None:
    reports = tmp_path / "reports.toml"
    reports.write_text(
        '[reports.detail]\nkind = "rows"\ncollection = "orders"\ntime_field = "at"\n'
        f'on_mismatch = "{on_mismatch}"\ncolumns.n = {{ field = "n", type = "integer" }}\n'
        'columns.at = "at"\n',
        encoding="utf-8",
    )
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        await service.database["orders"].insert_many(
            [
                {"at": FIRST + timedelta(days=day + 1), "n": value}
                for day, value in enumerate([1, "many", 3])
            ]
        )
        task = await service.exported("detail", params=OCTOBER)
    if on_mismatch == "fail":
        assert task.error is not None
        assert (task.status, task.error.code) == (TaskStatus.FAILED, "E_MISMATCH")
        assert "many" not in task.error.msg
        assert task.retries <= 1
    else:
        assert [row[0] for row in _csv(task)[1:]] == cells
    assert task.warnings == warnings


async def test_a_second_export_gives_the_same_bytes(service: Service) -> None:
    await _insert(service, *[FIRST] * 20, FIRST + timedelta(days=3))
    first, second = [await service.exported("recordsDetail", params=OCTOBER) for _ in range(2)]
    assert first.sha256 == second.sha256


async def test_a_value_is_counted_once_if_it_makes_the_columns_of_other_units_text_too(
    settings: Settings, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 2)
    reports = tmp_path / "reports.toml"
    reports.write_text(
        '[reports.detail]\nkind = "rows"\ncollection = "orders"\ntime_field = "at"\n'
        'on_mismatch = "text"\ncolumns.n = { field = "n", type = "integer" }\n',
        encoding="utf-8",
    )
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        await service.database["orders"].insert_many(
            [
                {"at": FIRST + timedelta(days=day + 1), "n": value}
                for day, value in enumerate([1, 2, 3, "many"])
            ]
        )
        task = await service.exported("detail", params=OCTOBER)
    assert [row[0] for row in _csv(task)[1:]] == ["1", "2", "3", "many"]
    assert task.warnings == [TaskWarning(code=MISMATCH_TEXT, column="n", count=1)]

"""The known figures of a public data set are exported exactly."""

import csv
import io
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from exports.reports.file import load_reports
from exports.settings import Settings
from exports.source.database import Source
from tests.support.paths import DATA
from tests.support.service import downloaded, open_service, working

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
async def uber(mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncDatabase[dict[str, Any]]:
    with (DATA / "uber-daily-2015.csv").open(encoding="utf-8", newline="") as file:
        documents = [
            {
                "base": row["dispatching_base_number"],
                "date": datetime.strptime(row["date"], "%m/%d/%Y").replace(tzinfo=NEW_YORK),
                "trips": int(row["trips"]),
                "active_vehicles": int(row["active_vehicles"]),
            }
            for row in csv.DictReader(file)
        ]
    await mongo_database["uber"].insert_many(documents)
    return mongo_database


async def _rows(
    database: AsyncDatabase[dict[str, Any]], name: str, params: dict[str, object]
) -> list[dict[str, Any]]:
    report = load_reports(DATA / "uber.toml").named(name)
    rows: list[dict[str, Any]] = []
    checked = report.check_params(params)
    for unit in report.units(checked):
        source = Source(database, timedelta(minutes=1))
        async for found in report.read(source, unit, params=checked, created_by="u1"):
            rows += found.batch.to_pylist()
    return rows


async def test_january_2015_has_every_trip_that_was_reported(
    uber: AsyncDatabase[dict[str, Any]],
) -> None:
    rows = await _rows(uber, "statsMonthly", {"year": 2015, "month": 1})

    assert [row["day"] for row in rows] == [date(2015, 1, day) for day in range(1, 32)]
    assert sum(row["trips"] for row in rows) == 1_908_649
    assert sum(row["vehicles"] for row in rows) == 226_335
    assert sum(row["reports"] for row in rows) == 186
    assert {row["bases"] for row in rows} == {6}


async def test_february_2015_has_the_busiest_day(uber: AsyncDatabase[dict[str, Any]]) -> None:
    rows = await _rows(uber, "statsMonthly", {"year": 2015, "month": 2})

    busiest = max(rows, key=lambda row: row["trips"])
    assert (busiest["day"], busiest["trips"]) == (date(2015, 2, 20), 100_915)


async def test_the_year_2015_has_exactly_the_two_months_that_were_reported(
    uber: AsyncDatabase[dict[str, Any]],
) -> None:
    rows = await _rows(uber, "statsAnnual", {"year": 2015})

    totals = {
        month: tuple(
            sum(row[name] for row in rows if row["month"] == month)
            for name in ("reports", "trips", "vehicles")
        )
        for month in sorted({row["month"] for row in rows})
    }
    assert totals == {
        date(2015, 1, 1): (186, 1_908_649, 226_335),
        date(2015, 2, 1): (168, 2_221_581, 236_497),
    }
    assert [row["base"] for row in rows[:6]] == sorted({row["base"] for row in rows})
    assert len(rows) == 12


@pytest.mark.parametrize(
    ("kind", "params", "months"),
    [
        ("statsMonthly", {"year": 2015, "month": 1}, {"2015-01": 1_908_649}),
        ("statsAnnual", {"year": 2015}, {"2015-01": 1_908_649, "2015-02": 2_221_581}),
    ],
)
async def test_the_finished_file_holds_every_trip(
    uber: AsyncDatabase[dict[str, Any]],
    settings: Settings,
    temporal_address: str,
    kind: str,
    params: dict[str, int],
    months: dict[str, int],
) -> None:
    assert uber.name == settings.mongo_database
    configured = settings.model_copy(update={"reports_file": DATA / "uber.toml"})
    async with open_service(configured, temporal_address) as service, working(service):
        task = await service.exported(kind, params=params, format="csv")
        file = io.StringIO(downloaded(task.download_url).decode("utf-8-sig"))
    found: dict[str, int] = {}
    for row in csv.DictReader(file):
        month = (row.get("day") or row["month"])[:7]
        found[month] = found.get(month, 0) + int(row["trips"])
    assert found == months

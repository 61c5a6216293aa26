"""The reports that the README and the page on reports show work as they are."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Final, get_args

import pytest

from exports.errors import ParamsError
from exports.models import TaskStatus
from exports.reports.definition import Measure
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.source.types import ColumnType
from tests.support import pages
from tests.support.service import insert_orders, open_service, working

_REPORTS: Final = pages.DOCS / "reports.md"


def test_the_parameters_that_are_shown_are_accepted(tmp_path: Path) -> None:
    section = pages.section(_REPORTS, "Parameters of a report")
    tables = [*pages.blocks("toml", pages.section(_REPORTS, "Statistics"))[:1]]
    reports = tmp_path / "reports.toml"
    reports.write_text("\n".join([*tables, *pages.blocks("toml", section)]), encoding="utf-8")
    [shown] = re.findall(r"In Python and JSON: `(.*)`", section)
    assert load_reports(reports).named("refunds").check_params(json.loads(shown))


async def test_the_statistics_that_are_shown_give_rows(
    settings: Settings, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom = pages.section(_REPORTS, "A report in Python")
    [program] = pages.blocks("python", custom)
    (tmp_path / "team_reports.py").write_text(program, encoding="utf-8")
    [short] = pages.blocks("toml", pages.section(pages.README, "Define a report"))
    tables = [
        short.replace("reports.refunds", "reports.short"),
        *pages.blocks("toml", pages.section(_REPORTS, "Statistics")),
        *pages.blocks("toml", custom),
    ]
    (tmp_path / "shown.toml").write_text("\n".join(tables), "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "team_reports", raising=False)
    changed = settings.model_copy(update={"reports_file": tmp_path / "shown.toml"})
    async with open_service(changed, temporal_address) as service, working(service):
        await insert_orders(service.database)
        await service.database["orders"].update_many({}, {"$set": {"kind": "refund"}})
        shortest = await service.exported("short")
        refunds = await service.exported("refunds")
        day = await service.exported("ordersOfDay", params={"day": "2026-10-02"}, format="xlsx")
        with pytest.raises(ParamsError, match="2026-10-31"):
            await service.create("ordersOfDay", params={"day": {"$gt": ""}})
    assert (shortest.status, shortest.rows) == (TaskStatus.DONE, 3)
    assert (refunds.status, refunds.rows) == (TaskStatus.DONE, 3)
    assert refunds.file_name == "refunds-2026-10.csv"
    assert (day.status, day.rows) == (TaskStatus.DONE, 1)
    assert day.file_name == "ordersOfDay-2026-10-02.xlsx"


async def test_the_row_level_report_that_is_shown_gives_rows(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    [block] = pages.blocks("toml", pages.section(_REPORTS, "Rows"))
    (tmp_path / "shown.toml").write_text(block, "utf-8")
    changed = settings.model_copy(update={"reports_file": tmp_path / "shown.toml"})
    async with open_service(changed, temporal_address) as service, working(service):
        await insert_orders(service.database)
        await service.database["orders"].update_many({}, {"$set": {"kind": "sale"}})
        params = {"from": "2026-10-01", "to": "2026-10-03"}
        sales = await service.exported("sales", params=params)
    assert (sales.status, sales.rows) == (TaskStatus.DONE, 2)


def test_the_rules_of_all_column_types_are_listed() -> None:
    rows = next(pages.tables(pages.section(_REPORTS, "Column types")))
    assert tuple(row[0].strip("`") for row in rows) == get_args(ColumnType)


def test_the_report_that_is_shown_names_every_operation() -> None:
    [block] = pages.blocks("toml", pages.section(_REPORTS, "Statistics"))
    assert "measures" in tomllib.loads(block)["reports"]["refunds"]
    [listed] = re.findall(r"measures\] +# (.*)", block)
    assert tuple(re.split(", | or ", listed)) == get_args(Measure.model_fields["op"].annotation)

"""What CONTRIBUTING.md shows works as it is written there."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from exports.errors import ParamsError
from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.tables.warnings import WarningCounts
from tests.support import pages
from tests.support.paths import REPOSITORY
from tests.support.rows import batch, measure, table
from tests.support.service import insert_orders, open_service, working


def _blocks(language: str, heading: str) -> list[str]:
    return pages.blocks(language, pages.section(REPOSITORY / "CONTRIBUTING.md", heading))


async def test_the_reports_give_files(
    settings: Settings, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [program] = _blocks("python", "Add a report")
    (tmp_path / "team_reports.py").write_text(program, encoding="utf-8")
    (tmp_path / "reports.toml").write_text("\n".join(_blocks("toml", "Add a report")), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "team_reports", raising=False)
    changed = settings.model_copy(update={"reports_file": tmp_path / "reports.toml"})
    load_reports(changed.reports_file).named("refundsMonthly")
    async with open_service(changed, temporal_address) as service, working(service):
        await insert_orders(service.database)
        counted = await service.exported("orderCount", params={"since": "2026-01-01"})
        refunds = await service.exported("refundsMonthly")
        with pytest.raises(ParamsError, match="since=2026-10-31"):
            await service.create("orderCount", params={"since": {"$gt": ""}})
    assert (counted.status, counted.rows) == (TaskStatus.DONE, 1)
    assert refunds.status is TaskStatus.DONE


def test_the_format_gives_a_file_that_can_be_read() -> None:
    [program] = _blocks("python", "Add a file format")
    module: dict[str, Any] = {}
    exec(program, module)  # noqa: S102 -- our own page
    arrow = module["ArrowStream"]()
    of = table(measure("Orders", pa.int64()))
    batches = [batch(of, [1], [2]), batch(of, [3])]
    pieces: list[bytes] = list(arrow.encode(of, batches, WarningCounts()))
    assert all(pieces)
    with pa.ipc.open_stream(b"".join(pieces)) as reader:
        assert reader.read_all() == pa.Table.from_batches(batches)
    assert list(arrow.encode(of, [], WarningCounts()))


def test_the_settings_of_the_object_store_make_its_links(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    [block] = _blocks("sh", "Add an object store")
    monkeypatch.setenv("EXPORTS_MONGO_URI", "mongodb://db")
    monkeypatch.setenv("EXPORTS_S3_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("EXPORTS_S3_SECRET_ACCESS_KEY", "key")
    for line in block.splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    store = ObjectStore(Settings.load())
    link = store.link("files/a", file_name="a.csv", ttl=settings.url_ttl)
    store.close()
    assert link.url.startswith("https://team-1250000000.cos.ap-shanghai.myqcloud.com/files/a?")

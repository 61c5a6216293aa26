"""The whole path: from the request to the downloaded file."""

import asyncio
import csv
import hashlib
import io
import urllib.request
from datetime import timedelta
from decimal import Decimal
from urllib.error import HTTPError

import openpyxl
import pytest

from exports import names
from exports.errors import FileExpiredError
from exports.models import Stage, TaskStatus
from exports.settings import Settings
from tests.support.service import USER, Service, downloaded, insert_orders, open_service, working

LONGEST = 150
"""Seconds after which a test stops waiting and fails."""


async def test_an_analyst_gets_a_month_as_csv_with_every_cent(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported(format="csv")
    content = downloaded(task.download_url)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert rows[0] == ["日期 Day", "类别 Category", "订单数 Orders", "销售额 Revenue", *rows[0][4:]]
    assert [row[0] for row in rows[1:]] == ["2026-10-01", "2026-10-02", "2026-10-03"]
    assert sum(Decimal(row[3]) for row in rows[1:]) == Decimal("30.00")
    assert (task.rows, task.bytes) == (3, len(content))
    assert task.sha256 == hashlib.sha256(content).hexdigest()
    assert task.file_name == "statsMonthly-2026-10.csv"


async def test_an_analyst_gets_a_year_as_a_workbook(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported("statsAnnual", format="xlsx")
    book = openpyxl.load_workbook(io.BytesIO(downloaded(task.download_url)))
    rows = list(book.worksheets[0].iter_rows(values_only=True))
    assert rows[1][1:4] == ("图书", 3, 30)
    assert task.file_name is not None
    assert task.file_name.startswith("statsAnnual-2026")


@pytest.mark.parametrize("kind", ["statsMonthly", "statsAnnual"])
@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
async def test_a_period_without_orders_gives_a_file_without_rows(
    service: Service, kind: str, file_format: str
) -> None:
    await insert_orders(service.database)
    params = {"year": 2020, "month": 2} if kind == "statsMonthly" else {"year": 2020}
    task = await service.exported(kind, params=params, format=file_format)
    assert (task.status, task.rows) == (TaskStatus.DONE, 0)
    assert len(downloaded(task.download_url)) == task.bytes


async def test_nothing_but_the_file_and_its_preview_is_left_in_the_bucket(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported("statsAnnual")
    await service.run_of(task.id).result()
    key = (await service.document(task.id))["objectKey"]
    assert service.keys() == [key]
    assert service.store.size(names.preview_key(key))
    assert service.open_uploads() == []


async def test_the_document_says_when_each_thing_happened(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    stamps = [task.created_at, task.started_at, task.finished_at, task.expires_at]
    assert None not in stamps
    assert stamps == sorted(stamp for stamp in stamps if stamp is not None)
    assert task.expires_at is not None
    assert task.finished_at is not None
    # The link is signed shortly before `finishedAt`, and counts from the start of that second.
    assert task.started_at is not None
    assert task.started_at - 1_000 <= task.expires_at - 30 * 60_000 <= task.finished_at
    assert (task.retries, task.error, task.next_run_at) == (0, None, None)
    progress = task.progress
    assert (progress.stage, progress.rows, progress.total) == (Stage.FINISHED, 3, 3)


async def test_the_stored_document_keeps_the_names_and_types_of_the_old_function(
    service: Service,
) -> None:
    await insert_orders(service.database)
    document = await service.document((await service.exported()).id)
    stored = {
        "type": str,
        "params": dict,
        "status": str,
        "retries": int,
        "maxRetries": int,
        "downloadUrl": str,
        "expiresAt": int,
        "createdBy": str,
        "createdAt": int,
    }
    assert {name for name in stored if not isinstance(document.get(name), stored[name])} == set()


async def test_a_link_expires_and_a_renewed_one_works(
    idle_service: Service, temporal_address: str
) -> None:
    brief = idle_service.settings.model_copy(update={"url_ttl": timedelta(seconds=1)})
    async with open_service(brief, temporal_address) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
    async with asyncio.timeout(LONGEST):
        while not _is_expired(task.download_url):
            await asyncio.sleep(0.2)
    renewed = await idle_service.client.renew(task.id, created_by=USER)
    assert downloaded(renewed.download_url)


def _is_expired(url: str | None) -> bool:
    try:
        downloaded(url)
    except HTTPError as refused:
        refused.close()
        return refused.code == 403
    return False


async def test_a_link_is_not_renewed_past_the_end_of_its_file(
    settings: Settings, temporal_address: str
) -> None:
    kept = settings.model_copy(update={"retention": settings.url_ttl})
    async with open_service(kept, temporal_address) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
        renewed = await service.client.renew(task.id, created_by=USER)
        assert renewed.expires_at is not None
        assert renewed.purge_at is not None
        # Exact to a second: a signature counts whole seconds, from the beginning of a second.
        assert renewed.purge_at - 3000 < renewed.expires_at <= renewed.purge_at
        await service.database["ExportTasks"].update_one({}, {"$set": {"purgeAt": 1}})
        with pytest.raises(FileExpiredError):
            await service.client.renew(task.id, created_by=USER)


async def test_a_browser_saves_the_file_under_its_name_for_people(
    settings: Settings, temporal_address: str
) -> None:
    async with open_service(settings, temporal_address) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
        key = (await service.document(task.id))["objectKey"]
        link = service.store.link(key, file_name="月度 统计-2026-10.csv", ttl=settings.url_ttl).url
        headers = await asyncio.to_thread(_headers, link)
        assert headers["Content-Disposition"] == (
            'attachment; filename="__ __-2026-10.csv"; '
            "filename*=UTF-8''%E6%9C%88%E5%BA%A6%20%E7%BB%9F%E8%AE%A1-2026-10.csv"
        )
        assert headers["Content-Type"].startswith("text/csv")


def _headers(link: str) -> dict[str, str]:
    with urllib.request.urlopen(link, timeout=150) as answer:
        return dict(answer.headers)

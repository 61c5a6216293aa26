"""Asking too much: how many exports one person may have at once, and on a day."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from exports import names
from exports.client import retrying
from exports.client.retrying import RetriedAll
from exports.clock import now_ms
from exports.errors import QuotaError
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks import quotas as quotas_module
from tests.support.service import MONTH, USER, Service, open_service, write_reports
from tests.support.stored_tasks import insert_task

DAY = 86_400_000  # milliseconds


@pytest.fixture
def limited(settings: Settings) -> Settings:
    return settings.model_copy(update={"quota_open": 3, "quota_per_day": 5})


@pytest.fixture
async def service(limited: Settings, temporal_address: str) -> AsyncIterator[Service]:
    """A service with limits; no worker runs."""
    async with open_service(limited, temporal_address) as opened:
        yield opened


async def _end(service: Service, task_id: str, status: str = "done") -> None:
    await service.database["ExportTasks"].update_one(
        {"_id": ObjectId(task_id)}, {"$set": {"status": status}}
    )


async def _made(service: Service, times: int, **given: Any) -> list[str]:
    """Ask several times at once; return the ids of the exports that were made."""
    answers = await asyncio.gather(
        *(service.create(**given) for _ in range(times)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, QuotaError) for answer in refused)
    return [answer.id for answer in answers if not isinstance(answer, BaseException)]


async def test_a_hundred_calls_at_once_with_three_left_make_three_exports(
    limited: Settings, temporal_address: str
) -> None:
    more = limited.model_copy(update={"quota_open": 10, "quota_per_day": 200})
    async with (
        open_service(more, temporal_address) as one,
        open_service(more, temporal_address) as two,
    ):
        assert len(await _made(one, 7)) == 7
        made = await asyncio.gather(_made(one, 50), _made(two, 50))
        assert sum(map(len, made)) == 3
        assert await one.database["ExportTasks"].count_documents({}) == 10
        assert len(await _made(one, 2, created_by="u2")) == 2


async def test_an_export_that_ends_in_any_way_makes_room_for_one(service: Service) -> None:
    made = await _made(service, 4)
    with pytest.raises(QuotaError, match="3 exports that have not ended") as refused:
        await service.create()
    assert (refused.value.retry_at, refused.value.permanent) == (None, False)
    for task_id, status in zip(made, ("failed", "cancelled"), strict=False):
        await _end(service, task_id, status)
        assert len(await _made(service, 3)) == 1
    assert len(made) == 3


async def test_a_day_ends_at_midnight_in_utc(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await _end(service, (await service.create()).id)
    midnight = now_ms() // DAY * DAY + DAY
    with pytest.raises(QuotaError) as refused:
        await service.create()
    assert refused.value.retry_at == midnight
    shown = datetime.fromtimestamp(midnight / 1000, UTC).strftime("%Y-%m-%d 00:00 UTC")
    assert f"The next day begins at {shown}" in refused.value.msg
    monkeypatch.setattr(quotas_module, "now_ms", lambda: midnight)
    assert (await service.create()).status is TaskStatus.PENDING


async def test_a_report_has_limits_of_its_own(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    reports = write_reports(tmp_path / "reports.toml", quota="{ open = 2, per_day = 3 }")
    update = {"reports_file": reports, "quota_open": 10, "quota_per_day": 10}
    async with open_service(settings.model_copy(update=update), temporal_address) as service:
        first, _ = made = await _made(service, 5)
        assert len(made) == 2
        await _end(service, first)
        assert len(await _made(service, 2)) == 1
        with pytest.raises(QuotaError, match="exports of statsMonthly that have not ended"):
            await service.create()
        found = await service.client.quotas(created_by=USER)
        assert found.open is not None
        assert (found.open.limit, found.open.used, found.open.resets_at) == (10, 2, None)
        assert found.day is not None
        assert (found.day.limit, found.day.used) == (10, 3)
        assert (found.day.resets_at or 0) % DAY == 0
        assert {*found.reports} == {"statsMonthly"}
        own = found.reports["statsMonthly"]
        assert own.open is not None
        assert own.day is not None
        assert (own.open.used, own.day.used, own.day.limit) == (2, 3, 3)


async def test_a_failed_export_that_is_retried_needs_room_unless_an_operator_retries_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "LONGEST_PAUSE", 0)  # the runs that failed never close here
    first, second, _ = await _made(service, 3)
    for task_id in (first, second):
        await _end(service, task_id, "failed")
    await service.client.retry(first, created_by=USER)
    await service.create()
    with pytest.raises(QuotaError):
        await service.client.retry(second, created_by=USER)
    assert (await service.client.get(second, created_by=USER)).status is TaskStatus.FAILED
    assert (await service.client.retry(second, created_by=None)).status is TaskStatus.PENDING


async def test_all_failed_exports_are_retried_as_far_as_there_is_room(service: Service) -> None:
    for _ in range(5):
        await insert_task(service, status="failed")
    result = await service.client.retry_all(created_by=USER)
    assert result == RetriedAll(found=5, retried=3, refused={"E_QUOTA": 2})
    assert await service.client.retry_all(created_by=None) == RetriedAll(found=2, retried=2)


async def test_calls_that_make_no_export_cost_nothing(
    limited: Settings, temporal_address: str
) -> None:
    joining = limited.model_copy(update={"join_within": timedelta(minutes=10)})
    async with open_service(joining, temporal_address) as service:
        for number in (1, 2, 3):
            await service.create(params=MONTH | {"month": number}, idempotency_key=str(number))
        for number in (1, 2, 3):
            for key in (None, str(number), f"another {number}"):
                params = MONTH | {"month": number}
                assert (await service.create(params=params, idempotency_key=key)).joined
        found = await service.client.quotas(created_by=USER)
        assert (found.open and found.open.used, found.day and found.day.used) == (3, 3)
        with pytest.raises(QuotaError):
            await service.create(params=MONTH | {"month": 4})


async def test_no_document_of_another_system_takes_a_persons_slots(service: Service) -> None:
    tasks = service.database["ExportTasks"]
    await service.create()
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    for owner in ("mallory", [USER], None):
        for day, field in (("", "openSlots"), (today, "daySlots")):
            prefix = names.slots_prefix(USER, day)
            for number in range(6):
                slot = names.slot(prefix, None, number)
                held: list[object] = [slot, [slot], [f"{slot}!", slot]]
                document = {"status": "pending", "createdBy": owner, field: held[number % 3]}
                if await tasks.find_one({field: slot}) is None:
                    await tasks.insert_one(document)
    assert len(await _made(service, 5)) == 2


async def test_without_limits_there_are_no_quotas_and_no_slots(idle_service: Service) -> None:
    task = await idle_service.create()
    found = await idle_service.client.quotas(created_by=USER)
    assert (found.open, found.day, found.reports) == (None, None, {})
    assert not {"openSlots", "daySlots"} & set(await idle_service.document(task.id))

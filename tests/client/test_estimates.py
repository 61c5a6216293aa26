"""What a person can know of an export before asking for it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId

from exports.errors import ExportError, QuotaError
from exports.settings import Settings
from tests.support.service import MONTH, USER, Service, open_service, write_reports
from tests.support.stored_tasks import TASK

OCTOBER = 1_790_784_000_000  # epoch milliseconds of its first day in Shanghai


def _done(owner: str, month: int, rows: int, seconds: int) -> dict[str, Any]:
    return {
        **TASK,
        "_id": ObjectId(),
        "params": {"year": 2026, "month": month},
        "status": "done",
        "createdBy": owner,
        "rows": rows,
        "startedAt": OCTOBER,
        "finishedAt": OCTOBER + seconds * 1000,
    }


async def _estimated(
    service: Service, month: int, who: str = USER
) -> tuple[int | None, int | None]:
    params = {"year": 2026, "month": month}
    found = await service.client.estimate("statsMonthly", params, created_by=who)
    return found.rows, found.seconds


async def test_rows_and_seconds_are_those_of_earlier_exports_for_the_length_of_the_period(
    idle_service: Service,
) -> None:
    tasks = idle_service.database["ExportTasks"]
    assert await _estimated(idle_service, 10) == (None, None)
    rubbish = {**_done("u2", 1, 9, 9), "params": {"year": "never"}}
    await tasks.insert_many([_done("u2", 9, 300, 60), rubbish])
    assert await _estimated(idle_service, 10) == (310, 62)
    await tasks.insert_many([_done("u3", 9, 330, 60), _done("u3", 9, 3000, 600)])
    assert await _estimated(idle_service, 9) == (330, 60)
    assert await tasks.count_documents({}) == 4


async def test_of_a_period_that_is_not_over_the_estimate_is_of_what_is_over_and_says_so(
    idle_service: Service,
) -> None:
    await idle_service.database["ExportTasks"].insert_one(_done("u2", 9, 300_000, 60))
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    over, present, future = [
        await idle_service.client.estimate(
            "statsMonthly", {"year": year, "month": now.month}, created_by=USER
        )
        for year in (now.year - 1, now.year, now.year + 1)
    ]
    assert (over.open_ended, present.open_ended, future.open_ended) == (False, True, True)
    assert over.rows is not None
    assert present.rows is not None
    assert present.rows < over.rows
    assert (future.rows, future.seconds) == (None, None)


async def test_where_each_person_has_other_rows_nobody_learns_of_the_others(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    reports = write_reports(tmp_path / "reports.toml", owner_field='"uid"')
    update = {"reports_file": reports}
    async with open_service(settings.model_copy(update=update), temporal_address) as service:
        await service.database["ExportTasks"].insert_one(_done("u2", 9, 300, 60))
        assert await _estimated(service, 9) == (None, None)
        assert await _estimated(service, 9, "u2") == (300, 60)


async def test_an_estimate_says_what_a_call_would_do_and_changes_nothing(
    settings: Settings, temporal_address: str
) -> None:
    update = {"quota_open": 1, "join_within": timedelta(minutes=1)}
    async with open_service(settings.model_copy(update=update), temporal_address) as service:
        ask = service.client.estimate
        before = await ask("statsMonthly", MONTH, created_by=USER)
        assert (before.joins, before.quotas.open and before.quotas.open.used) == (None, 0)
        task = await service.create()
        document = await service.document(task.id)
        assert (await ask("statsMonthly", MONTH, created_by=USER)).joins == task.id
        with pytest.raises(QuotaError):
            await ask("statsMonthly", MONTH, created_by=USER, format="xlsx")
        assert (await ask("statsMonthly", MONTH, created_by="u2")).joins is None
        assert await service.document(task.id) == document
        assert await service.database["ExportTasks"].count_documents({}) == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"type": "none"}, "E_TYPE"),
        ({"params": {"year": 1}}, "E_PARAMS"),
        ({"format": "doc"}, "E_FORMAT"),
        ({"created_by": ""}, "E_REQUEST"),
        ({"idempotency_key": "k" * 201}, "E_REQUEST"),
        ({"idempotency_key": "used", "format": "xlsx"}, "E_IDEMPOTENCY_KEY"),
    ],
)
async def test_an_estimate_refuses_what_a_call_refuses(
    idle_service: Service, given: dict[str, Any], code: str
) -> None:
    used = await idle_service.create(idempotency_key="used")
    asked: dict[str, Any] = {"type": "statsMonthly", "params": MONTH, "created_by": USER} | given
    for ask in (idle_service.client.estimate, idle_service.client.create):
        with pytest.raises(ExportError) as refused:
            await ask(**asked)
        assert refused.value.code == code
    estimate = await idle_service.client.estimate(
        "statsMonthly", MONTH, created_by=USER, idempotency_key="used"
    )
    assert estimate.joins == used.id

"""No row, no link and no secret gets into Temporal or a log, even if an export fails.

After all tests, everything that they left in Temporal and in logs is searched too: see
`tests/support/leaks.py`.
"""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson import Decimal128
from pydantic import JsonValue, SecretStr

from exports import names
from exports.formats import FORMATS
from exports.models import TaskStatus, Unit
from exports.reports.report import Rows
from exports.settings import Settings
from exports.source.database import Source
from tests.support import worker_process
from tests.support.command_line import environment_of
from tests.support.held_report import HeldReport
from tests.support.leaks import CANARY, Search
from tests.support.protections import protected_by
from tests.support.service import (
    Service,
    downloaded,
    insert_orders,
    open_service,
    working,
    write_reports,
)

_OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}


async def _leaks(service: Service, *task_ids: str) -> list[str]:
    settings = service.settings
    secrets = [settings.s3_access_key_id, settings.s3_secret_access_key]
    search = Search([secret for secret in secrets if secret is not None])
    found = [
        leak
        for task_id in task_ids
        for leak in await search.in_runs_of(service.temporal, names.workflow_id(task_id))
    ]
    return [leak.what for leak in found]


@protected_by(
    "activities/writeback.py",
    "        return await self._tasks.done(",
    instead="        named = ask.file.model_copy(update={'file_name': link.url})\n"
    "        ask = ask.model_copy(update={'file': named})\n"
    "        return await self._tasks.done(",
)
async def test_the_history_of_an_export_holds_neither_rows_nor_links_nor_keys(
    service: Service,
) -> None:
    await insert_orders(service.database)
    await service.database["orders"].update_many({}, {"$set": {"note": CANARY, "tenant": CANARY}})
    ids: list[str] = []
    for file_format in FORMATS:
        task = await service.exported("recordsDetail", params=_OCTOBER, format=file_format)
        assert task.status is TaskStatus.DONE
        assert task.download_url is not None
        assert "X-Amz-Signature" in task.download_url
        ids.append(task.id)
        if file_format == "csv":
            assert CANARY.encode() in downloaded(task.download_url)
    ids += [(await service.exported(kind)).id for kind in ("statsMonthly", "statsAnnual")]
    for task_id in ids:
        await service.run_of(task_id).result()
    assert await _leaks(service, *ids) == []


class QuotingReport(HeldReport):
    """Fails as a library may: with a row and a link in its message."""

    async def read(
        self,
        source: Source,
        unit: Unit,
        *,
        params: dict[str, JsonValue],
        created_by: str,
    ) -> AsyncGenerator[Rows]:
        del source, unit, params, created_by
        raise ValueError(f"can't convert {CANARY}, see http://s3/?X-Amz-Signature=0123")
        yield


@protected_by(
    "activities/boundary.py",
    "{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}",
    instead="{error!r}",
)
async def test_the_message_of_an_unexpected_error_is_not_shown(
    settings: Settings, temporal_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reports = write_reports(tmp_path / "reports.toml")
    with reports.open("a", encoding="utf-8") as file:
        file.write('[reports.quoting]\npython = "tests.access.test_leaks:QuotingReport"\n')
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        task = await service.create("quoting", params={})
        await service.database["ExportTasks"].update_one({}, {"$set": {"maxRetries": 1}})
        ended = await service.ended(task.id)
        assert ended.error is not None
        assert ended.error.code == "E_INTERNAL"
        assert await _leaks(service, task.id) == []
    for said in (ended.error.msg, caplog.text):
        assert Search().within("it", said.encode()) == []


async def test_errors_about_a_value_or_a_key_do_not_show_it(
    settings: Settings, temporal_address: str
) -> None:
    wrong = settings.model_copy(update={"s3_secret_access_key": SecretStr(f"{CANARY}-key")})
    async with open_service(settings, temporal_address) as service:
        await insert_orders(service.database)
        async with working(service):
            await service.database["orders"].insert_one(
                {
                    "amount": CANARY,
                    "createdAt": datetime(2026, 10, 9, tzinfo=UTC),
                }
            )
            misfit = await service.exported("recordsDetail", params=_OCTOBER)
            overflow = await service.database["orders"].update_one(
                {"amount": CANARY}, {"$set": {"amount": Decimal128("1E+6000")}}
            )
            assert overflow.modified_count == 1
            summed = await service.exported()
        async with open_service(wrong, temporal_address) as other, working(other):
            refused = await other.exported()
        assert misfit.error is not None
        assert refused.error is not None
        assert (misfit.error.code, refused.error.code) == ("E_MISMATCH", "E_STORE_ACCESS")
        for task in (misfit, refused, summed):
            assert await _leaks(service, task.id) == []
            assert CANARY not in repr(task)


async def test_a_worker_that_can_not_log_in_does_not_show_the_password(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    password = f"{CANARY}-password"
    environment = environment_of(settings, temporal_address)
    address = environment["EXPORTS_MONGO_URI"].removeprefix("mongodb://")
    environment["EXPORTS_MONGO_URI"] = f"mongodb://exports:{password}@{address}"
    ended = await worker_process.ended_by_itself(environment, tmp_path)
    assert ended.code in {2, 3}
    said = "\n".join(ended.lines)
    assert "E_" in said
    assert password not in said + ended.out

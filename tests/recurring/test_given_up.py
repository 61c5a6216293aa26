"""What can't be made any more: a recurring export pauses itself, and its owner is told."""

from pathlib import Path
from unittest.mock import patch

import pytest

from exports.errors import TypeUnknownError, UnreachableError
from exports.models import TaskStatus
from exports.recurring.schedules import RecurringSchedules
from exports.settings import Settings
from tests.support.recording import quick_retries
from tests.support.recurring import (
    backfilled,
    closed_runs,
    ended,
    monthly,
    schedule_of,
    what_was_done,
)
from tests.support.service import USER, Service, insert_orders, open_service, working, write_reports
from tests.support.told import Told, register


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """A channel that keeps what it gets."""
    channel = Told()
    register(monkeypatch, channel)
    return channel


async def test_a_report_that_is_gone_pauses_it_and_its_owner_is_told_once(
    idle_service: Service, temporal_address: str, tmp_path: Path, told: Told
) -> None:
    made = await monthly(idle_service, name="Figures", notify=["told"])
    await backfilled(idle_service, made, "2026-10-01T08:00", "2026-11-01T08:01")
    table = '[reports.other]\ncollection = "orders"\ntime_field = "createdAt"\nperiod = "month"\n'
    measures = '[reports.other.measures]\norders = { op = "count" }\n'
    without = tmp_path / "without.toml"
    without.write_text(table + measures, encoding="utf-8")
    settings = idle_service.settings.model_copy(update={"reports_file": without})
    async with (
        open_service(settings, temporal_address) as service,
        working(service, channels={"told": told}),
    ):
        await closed_runs(service, made, 2)
        await service.client.sweep()
        message = await told.next()
        await service.client.sweep()
        assert len(told.got) == 1
        assert (message.event, message.created_by) == ("recurring.paused", USER)
        assert message.subject is not None
        assert (message.subject.id, message.subject.name) == (made.id, "Figures")
        assert message.subject.reason.startswith("E_TYPE")
        shown = await service.client.recurring.get(made.id, created_by=USER)
        assert shown.state == "paused"
        assert shown.note.startswith("E_TYPE: There is no export of that type")
        assert await what_was_done(service, made) == ["created", "backfilled", "paused"]
        assert await service.client.list(created_by=USER) == []
        with pytest.raises(TypeUnknownError):
            await service.client.recurring.resume(made.id, created_by=USER)

    # When it is back, the same times can be made.
    await insert_orders(idle_service.database)
    await idle_service.client.recurring.resume(made.id, created_by=USER)
    await backfilled(idle_service, made, "2026-10-01T08:00", "2026-11-01T08:01")
    async with working(idle_service, channels={"told": told}):
        tasks = await ended(idle_service, made.id, 2)
        await told.next(3)
    assert [task.params["month"] for task in tasks] == [9, 10]
    of_exports = [message for _, message in told.got[1:]]
    assert {(item.event, item.export and item.export.recurring) for item in of_exports} == {
        ("export.done", made.id)
    }


async def test_its_owner_is_told_also_if_the_pause_fails_at_first(
    idle_service: Service, temporal_address: str, tmp_path: Path, told: Told
) -> None:
    made = await monthly(idle_service, params={"columns": ["day", "buyers"]}, notify=["told"])
    await idle_service.client.recurring.trigger(made.id, created_by=USER)
    changed = write_reports(tmp_path / "changed.toml", period='"month"')
    settings = idle_service.settings.model_copy(update={"reports_file": changed})
    pause, away = RecurringSchedules.pause, iter([UnreachableError("Temporal is away.")])

    async def fail_first(self: RecurringSchedules, recurring_id: str, note: str) -> None:
        for error in away:
            raise error
        await pause(self, recurring_id, note)

    with quick_retries(), patch.object(RecurringSchedules, "pause", fail_first):
        async with (
            open_service(settings, temporal_address) as service,
            working(service, channels={"told": told}),
        ):
            await closed_runs(service, made, 1)
            await service.client.sweep()
            await told.next()
            shown = await service.client.recurring.get(made.id, created_by=USER)
            [record] = await service.database["ExportRecurring"].find({}).to_list()
    assert (shown.state, record["outbox"]) == ("paused", [])
    assert [message.event for _, message in told.got] == ["recurring.paused"]


async def test_parameters_that_no_longer_fit_pause_it_and_its_owner_is_told_whatever_they_chose(
    idle_service: Service,
    temporal_address: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = await monthly(idle_service, params={"columns": ["day", "buyers"]}, notify=[])
    await idle_service.client.recurring.trigger(made.id, created_by=USER)
    changed = write_reports(tmp_path / "changed.toml", period='"month"')
    settings = idle_service.settings.model_copy(update={"reports_file": changed})
    webhook = Told("webhook")
    async with (
        open_service(settings, temporal_address) as service,
        working(service, channels={"webhook": webhook}),
    ):
        await closed_runs(service, made, 1)
        await service.client.sweep()
        shown = await service.client.recurring.get(made.id, created_by=USER)
        assert (await webhook.next()).event == "recurring.paused"
    assert "not configured" not in caplog.text
    assert shown.state == "paused"
    assert shown.note.startswith("E_PARAMS: There is no column of that name")


async def test_its_exports_count_for_the_quotas_and_of_one_too_many_its_owner_is_told(
    settings: Settings, temporal_address: str, told: Told
) -> None:
    few = settings.model_copy(update={"quota_per_day": 1})
    async with open_service(few, temporal_address) as service:
        await insert_orders(service.database)
        made = await monthly(service, notify=["told"])
        await backfilled(service, made, "2026-09-01T08:00", "2026-10-01T08:01")
        async with working(service, channels={"told": told}):
            first, second = await ended(service, made.id, 2)
            await closed_runs(service, made, 2)
            await service.client.sweep()
            await told.next(2)
    assert [message.event for _, message in told.got] == ["export.done", "export.failed"]
    assert first.status is TaskStatus.DONE
    assert second.status is TaskStatus.FAILED
    assert second.error is not None
    assert second.error.code == "E_QUOTA"
    assert second.params == {"year": 2026, "month": 9}
    run = await service.run_of(second.id).describe()
    assert run.status is not None
    assert run.status.name == "FAILED"


async def test_a_schedule_whose_recurring_export_was_deleted_pauses_itself(
    service: Service,
) -> None:
    made = await monthly(service)
    await service.database["ExportRecurring"].update_one({}, {"$set": {"deletedAt": 1}})
    await schedule_of(service, made).trigger()
    await closed_runs(service, made, 1)
    described = await schedule_of(service, made).describe()
    assert described.schedule.state.paused
    assert await service.client.list(created_by=None) == []

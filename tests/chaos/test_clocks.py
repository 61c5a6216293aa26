"""Times come from clocks that agree to a minute: a machine with a wrong clock says so."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from bson import ObjectId
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from activities import writeback
from activities.boundary import check_worker_clock
from exports import clock
from exports.client import ExportClient
from exports.clock import MAX_SKEW_MS, now_ms
from exports.errors import ClockError
from exports.models import TaskStatus
from exports.tasks.audit import AuditAction
from tests.support.chaos.forked import Orders, environment_of, forked
from tests.support.protections import protected_by
from tests.support.service import USER, Service, downloaded, insert_orders
from workflows.sweep import SweepWorkflow

MINUTE = 60_000

Shift = Callable[[int], None]


@pytest.fixture
def shift() -> Iterator[Shift]:
    """Shift the product's clock by milliseconds, in this process."""
    with ExitStack() as stack:

        def shifted(by: int) -> None:
            wrong = type("Wrong", (), {"time_ns": lambda: time.time_ns() + by * 1_000_000})
            stack.enter_context(patch.object(clock, "time", wrong))

        yield shifted


async def _nothing(client: ExportClient) -> None:
    del client


@pytest.mark.parametrize("minutes", [-20, -2, 2, 20])
@pytest.mark.parametrize("who", ["worker", "client"])
async def test_a_worker_or_client_with_a_wrong_clock_does_not_start_and_says_why(
    idle_service: Service, tmp_path: Path, minutes: int, who: str
) -> None:
    orders = Orders(
        environment_of(idle_service),
        tmp_path / who,
        act=None if who == "worker" else (who, _nothing),
        clock=minutes * MINUTE,
    )
    async with forked(orders) as process:
        assert await process.ended() == (2 if who == "worker" else 1)
        said = process.said()
    assert "E_CLOCK" in said or "ClockError" in said
    assert "clock" in said
    # The clocks of the database and of the store are read at the same time.
    assert ("ahead of" if minutes > 0 else "behind") in said or "more than 15 minutes" in said


async def test_a_clock_that_is_off_by_half_a_minute_is_accepted(
    service: Service, shift: Shift
) -> None:
    await insert_orders(service.database)
    for by in (-MAX_SKEW_MS // 2, MAX_SKEW_MS // 2):
        shift(by)
        task = await service.exported()
        assert task.status is TaskStatus.DONE
        assert (await service.client.renew(task.id, created_by=USER)).download_url


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_worker_whose_clock_goes_wrong_signs_nothing_and_says_so(
    service: Service, shift: Shift, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    await insert_orders(service.database)
    said: list[str] = []

    def put_right_once_noticed() -> None:
        try:
            check_worker_clock()
        except ClockError as error:
            said.append(str(error))
            shift(0)
            raise

    monkeypatch.setattr(writeback, "check_worker_clock", put_right_once_noticed)
    shift(minutes * MINUTE)
    ended = await service.exported()
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 1)
    assert len(said) == 1
    assert f"{'ahead of' if minutes > 0 else 'behind'} Temporal's" in said[0]
    audit = await service.client.audit(ended.id, created_by=USER)
    assert [entry.code for entry in audit if entry.did is AuditAction.RETRIED] == ["E_CLOCK"]
    assert [entry.did for entry in audit if entry.until is not None] == [AuditAction.SIGNED]
    assert ended.expires_at is not None
    left = ended.expires_at - now_ms()
    assert 0 < left <= service.settings.url_ttl / timedelta(milliseconds=1)
    assert downloaded(ended.download_url)


async def _swept(service: Service) -> ApplicationError:
    """Sweep; return why it failed."""
    queue = service.settings.task_queue
    with pytest.raises(WorkflowFailureError) as failed:
        await service.temporal.execute_workflow(
            SweepWorkflow.run, id=f"sweep-{queue}", task_queue=queue
        )
    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, ApplicationError)
    return failed.value.cause.cause


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_sweep_by_a_wrong_clock_starts_nothing_and_says_so(
    service: Service, shift: Shift, minutes: int
) -> None:
    await insert_orders(service.database)
    task_id = ObjectId()
    due = now_ms() + (10 * MINUTE if minutes > 0 else -10 * MINUTE)
    await service.database["ExportTasks"].insert_one(
        {
            "_id": task_id,
            "type": "statsMonthly",
            "params": {"year": 2026, "month": 10},
            "status": "pending",
            "nextRunAt": due,
            "createdBy": USER,
        }
    )
    shift(minutes * MINUTE)
    assert (await _swept(service)).type == "E_CLOCK"
    assert "runId" not in await service.document(str(task_id))
    shift(0)
    assert (await service.client.sweep()).started == (0 if minutes > 0 else 1)


@protected_by("activities/purge.py", "            check_worker_clock()\n", instead="")
async def test_no_file_is_purged_by_a_fast_clock(
    service: Service, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.database["ExportTasks"].update_one(
        {"_id": ObjectId(task.id)}, {"$set": {"purgeAt": now_ms() + 10 * MINUTE}}
    )
    # The parts of a sweep are run one after the other, and each looks at the clock.
    monkeypatch.setattr("activities.sweep.check_worker_clock", lambda: None)
    shift(20 * MINUTE)
    assert (await _swept(service)).type == "E_CLOCK"
    assert (await service.ended(task.id)).status is TaskStatus.DONE
    assert downloaded(task.download_url)


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_client_whose_clock_went_wrong_renews_no_link(
    service: Service, shift: Shift, minutes: int
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    shift(minutes * MINUTE)
    with pytest.raises(ClockError, match="the database's"):
        await service.client.renew(task.id, created_by=USER)
    assert (await service.document(task.id))["downloadUrl"] == task.download_url

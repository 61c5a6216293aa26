"""The claim of a small export stages its rows, and keeps every promise that two steps would."""

from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any
from unittest.mock import patch

import pytest

from exports import names
from exports.errors import PipelineError, StoreUnavailableError
from exports.models import TaskStatus
from exports.reports.report import Rows
from exports.reports.stats.report import StatsReport
from exports.runtime.ended import EndedExport
from exports.source.database import Source
from exports.tasks.transitions import RunTransitions
from tests.support.recording import Held, quick_retries, reading_fails
from tests.support.service import Service, insert_orders, working

AWAY = StoreUnavailableError("The object store is away.")


async def _steps(service: Service, task_id: str) -> list[str]:
    history = await service.run_of(task_id).fetch_history()
    return [
        scheduled.activity_type.name
        for event in history.events
        if (scheduled := event.activity_task_scheduled_event_attributes).activity_id
    ]


async def test_a_small_export_is_claimed_and_read_in_one_step(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await service.run_of(task.id).result()
    assert task.status is TaskStatus.DONE
    assert await _steps(service, task.id) == [names.CLAIM, names.UPLOAD, names.WRITEBACK_DONE]


async def test_a_failed_attempt_of_the_claim_counts_and_the_others_are_steps_of_their_own(
    service: Service,
) -> None:
    await insert_orders(service.database)
    with quick_retries(), reading_fails(AWAY, times=2):
        task = await service.exported()
    await service.run_of(task.id).result()
    assert (task.status, task.retries) == (TaskStatus.DONE, 2)
    steps = Counter(await _steps(service, task.id))
    assert (steps[names.CLAIM], steps[names.AGGREGATE]) == (1, 1)


async def test_an_attempt_that_fails_before_it_has_the_task_does_not_count(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_orders(service.database)
    claim, failures = RunTransitions.claim, iter([AWAY])

    async def once(self: RunTransitions, *given: Any, **named: Any) -> Any:
        for error in failures:
            raise error
        return await claim(self, *given, **named)

    monkeypatch.setattr(RunTransitions, "claim", once)
    with quick_retries():
        task = await service.exported()
    await service.run_of(task.id).result()
    assert (task.status, task.retries) == (TaskStatus.DONE, 0)
    steps = [names.CLAIM, names.AGGREGATE, names.UPLOAD, names.WRITEBACK_DONE]
    assert await _steps(service, task.id) == steps


async def test_rows_are_read_as_often_as_the_task_allows_and_not_once_more(
    service: Service,
) -> None:
    read = 0

    async def fail(*_: object) -> None:
        nonlocal read
        read += 1
        raise AWAY

    with quick_retries(), patch.object(Source, "aggregate", fail):
        task = await service.exported()
    assert (task.status, task.retries, read) == (TaskStatus.FAILED, 3, 3)


async def test_an_export_that_fails_for_good_in_its_claim_leaves_nothing_and_is_counted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.aggregate.PART_BYTES", 1)
    await insert_orders(service.database)
    read = StatsReport.read
    ended: list[EndedExport] = []

    async def fail(self: StatsReport, *given: Any, **named: Any) -> AsyncGenerator[Rows]:
        async for rows in read(self, *given, **named):
            yield rows
        raise PipelineError("The database refused the rest.")

    def note(export: EndedExport) -> None:
        ended.append(export)

    monkeypatch.setattr(StatsReport, "read", fail)
    monkeypatch.setattr(EndedExport, "record", note)
    task = await service.exported()
    assert task.error is not None
    assert (task.status, task.error.code) == (TaskStatus.FAILED, PipelineError.code)
    with pytest.raises(Exception, match="failed"):
        await service.run_of(task.id).result()
    assert service.keys() == []
    assert [each.kind.type for each in ended] == ["statsMonthly"]
    assert await _steps(service, task.id) == [names.CLAIM, names.WRITEBACK_FAILED, names.DISCARD]


async def test_a_cancel_stops_the_rows_of_a_claim_and_the_document_says_so(
    idle_service: Service,
) -> None:
    await insert_orders(idle_service.database)
    held = Held()

    async def wait(*_: object) -> None:
        await held.wait()

    with patch.object(Source, "aggregate", wait):
        async with working(idle_service):
            task = await idle_service.create()
            await held.reached.wait()
            await idle_service.run_of(task.id).signal("cancel", "wrong month")
            ended = await idle_service.ended(task.id)
    assert (ended.status, ended.cancel_reason) == (TaskStatus.CANCELLED, "wrong month")
    assert idle_service.keys() == []

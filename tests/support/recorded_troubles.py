"""Recordings of runs with failed attempts, lost workers and changed reports."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from temporalio.exceptions import ApplicationError

from activities import attempts
from exports import names
from exports.errors import DatabaseUnavailableError, PipelineError, SourceUnavailableError
from exports.reports.report import Report, ReportCatalog
from exports.source.database import Source
from exports.tasks.transitions import RunTransitions
from tests.support.recording import (
    Run,
    answer_to_done_lost,
    closed,
    quick_retries,
    reading_fails,
    reading_held,
    recorded,
    silent_steps,
    store_fails,
    upload_held,
    without_grace,
)
from tests.support.rubbish import left_open
from tests.support.service import OF_ROWS, Service, insert_orders, working
from workflows import policies

_AWAY = SourceUnavailableError("The source database is away.")


async def _ended(service: Service, kind: str = "statsMonthly") -> Run:
    """Run one export, and its workflow, to the end."""
    await insert_orders(service.database)
    with quick_retries():
        async with working(service):
            task = await service.create(kind)
            return await closed(service.run_of(task.id))


@recorded("done-after-failed-attempts")
async def _reading_fails_twice(service: Service) -> Run:
    with reading_fails(_AWAY, times=2):
        return await _ended(service, "statsAnnual")


@recorded("done-planned-while-the-source-was-away")
async def _the_first_unit_tells_the_moment(service: Service) -> Run:
    with patch.object(Source, "now", side_effect=_AWAY):
        return await _ended(service, "statsAnnual")


@recorded("failed")
async def _reading_fails_for_good(service: Service) -> Run:
    async with working(service):  # there is no collection
        task = await service.exported()
        return await closed(service.run_of(task.id))


@recorded("failed-after-all-attempts")
async def _reading_fails_each_time(service: Service) -> Run:
    with reading_fails(_AWAY):
        return await _ended(service, "statsAnnual")


@recorded("failed-beside-units-that-were-read")
async def _one_reading_of_many_is_refused(service: Service) -> Run:
    with reading_fails(PipelineError("The database refused the aggregation."), times=1):
        return await _ended(service, "statsAnnual")


@recorded("failed-in-upload")
async def _upload_fails(service: Service) -> Run:
    with store_fails("upload"):
        return await _ended(service)


@recorded("failed-in-writeback")
async def _writeback_fails(service: Service) -> Run:
    with store_fails("link"):
        return await _ended(service)


@recorded("failed-in-claim")
async def _claim_fails(service: Service) -> Run:
    async def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("The database is away.")

    with patch.object(RunTransitions, "claim", away):
        return await _ended(service)


@recorded("failed-and-could-not-clean-up")
async def _clean_up_fails_as_well(service: Service) -> Run:
    with (
        store_fails("upload"),
        patch.object(policies, "CLEANUP", replace(policies.CLEANUP, maximum_attempts=1)),
        store_fails("objects"),
    ):
        return await _ended(service)


@recorded("failed-the-task-is-gone")
async def _the_task_is_deleted(service: Service) -> Run:
    await insert_orders(service.database)
    async with working(service):
        with reading_held() as held:
            task = await service.create()
            await held.reached.wait()
            await service.database["ExportTasks"].delete_many({})
            return await closed(service.run_of(task.id))


@recorded("failed-by-the-time-limit-of-a-step")
async def _a_step_takes_too_long(service: Service) -> Run:
    @asynccontextmanager
    async def forever() -> AsyncGenerator[None]:
        yield

    short = replace(policies.AGGREGATE_STEP, start_to_close=timedelta(seconds=1))
    with (
        patch.object(policies, "AGGREGATE_STEP", short),
        patch.object(policies, "CLAIM_STEP", short),
        patch.object(attempts, "_time_limit", forever),
        patch.object(policies, "attempts", return_value=policies.attempts(1)),
        reading_held(),
    ):
        return await _ended(service)


@recorded("done-after-a-lost-worker")
async def _a_worker_is_lost(service: Service) -> Run:
    await insert_orders(service.database)
    with silent_steps(), reading_held() as held:
        async with working(without_grace(service)):
            task = await service.create()
            await held.reached.wait()
            await asyncio.sleep(3)
            held.released.set()
            return await closed(service.run_of(task.id))


@recorded("failed-after-lost-workers")
async def _each_worker_is_lost(service: Service) -> Run:
    with silent_steps(), reading_held():
        return await _ended(without_grace(service))


@recorded("done-after-a-deploy")
async def _the_worker_is_stopped(service: Service) -> Run:
    await insert_orders(service.database)
    with reading_held() as held:
        async with working(without_grace(service)):
            task = await service.create()
            await held.reached.wait()
    async with working(service):
        return await closed(service.run_of(task.id))


@recorded("done-after-a-deploy-that-changed-the-report")
async def _the_report_is_changed(service: Service) -> Run:
    await insert_orders(service.database)
    with quick_retries():
        with reading_held() as held:
            async with working(without_grace(service)):
                task = await service.create()
                await held.reached.wait()
        with _another_report():
            async with working(service):
                return await closed(service.run_of(task.id))


@recorded("done-after-a-deploy-that-changed-the-store")
async def _the_store_is_changed(service: Service) -> Run:
    await insert_orders(service.database)
    with quick_retries():
        with upload_held() as reached:
            async with working(without_grace(service)):
                task = await service.create()
                await reached.wait()
        with _another_store(service):
            async with working(service):
                return await closed(service.run_of(task.id))


@recorded("done-before-a-deploy-that-changed-the-store")
async def _the_store_is_changed_when_the_task_is_done(service: Service) -> Run:
    await insert_orders(service.database)
    with quick_retries():
        with answer_to_done_lost() as written:
            async with working(without_grace(service)):
                task = await service.create()
                await written.wait()
        with _another_store(service):
            async with working(service):
                return await closed(service.run_of(task.id))


@recorded("failed-because-workers-differ")
async def _workers_never_agree(service: Service) -> Run:
    with _each_time_another_report():
        return await _ended(service)


@recorded("failed-the-task-ended-while-the-report-changed")
async def _the_task_has_ended_when_it_is_planned_anew(service: Service) -> Run:
    claim = RunTransitions.claim

    async def once(self: RunTransitions, *given: Any, **named: Any) -> Any:
        found = await claim(self, *given, **named)
        await service.collection.documents.update_many({}, {"$set": {"status": "failed"}})
        return found

    with _each_time_another_report(), patch.object(RunTransitions, "claim", once):
        await insert_orders(service.database)
        with quick_retries():
            async with working(service):
                task = await service.create()
                return await closed(service.run_of(task.id))


@recorded("done-after-waiting-for-a-key")
async def _a_worker_lacks_the_key(service: Service) -> Run:
    named, left = ReportCatalog.named, iter(range(2))

    def unreadable(self: ReportCatalog, name: str) -> Report:
        if next(left, None) == 1:  # the claim asks first, for its plan
            reason = ApplicationError("No key.", type=policies.UNREADABLE)
            raise ApplicationError("Failed decoding arguments", non_retryable=True) from reason
        return named(self, name)

    with (
        patch.object(ReportCatalog, "named", unreadable),
        patch.object(policies, "FIRST_WAIT_FOR_KEY", timedelta(milliseconds=100)),
    ):
        return await _ended(service)


@recorded("failed-by-an-unreadable-result")
async def _somebody_completes_a_step_by_hand(service: Service) -> Run:
    await insert_orders(service.database)
    with left_open(service.temporal, names.AGGREGATE) as begun:
        async with working(service):
            task = await service.create(**OF_ROWS)
            await (await begun()).complete({})
            return await closed(service.run_of(task.id))


@recorded("done-after-an-unreadable-heartbeat")
async def _somebody_sends_a_heartbeat_by_hand(service: Service) -> Run:
    await insert_orders(service.database)
    with silent_steps():
        with left_open(service.temporal, names.AGGREGATE) as begun:
            async with working(without_grace(service)):
                task = await service.create(**OF_ROWS)
                await (await begun()).heartbeat({})
                await begun()
        async with working(service):
            return await closed(service.run_of(task.id))


@contextmanager
def _another_store(service: Service) -> Generator[None]:
    with patch.dict(service.store.fingerprint, EXPORTS_S3_PREFIX="another"):
        yield


@contextmanager
def _another_report() -> Generator[None]:
    with patch("exports.reports.stats.report.StatsReport.fingerprint", "another"):
        yield


@contextmanager
def _each_time_another_report() -> Generator[None]:
    count = iter(range(1_000_000))

    class Changing:
        def __get__(self, *_: object) -> str:
            return str(next(count))

    with patch("exports.reports.stats.report.StatsReport.fingerprint", Changing()):
        yield

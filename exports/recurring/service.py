"""What people may do with recurring exports: `ExportClient.recurring`."""

import asyncio
import builtins
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from pydantic import JsonValue
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.client import Client

from exports import names
from exports.clock import YEAR_9999_MS, now_ms
from exports.documents import Stored
from exports.errors import RequestError
from exports.formats import format_named
from exports.messages.channels import checked_request
from exports.models import DEFAULT_FORMAT, Author
from exports.recurring.asking import asked_for
from exports.recurring.record import (
    Record,
    RecurringAction,
    RecurringEntry,
    RecurringExport,
)
from exports.recurring.schedules import RecurringSchedules
from exports.recurring.store import RecurringStore
from exports.reports.report import ReportCatalog
from exports.settings import Settings

MOST_BACKFILLED: Final = 100
"""How many exports one backfill makes at most."""
_LONGEST_REASON: Final = 200
_SIDE_BY_SIDE: Final = 16  # Schedules that are asked for at a time


class RecurringExports:
    """Creates, shows and controls recurring exports.

    `created_by` is the person who asks, as for `ExportClient`: for that person, a recurring export
    of somebody else does not exist. None is an operator.

    Args:
        database: The database of `ExportRecurring`.
        temporal: The client.
        reports: What can be exported.
        settings: Those of the client.
        origin: Where requests come from, for the audit record.

    Raises:
        UnreachableError: By every method but `audit`: Temporal did not answer. What was asked for
            may be half done; ask for it again, with the same idempotency key if it takes one.
        TemporalRefusedError: By the same: Temporal refused the request.
        TaskNotFoundError: By every method but `create` and `list`: there is no such recurring
            export, or it belongs to somebody else.
    """

    def __init__(
        self,
        database: AsyncDatabase[Stored],
        temporal: Client,
        reports: ReportCatalog,
        settings: Settings,
        *,
        origin: str,
    ) -> None:
        self._store = RecurringStore(database)
        self._schedules = RecurringSchedules(temporal, task_queue=settings.task_queue)
        self._reports = reports
        self._settings = settings
        self._origin = origin

    async def create(
        self,
        type: str,  # noqa: A002 -- the field's name everywhere
        params: Mapping[str, JsonValue] | None = None,
        *,
        created_by: str,
        period: str | None = None,
        on: str | None = None,
        at: str | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        format: str = DEFAULT_FORMAT,  # noqa: A002 -- same
        name: str | None = None,
        notify: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> RecurringExport:
        """Create a recurring export: store it, then create its Schedule.

        If this process dies in between, the next `list` or `get` creates the Schedule, and so does
        the same call again with the same key.

        Args:
            type: Name of a configured report.
            params: The parameters of the report, but for those that the period says.
            created_by: Its owner, in 1 to 200 visible characters.
            period: The period of each export, relative to the time that it is planned for, in the
                report's time zone: `previous month`. None if `params` are all.
            on: On which days: `day`, `monday`, `1st`, `1st january`.
            at: At which time of these days; by default at `08:00`.
            cron: Instead of both: a cron expression with five fields.
            timezone: The time zone of `on`, `at` and `cron`; by default that of the report.
            format: Name of a file format.
            name: Its name, for people; by default one is made from the report and the period.
            notify: By which channels its owner is told of each export, and if it is paused because
                it can't be made any more; None: by the owner's default, which may change.
            idempotency_key: 1 to 200 characters: the same call with the same key gives the same
                recurring export.

        Raises:
            RequestError: A text is not valid, or when it is due is not.
            IdempotencyKeyError: The key was used for another one, or for one that was deleted.
            TypeUnknownError: There is no such report.
            ParamsError: The report can't take the period, or the parameters do not fit.
            TooLargeError: The parameters are larger than 64 KiB.
            FormatUnknownError: There is no such format.
            ChannelError: There is no such channel, or it is not configured here.
            QuotaError: The owner has as many as they may have.
        """
        asked = asked_for(
            self._reports.named(type),
            params or {},
            period=period,
            when={"on": on, "at": at, "cron": cron, "timezone": timezone},
            file_format=format,
            name=name,
            notify=None if notify is None else checked_request(notify, self._settings),
        )
        key = None
        if idempotency_key is not None:
            names.check_idempotency_key(idempotency_key)
            queue = self._settings.task_queue
            key = names.recurring_id_for(queue, created_by, idempotency_key)
        author = self._author(names.check_uid(created_by))
        record = await self._store.create(
            asked,
            author,
            created_by=created_by,
            recurring_id=key,
            most=self._settings.quota_recurring,
        )
        try:
            return await self._schedules.show(await self._scheduled(record))
        except RequestError:  # nobody but Temporal knows whether it can read when it is due
            await self._store.refuse(record)
            raise

    async def get(self, recurring_id: str, *, created_by: str | None) -> RecurringExport:
        """Return a recurring export."""
        return await self._shown(await self._store.get(recurring_id, created_by=created_by))

    async def list(self, *, created_by: str | None) -> builtins.list[RecurringExport]:
        """Return the recurring exports of a person, newest first; None for everybody's."""
        names.check_text(created_by or "", "createdBy")
        free = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def shown(record: Record) -> RecurringExport:
            async with free:
                return await self._shown(record)

        records = await self._store.list(created_by=created_by)
        return await asyncio.gather(*map(shown, records))

    async def audit(
        self, recurring_id: str, *, created_by: str | None
    ) -> builtins.list[RecurringEntry]:
        """Return what was done to it by whom, oldest entry first; the newest 500 entries."""
        return await self._store.audit(recurring_id, created_by=created_by)

    async def pause(
        self, recurring_id: str, *, created_by: str | None, reason: str = ""
    ) -> RecurringExport:
        """Make no more exports until it is resumed; those that are running go on.

        Args:
            recurring_id: Which one.
            created_by: Who asks.
            reason: Why, for other people; up to 200 characters.

        Raises:
            RequestError: The reason is not valid text, or too long.
            TaskStateError: Its Schedule was deleted in Temporal.
        """
        names.check_text(reason, "The reason")
        if len(reason) > _LONGEST_REASON:
            raise RequestError(f"The reason must have at most {_LONGEST_REASON} characters.")
        record = await self._scheduled(await self._store.get(recurring_id, created_by=created_by))
        author = self._author(created_by)
        await self._store.record(record.id, author, RecurringAction.PAUSED)
        await self._schedules.pause(record.id, _note("paused", author, reason))
        return await self._shown(record)

    async def resume(self, recurring_id: str, *, created_by: str | None) -> RecurringExport:
        """End a pause. What was due meanwhile is not made: `backfill` does that.

        It also creates the Schedule anew if that was deleted in Temporal, and encrypts its input
        with the present key.

        Raises:
            TypeUnknownError: The report is gone.
            FormatUnknownError: The format is gone.
            ParamsError: The parameters do not fit the report any more.
        """
        record = await self._store.get(recurring_id, created_by=created_by)
        self._check(record, now_ms())
        author = self._author(created_by)
        await self._store.record(record.id, author, RecurringAction.RESUMED)
        await self._schedules.resume(record, _note("resumed", author))
        await self._store.scheduled(record.id)
        return await self._shown(record)

    async def trigger(
        self, recurring_id: str, *, created_by: str | None, idempotency_key: str | None = None
    ) -> RecurringExport:
        """Start an export now, planned for the present second, also if it is paused.

        If one is running, the new one waits for it; only one waits.

        Args:
            recurring_id: Which one.
            created_by: Who asks.
            idempotency_key: 1 to 200 characters: the same call with the same key makes no other
                export. Without one, a call that is repeated in another second makes another one.
                A key belongs to one recurring export, and is known as long as its entry is among
                the newest 500 of the audit record.

        Raises:
            RequestError: The key is not valid.
            TaskStateError: Its Schedule was deleted in Temporal.
            TypeUnknownError: The report is gone.
            FormatUnknownError: The format is gone.
            ParamsError: The parameters do not fit the report any more.
        """
        if idempotency_key is not None:
            names.check_idempotency_key(idempotency_key)
        record = await self._scheduled(await self._store.get(recurring_id, created_by=created_by))
        self._check(record, now_ms())
        author = self._author(created_by)
        planned_for = await self._store.trigger(record.id, author, idempotency_key)
        await self._schedules.trigger(record.id, planned_for)
        return await self._shown(record)

    async def backfill(
        self, recurring_id: str, *, created_by: str | None, since: int, until: int
    ) -> builtins.list[str]:
        """Make the exports of a span of past times, one after the other, also if it is paused.

        A time for which there is an export already makes no other one.

        Args:
            recurring_id: Which one.
            created_by: Who asks.
            since: From this time on (epoch milliseconds).
            until: Before this time (epoch milliseconds).

        Returns:
            The ids of the exports, which are started soon.

        Raises:
            RequestError: The span is not one of past times, or it was never due in it, or it is
                due more than 100 times.
            TaskStateError: Its Schedule was deleted in Temporal.
            TypeUnknownError: The report is gone.
            FormatUnknownError: The format is gone.
            ParamsError: The parameters do not fit the report any more, or not at these times.
        """
        if not 0 < since < until <= YEAR_9999_MS or until > now_ms():
            raise RequestError("A backfill is of past times: from an earlier to a later one.")
        record = await self._scheduled(await self._store.get(recurring_id, created_by=created_by))
        times = await self._schedules.times(record.id, since, until)
        if not 0 < len(times) <= MOST_BACKFILLED:
            raise RequestError(
                f"In this span it was due {len(times) or 'not a single'} times; a backfill makes "
                f"1 to {MOST_BACKFILLED} exports."
            )
        self._check(record, since)
        await self._store.record(
            record.id,
            self._author(created_by),
            RecurringAction.BACKFILLED,
            since=since,
            until=until,
        )
        await self._schedules.backfill(record.id, times[0], times[-1])
        return [names.recurring_task_id(record.id, time) for time in times]

    async def delete(self, recurring_id: str, *, created_by: str | None) -> None:
        """Delete a recurring export and its Schedule. Its exports stay, and so do their files."""
        record = await self._store.get(recurring_id, created_by=created_by)
        await self._schedules.delete(record.id)
        await self._store.delete(record.id, self._author(created_by))

    async def _shown(self, record: Record) -> RecurringExport:
        with suppress(RequestError):  # the call that creates it is about to be refused
            await self._scheduled(record)
        return await self._schedules.show(record)

    async def _scheduled(self, record: Record) -> Record:
        """Create the Schedule if the creation of a recurring export was interrupted before."""
        if record.scheduled_at is None:
            await self._schedules.create(record)
            await self._store.scheduled(record.id)
        return record

    def _check(self, record: Record, moment: int) -> None:
        format_named(record.format)
        report = self._reports.named(record.type)
        report.params_at(record.params, record.period, moment)

    def _author(self, created_by: str | None) -> Author:
        return Author.person(created_by, origin=self._origin)


def _note(did: str, author: Author, reason: str = "") -> str:
    note = f"{did} by {author.user or 'an operator'} ({author.origin})"
    return f"{note}: {reason}" if reason else note

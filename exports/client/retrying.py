"""Asks for failed exports again: for one, or for all."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pydantic import Field
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.client.asking import Asking
from exports.clock import YEAR_9999_MS
from exports.errors import QuotaError, RequestError, TaskInvalidError, TaskStateError
from exports.models import TaskStatus, WireModel
from exports.tasks.listing import Wanted
from exports.tasks.task import ExportTask

_FIRST_PAUSE: Final = 0.05  # seconds
LONGEST_PAUSE: Final = 1.0  # seconds
_LONGER: Final = 1.5  # than the pause before
_PAGE: Final = 500  # tasks that are read at once
_SIDE_BY_SIDE: Final = 16  # tasks that are retried at once

_log = logging.getLogger(__name__)


class RetriedAll(WireModel):
    """What became of failed exports that were asked for again together.

    Attributes:
        found: How many there were.
        retried: How many run again. The others but the refused ones are not failed any more,
            because somebody else retried them.
        refused: How many can't, by the code of the error: `E_QUOTA`, `E_TASK`.
    """

    found: int = 0
    retried: int = 0
    refused: dict[str, int] = Field(default_factory=dict[str, int])


@dataclass
class _Tally:
    found: int = 0
    retried: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    full: set[str] = field(default_factory=set[str])
    """Reports of which the person may have no more exports."""
    temporal_is_away: bool = False


class Retrying(Asking):
    """Runs failed exports again."""

    async def retry(self, task_id: str, *, created_by: str | None) -> ExportTask:
        """Run a failed export again, with all its attempts.

        If the run that failed is still cleaning up, or Temporal can't be reached, the next sweep
        starts it.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            TaskStateError: It has not failed.
            QuotaError: The person has as many open exports as they may have. An operator can retry
                it all the same.
            TaskInvalidError: Its workflow is no export.
        """
        task = await self._tasks.get(task_id, created_by=created_by)
        failed = task.status is TaskStatus.FAILED
        again = await self._reset(task, created_by) if failed else None
        if again is None:
            raise TaskStateError(f"The export is {task.status}; only a failed one can be retried.")
        # While the run that failed cleans up, no other can start. If Temporal can't be reached, it
        # is not asked again, because each call would take half a minute.
        pause = _FIRST_PAUSE
        while not await self._start(again) and pause < LONGEST_PAUSE:
            await asyncio.sleep(pause)
            pause *= _LONGER
        await self._look_for_workers()
        return again

    async def retry_all(
        self,
        *,
        created_by: str | None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 -- the field's name everywhere
        failed_since: int | None = None,
        dry_run: bool = False,
    ) -> RetriedAll:
        """Run all failed exports again, with all their attempts: after an outage, for example.

        Each is retried as by `retry`, the newest first, and for a person only as far as their
        quotas allow. To call it again is safe: it retries those that are still failed. If Temporal
        can't be reached, or the run that failed is still cleaning up, the next sweep starts them.

        Args:
            created_by: Whose exports; None for everybody's.
            code: Only those that failed with this code: `E_STORE`.
            type: Only those of this report.
            failed_since: Only those that failed then or later (epoch milliseconds).
            dry_run: Only count them.

        Raises:
            RequestError: A text is not valid, or the time is not one.
        """
        for what, text in (("createdBy", created_by), ("The code", code), ("The type", type)):
            names.check_text(text or "", what)
        if not 0 <= (failed_since or 0) <= YEAR_9999_MS:
            raise RequestError("A time must be in epoch milliseconds, from 1970 to 9999.")
        wanted = Wanted(TaskStatus.FAILED, type=type, code=code, ended_from=failed_since)
        tally, after, more = _Tally(), None, True
        while more:
            page = await self._tasks.page(
                created_by=created_by, wanted=wanted, after=after, limit=_PAGE
            )
            tally.found += len(page.items)
            if not dry_run:
                await self._retry_page(page.items, created_by, tally)
            after = page.next
            more = after is not None
        if tally.retried:
            await self._look_for_workers()
        return RetriedAll(
            found=tally.found, retried=tally.retried, refused=dict(sorted(tally.refused.items()))
        )

    async def _retry_page(
        self, tasks: list[ExportTask], created_by: str | None, tally: _Tally
    ) -> None:
        for begin in range(0, len(tasks), _SIDE_BY_SIDE):
            together = tasks[begin : begin + _SIDE_BY_SIDE]
            ended = await asyncio.gather(
                *(self._retry_one(task, created_by, tally) for task in together),
                return_exceptions=True,
            )
            for error in filter(None, ended):
                raise error

    async def _retry_one(self, task: ExportTask, created_by: str | None, tally: _Tally) -> None:
        if task.type in tally.full:
            tally.refused[QuotaError.code] += 1
            return
        try:
            due = await self._reset(task, created_by)
            if due is None:
                return
            if not tally.temporal_is_away:
                await self._start_now(due)
        except QuotaError as error:
            tally.full.add(task.type)
            tally.refused[error.code] += 1
            return
        except TaskInvalidError as error:
            tally.refused[error.code] += 1
            return
        except RPCError as error:
            # Any other answer is about Temporal and not about this task. It is not asked again,
            # because each call would take half a minute.
            if error.status != RPCStatusCode.INVALID_ARGUMENT and not tally.temporal_is_away:
                tally.temporal_is_away = True
                _log.warning("Temporal starts nothing (%s); the sweep will", error.status.name)
        tally.retried += 1

    async def _reset(self, task: ExportTask, created_by: str | None) -> ExportTask | None:
        its = [report for report in self._reports if report.type == task.type]
        limits = [limit for limit in self._limits(its) if limit.per == "open" and created_by]
        if limits:
            await self._unique_indexes.ensure()
        return await self._asked.reset(task, asked_by=created_by, limits=limits)

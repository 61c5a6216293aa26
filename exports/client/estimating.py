"""Says beforehand what would come of asking for an export, and what a person has left."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from pydantic import JsonValue

from exports import names
from exports.client.asking import Asking
from exports.clock import as_seconds, now_ms
from exports.errors import ExportError
from exports.models import DEFAULT_FORMAT, TaskStatus, WireModel
from exports.reports.report import Report
from exports.tasks.listing import Wanted
from exports.tasks.quotas import Quotas, check_quota
from exports.tasks.task import ExportTask

_ESTIMATED_BY: Final = 20
"""How many exports that are done say how long the next one takes."""


class Estimate(WireModel):
    """What would come of asking for an export.

    Attributes:
        rows: About how many rows the file would have. None if nothing is known: no export of this
            type has been done, or none that the person may know of, or the period has not begun.
        seconds: About how long it would take once it begins; None in the same case.
        open_ended: Whether the period is not over: the file would have what is there when it is
            made.
        joins: The id of the export that this one would join; None if it would be a new one.
        quotas: What the person has used before it.
    """

    rows: int | None = None
    seconds: int | None = None
    open_ended: bool = False
    joins: str | None = None
    quotas: Quotas


class Estimating(Asking):
    """Checks requests, and carries none out."""

    async def quotas(self, *, created_by: str) -> Quotas:
        """Return the limits of a person, and how much of each is used.

        Args:
            created_by: The person.

        Raises:
            RequestError: `created_by` is not valid text.
        """
        names.check_text(created_by, "createdBy")
        return Quotas.of(await self._asked.used(created_by, self._limits(self._reports)))

    async def estimate(
        self,
        type: str,  # noqa: A002 -- the field's name everywhere
        params: Mapping[str, object],
        *,
        created_by: str,
        format: str = DEFAULT_FORMAT,  # noqa: A002 -- same
        idempotency_key: str | None = None,
        notify: Sequence[str] | None = None,
    ) -> Estimate:
        """Check a request as `create` does, and estimate the export; store and start nothing.

        It is estimated from the last exports of the same type that are done, in proportion to the
        length of the period, or of what is over of it. If each person gets other rows, only those
        of the same person count.

        Args:
            type: As for `create`, like the other arguments.
            params: Same.
            created_by: Same.
            format: Same.
            idempotency_key: Same.
            notify: Same.

        Raises:
            ExportError: As `create` does: also `QuotaError`, unless the export would join another.
        """
        report, request = self._checked(
            type, params, created_by=created_by, file_format=format, notify=notify
        )
        joining = self._joining(report, request)
        joined = await self._asked.joinable(
            request, task_id=self._task_id(request, idempotency_key), joining=joining
        )
        used = await self._asked.used(created_by, self._limits(self._reports))
        if joined is None:
            for limit, quota in used.items():
                if limit.report in (None, type):
                    check_quota(limit, quota)
        done = await self._tasks.page(
            created_by=created_by if report.per_person else None,
            wanted=Wanted(status=TaskStatus.DONE, type=type),
            limit=_ESTIMATED_BY,
        )
        now = now_ms()
        length = _length(report, request.params, until=now)
        rates = list(_rates(report, done.items))
        known = bool(rates) and length > 0
        return Estimate(
            rows=round(median(rows for rows, _ in rates) * length) if known else None,
            seconds=max(1, round(median(time for _, time in rates) * length)) if known else None,
            open_ended=any(unit.end > now for unit in report.units(request.params)),
            joins=joined.id if joined else None,
            quotas=Quotas.of(used),
        )


def _length(report: Report, params: dict[str, JsonValue], *, until: int) -> int:
    """Return how much of the period is over at a time, in milliseconds."""
    units = report.units(params)
    begin, end = min(unit.start for unit in units), max(unit.end for unit in units)
    return max(0, min(end, until) - begin)


def _rates(report: Report, done: Iterable[ExportTask]) -> Iterable[tuple[float, float]]:
    """Yield the rows and the seconds of exports, per millisecond of their period."""
    for task in done:
        try:
            params = report.check_params(task.params)
        except ExportError:  # of another definition of the report
            continue
        if task.started_at is None or task.finished_at is None:
            continue
        length = _length(report, params, until=task.started_at)
        if length > 0:
            seconds = as_seconds(max(0, task.finished_at - task.started_at))
            yield task.rows / length, seconds / length

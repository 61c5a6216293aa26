"""Asks for exports."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import ValidationError
from temporalio.service import RPCError

from exports import names
from exports.client.files import Files
from exports.clock import millis, now_ms
from exports.errors import FileExpiredError, RequestError, explain
from exports.formats import format_named
from exports.messages.channels import checked_request
from exports.models import DEFAULT_FORMAT, ExportRequest, TaskStatus
from exports.reports.limits import limits_of
from exports.reports.report import Report
from exports.tasks.asking import Joining
from exports.tasks.quotas import Limit
from exports.tasks.task import ExportTask
from exports.temporal.payload_size import check_params_fit
from exports.temporal.start import start_export

_LINK_LEFT: Final = 60_000
"""Milliseconds that the link of an export that is joined should still be valid."""

_log = logging.getLogger(__name__)


class Asking(Files):
    """Stores tasks and starts their workflows."""

    async def create(
        self,
        type: str,  # noqa: A002 -- the field's name everywhere
        params: Mapping[str, object],
        *,
        created_by: str,
        format: str = DEFAULT_FORMAT,  # noqa: A002 -- same
        idempotency_key: str | None = None,
        force: bool = False,
        notify: Sequence[str] | None = None,
    ) -> ExportTask:
        """Ask for an export: store the task, then start its workflow.

        If the same person has asked for the same already (type, parameters and format), this joins
        that export: it returns its task, with `joined` True, and makes no new one. It does so while
        the export has not ended, and for `EXPORTS_JOIN_WITHIN` after it is done.

        If this process dies in between, or Temporal can't be reached, the sweep starts it. If no
        worker has been seen on its task queue, this is logged as a warning.

        Args:
            type: Name of a configured report.
            params: The parameters of the report.
            created_by: Who asks, in 1 to 200 characters.
            format: Name of a file format.
            idempotency_key: 1 to 200 characters. If it is not known whether a call succeeded, it
                can be repeated with the same key: it returns the task of the first call, with
                `joined` True. A key belongs to one person, and is valid as long as the task is
                kept: `EXPORTS_TASKS_KEPT` after its end.
            force: Make a new export, even if there is one to join. Later calls join the new one.
            notify: The channels by which the person is told how it ended: `email`, `wechat`,
                `webhook`, and `default` for the person's own choice, which is also meant by None:
                see `choose_notify`. An empty list: nobody is told. To join an export adds to its
                channels. If it is done already, that is not told again: the task says so.

        Raises:
            RequestError: `created_by` or `idempotency_key` is empty, too long or not valid text.
            IdempotencyKeyError: The key was used for another request.
            TypeUnknownError: There is no such report.
            ParamsError: The parameters do not fit the report.
            TooLargeError: The parameters are larger than 64 KiB.
            FormatUnknownError: There is no such format.
            ChannelError: There is no such channel, or this installation has not configured it.
            QuotaError: The person has as many exports as they may have. Nothing else is needed for
                an export to join, or under a key that was used.
            TaskInvalidError: The database can't store the parameters.
        """
        report, request = self._checked(
            type, params, created_by=created_by, file_format=format, notify=notify
        )
        task_id = self._task_id(request, idempotency_key)
        joining, limits = self._joining(report, request), self._limits([report])
        if joining or limits:
            await self._unique_indexes.ensure()
        task = await self._asked.create(
            request, task_id=task_id, joining=joining, force=force, limits=limits
        )
        # An export that was found is running or has ended, unless the call that made it failed
        # before it could start the workflow.
        if task.status is TaskStatus.PENDING and task.run_id is None:
            await asyncio.gather(self._start(task), self._look_for_workers(bulk=report.bulk))
        if task.joined and idempotency_key is None and _link_ends_soon(task):
            try:
                renewed = await self.renew(task.id, created_by=created_by)
            except FileExpiredError:  # somebody removed it from the bucket
                return await self.create(
                    type,
                    params,
                    created_by=created_by,
                    format=format,
                    force=True,
                    notify=notify,
                )
            return renewed.model_copy(update={"joined": True})
        return task

    def _checked(
        self,
        type: str,  # noqa: A002 -- the field's name everywhere
        params: Mapping[str, object],
        *,
        created_by: str,
        file_format: str,
        notify: Sequence[str] | None,
    ) -> tuple[Report, ExportRequest]:
        report = self._reports.named(type)
        checked = report.check_params(params)
        check_params_fit(checked)
        try:
            request = ExportRequest(
                type=type,
                params=checked,
                created_by=created_by,
                format=format_named(file_format).name,
                notify=None if notify is None else checked_request(notify, self._settings),
            )
        except ValidationError as error:
            raise RequestError(f"The request is not valid: {explain(error)}.") from None
        return report, request

    def _joining(self, report: Report, request: ExportRequest) -> Joining | None:
        if not self._settings.join_within:
            return None
        key = names.join_key(
            created_by=request.created_by,
            type=request.type,
            params=request.params,
            format=request.format,
            definition=report.fingerprint,
        )
        return Joining(key, millis(self._settings.join_within))

    def _limits(self, reports: Iterable[Report]) -> list[Limit]:
        return limits_of(
            reports,
            quota_open=self._settings.quota_open,
            quota_per_day=self._settings.quota_per_day,
        )

    def _task_id(self, request: ExportRequest, idempotency_key: str | None) -> str | None:
        if idempotency_key is None:
            return None
        names.check_idempotency_key(idempotency_key)
        return names.task_id_for(self._settings.task_queue, request.created_by, idempotency_key)

    async def _start(self, task: ExportTask) -> bool:
        """Start a task's workflow, or leave that to the sweep; False if one is still open."""
        try:
            return await self._start_now(task)
        except RPCError as error:
            # Nothing is lost: the task is stored and due.
            _log.warning(
                "Temporal did not start task %s (%s); the sweep will", task.id, error.status.name
            )
            return True

    async def _start_now(self, task: ExportTask) -> bool:
        return await start_export(
            self._temporal,
            task.request(),
            task_queue=self._settings.task_queue,
            workflow_id=task.workflow_id,
        )

    async def _look_for_workers(self, *, bulk: bool = False) -> None:
        queue = self._settings.task_queue
        await self._polled.warn_unless_seen(queue)
        if bulk:
            await self._polled.warn_unless_seen(names.bulk_task_queue(queue), activities=True)


def _link_ends_soon(task: ExportTask) -> bool:
    ends = task.expires_at or 0
    return task.status is TaskStatus.DONE and ends < now_ms() + _LINK_LEFT

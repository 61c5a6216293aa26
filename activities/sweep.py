"""The sweep: starts tasks that are due, and heals tasks whose workflow is gone."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.boundary import beating, boundary, check_worker_clock
from exports import names
from exports.clock import as_seconds, now_ms
from exports.documents import Stored
from exports.errors import ExportError, TaskInvalidError, TemporalRefusedError
from exports.models import SweepCount
from exports.runtime import metrics
from exports.task_starts import TaskStarter, each
from exports.tasks.sweep import SweepStore
from exports.temporal.pollers import nobody_polls
from exports.temporal.start import accepts_exports, describe_export
from workflows.failures import application_error

_BEGUN_WITHIN: Final = timedelta(minutes=5)
"""How long a run may wait for a worker to begin it on a queue that nobody polls."""

_log = logging.getLogger(__name__)


class SweepActivities:
    """Looks after tasks that nothing else looks after; starts them on the queue that it runs on.

    Args:
        tasks: Finds and ends them.
        temporal: Starts and looks up workflows.
    """

    def __init__(self, *, tasks: SweepStore, temporal: Client) -> None:
        self._tasks = tasks
        self._temporal = temporal
        self._starter = TaskStarter(tasks, temporal)

    @activity.defn(name=names.SWEEP_DUE)
    async def due(self) -> SweepCount:
        """Start every task that is due and that no run has taken yet."""
        async with boundary(), beating():
            check_worker_clock()
            if metrics.are_wanted():
                await self._show_open()
            return await each(self._tasks.due(now_ms()), partial(self._handle, do=self._begin))

    @activity.defn(name=names.SWEEP_LEFT_BEHIND)
    async def left_behind(self) -> SweepCount:
        """Heal every task that is running, or waits for a retry, while its workflow is not open."""
        async with boundary(), beating():
            check_worker_clock()
            return await each(self._tasks.taken(), partial(self._handle, do=self._heal))

    async def _show_open(self) -> None:
        now = now_ms()
        try:
            found = await self._tasks.open()
        except ExportError as error:
            _log.warning("The open exports could not be counted: %s", error.msg)
            return
        due = now if found.oldest_due is None else found.oldest_due
        metrics.show_open(found.tasks, oldest_pending=as_seconds(max(0, now - due)))

    async def _handle(
        self, document: Stored, *, do: Callable[[Stored], Awaitable[bool]]
    ) -> SweepCount:
        try:
            return await self._starter.handle(document, do)
        except RPCError as error:
            # Any other answer is about Temporal and not about this document: the sweep fails.
            if error.status != RPCStatusCode.INVALID_ARGUMENT:
                raise
            await self._check_accepts_exports()
            why = TaskInvalidError("Temporal refuses to start a workflow for this task.")
            return await self._starter.refuse(document, why)

    async def _check_accepts_exports(self) -> None:
        """Fail the sweep if Temporal refuses every export, so that no document is blamed for it.

        Raises:
            ApplicationError: It does. It is retried.
        """
        own = activity.info()
        if own.workflow_id is None or not await accepts_exports(
            self._temporal, task_queue=own.task_queue, used_id=own.workflow_id
        ):
            raise application_error(
                TemporalRefusedError(
                    "Temporal refuses to start any export (INVALID_ARGUMENT), so that it is not "
                    "due to a task; the log of the Temporal server says why."
                ),
                final=False,
            )

    async def _start(self, document: Stored) -> bool:
        return await self._starter.start(document, task_queue=activity.info().task_queue)

    async def _begin(self, document: Stored) -> bool:
        if await self._start(document):
            return True
        run = await describe_export(self._temporal, _workflow_of(document))
        return run is not None and await self._replace_unheard(run, document)

    async def _replace_unheard(self, run: WorkflowExecutionDescription, document: Stored) -> bool:
        """Start a task here whose run has not begun, and waits where no worker polls."""
        if (
            run.status != WorkflowExecutionStatus.RUNNING
            or run.task_queue == activity.info().task_queue
            or datetime.now(UTC) - run.start_time < _BEGUN_WITHIN
            or not await nobody_polls(self._temporal, run.task_queue)
        ):
            return False
        with suppress(RPCError):  # it has ended meanwhile; otherwise the start says what is wrong
            await self._temporal.get_workflow_handle(run.id, run_id=run.run_id).terminate(
                f"No worker polls the task queue {run.task_queue}; the sweep starts another run."
            )
        return await self._start(document)

    async def _heal(self, document: Stored) -> bool:
        workflow = _workflow_of(document)
        found = await describe_export(self._temporal, workflow)
        if found is None:
            return await self._start_again(document)
        if found.status == WorkflowExecutionStatus.RUNNING:
            return document.get("runId") is None and await self._replace_unheard(found, document)
        if found.run_id == document.get("runId"):
            # The run ended before it could write its result, which Temporal still has.
            if found.status == WorkflowExecutionStatus.CANCELED:
                return await self._tasks.close_cancelled(document)
            if found.status == WorkflowExecutionStatus.FAILED:
                why = await self._starter.why_failed(workflow, found.run_id)
                return await self._tasks.close_failed(document, why)
        return await self._start_again(document)

    async def _start_again(self, document: Stored) -> bool:
        # The run may have ended the task between the query and now.
        unchanged = await self._tasks.is_unchanged(document)
        return unchanged and await self._start(document)


def _workflow_of(document: Stored) -> str:
    return document.get("workflowId") or names.workflow_id(str(document["_id"]))

"""Cancels exports, also those whose task queue nobody polls."""

import logging
from contextlib import suppress
from datetime import timedelta
from typing import Final

from temporalio.client import WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.client.following import Following
from exports.errors import TaskStateError, WaitTimeoutError
from exports.models import Author, CancelRequest, TaskStatus
from exports.tasks.task import ExportTask
from exports.temporal.pollers import nobody_polls
from exports.temporal.start import describe_export

_CANCEL_WAIT: Final = timedelta(seconds=10)

_log = logging.getLogger(__name__)


class Cancelling(Following):
    """Stops runs, and ends tasks that no run has taken."""

    async def cancel(self, task_id: str, *, created_by: str | None, reason: str = "") -> ExportTask:
        """Stop an export and remove what it has written; do nothing if it is cancelled already.

        Waits up to 10 seconds for the run to clean up. If the task is still `running` then, the
        clean-up goes on. If no worker polls the task queue of the run, this is logged as a warning:
        a run that has not begun is ended at once, another one as soon as a worker gets to it.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            RequestError: The reason is not valid text.
            TaskStateError: It has ended in another way. If it has a file, the file stays.
            TaskInvalidError: Its workflow is no export.
            UnreachableError: Temporal did not answer.
            TemporalRefusedError: Temporal refused the request.
        """
        names.check_text(reason, "The reason")
        task = await self._tasks.get(task_id, created_by=created_by)
        if not task.status.ended:
            task = await self._stop(task, reason=reason, asked_by=created_by)
        if task.status.ended and task.status is not TaskStatus.CANCELLED:
            raise TaskStateError(
                f"The export is {task.status}; only one that has not ended can be cancelled."
            )
        return task

    async def _stop(self, task: ExportTask, *, reason: str, asked_by: str | None) -> ExportTask:
        reason = CancelRequest(reason=reason).reason
        await self._asked.end_joining(task.id)
        run = await self._signal_cancel(task, reason, asked_by)
        if run is not None and await self._is_heard(run, task, reason, asked_by):
            with suppress(WaitTimeoutError):
                return await self.wait(task.id, created_by=None, timeout=_CANCEL_WAIT)
            task = await self._tasks.get(task.id, created_by=None)
            if task.run_id is None:
                # The first signal may have reached a run that was about to close, while the task
                # was already waiting for its next run.
                await self._signal_cancel(task, reason, asked_by)
        return await self._tasks.get(task.id, created_by=None)

    async def _signal_cancel(
        self, task: ExportTask, reason: str, asked_by: str | None
    ) -> WorkflowExecutionDescription | None:
        """Signal the open run of a task and return it; without one, end the task."""
        request = CancelRequest(
            reason=reason, asked_by=Author.person(asked_by, origin=self._origin)
        )
        workflow_id = task.workflow_id or names.workflow_id(task.id)
        try:
            run = await describe_export(self._temporal, workflow_id)
            if run is not None:
                handle = self._temporal.get_workflow_handle(workflow_id)
                await handle.signal(names.CANCEL_SIGNAL, request)
                return run
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise self._translate(error) from None
        # It has not been started yet, or it was lost.
        await self._tasks.close_cancelled(task.id, reason=reason, asked_by=asked_by)
        return None

    async def _is_heard(
        self,
        run: WorkflowExecutionDescription,
        task: ExportTask,
        reason: str,
        asked_by: str | None,
    ) -> bool:
        """Return whether a worker may hear the signal; if not, end a task that has not begun."""
        if not await nobody_polls(self._temporal, run.task_queue):
            return True
        if task.run_id is not None:
            _log.warning(
                "No worker polls task queue %s. Task %s is stopped, and its files are removed, as "
                "soon as one does",
                run.task_queue,
                task.id,
            )
            return False
        # First the task: a worker that comes in between finds it ended. So does one that comes
        # later, if the run can't be terminated.
        if not await self._tasks.close_cancelled(task.id, reason=reason, asked_by=asked_by):
            return True
        with suppress(RPCError):
            await self._temporal.get_workflow_handle(run.id, run_id=run.run_id).terminate(
                f"Cancelled. No worker polls task queue {run.task_queue}."
            )
        _log.warning(
            "No worker polls task queue %s. Task %s had not begun and has been cancelled",
            run.task_queue,
            task.id,
        )
        return False

"""`ExportWorkflow`: one export, from the request to the finished file."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as StepTimeoutError

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import (
        AggregateInput,
        CancelledInput,
        CancelRequest,
        Claim,
        ClaimInput,
        DoneInput,
        ExportPlan,
        ExportRequest,
        ExportResult,
        FailedInput,
        FinishedFile,
        StagedUnit,
        TaskRef,
        TaskStatus,
        Unit,
        UploadInput,
    )
    from exports.temporal.payload_size import size_of
    from workflows import steps
    from workflows.carrying import refuse_too_large
    from workflows.policies import MOST_PARTS_NAMED, MOST_PLANS
    from workflows.worker_loss import Before, report_changed, surviving_workers

_T = TypeVar("_T")
_PARTS: Final = "The list of staged parts"


@workflow.defn(name=names.EXPORT_WORKFLOW)
class ExportWorkflow:
    """Carries one task to its end: done, failed or cancelled.

    The state machine is `run`. Cancelling by the signal and by the server's own cancel request
    are one and the same: both cancel the main task of the workflow.
    """

    def __init__(self) -> None:
        info = workflow.info()
        self._task = TaskRef(
            task_id=names.task_id_of(info.workflow_id),
            workflow_id=info.workflow_id,
            run_id=info.run_id,
        )
        self._main: asyncio.Task[Any] | None = None
        self._cancel: CancelRequest | None = None
        self._free = asyncio.Semaphore()
        self._claimed = False
        self._retries = 0
        self._workers_lost = 0
        self._plans = 1
        self._rows = 0
        self._listed = 0

    @workflow.run
    async def run(self, request: ExportRequest) -> ExportResult:
        """Run the export.

        Args:
            request: What is asked for; for a stored task, its id is what counts.

        Returns:
            How it ended, without the link: that is in the document only.

        Raises:
            ApplicationError: It failed; the type is the code in the document.
            asyncio.CancelledError: It was cancelled.
        """
        self._main = asyncio.current_task()
        try:
            claim = await self._uninterrupted(self._claimed_task(request))
            if claim.plan is None:
                return self._ended_before(claim)
            plan, units = await self._staged(claim.plan, request)
            file = await self._uploaded(plan, units)
            result = await self._written_back(file, units)
        except (asyncio.CancelledError, FailureError) as error:
            stopped = self._cancel_requested or is_cancelled_exception(error)
            close = self._closed_as_cancelled() if stopped else self._closed_as_failed(error)
            raise await self._uninterrupted(close) from None
        if not self._untroubled(units):
            await self._uninterrupted(self._discard())
        return result

    @workflow.signal(
        name=names.CANCEL_SIGNAL, description="Stop the export and remove what it has written"
    )
    def cancel(self, request: CancelRequest | None = None) -> None:
        """Stop the export; nothing if it has ended.

        Args:
            request: Why, for the document.
        """
        self._cancel = self._cancel or request or CancelRequest()
        if self._main is not None:
            self._main.cancel()

    @property
    def _cancel_requested(self) -> bool:
        return self._cancel is not None or workflow.cancellation_reason() is not None

    async def _claimed_task(self, request: ExportRequest) -> Claim:
        ask = ClaimInput(
            request=request,
            task=self._task,
            run_started_at=int(workflow.info().workflow_start_time.timestamp() * 1000),
        )
        refuse_too_large(size_of(ask), "The request")
        claim = await self._surviving(lambda before: steps.claim(ask, before), retries=0)
        self._task = claim.task
        self._claimed = True
        return claim

    async def _staged(
        self, plan: ExportPlan, request: ExportRequest
    ) -> tuple[ExportPlan, list[StagedUnit]]:
        """Stage all units by one definition of the report; anew if no worker has it any more."""
        while True:
            try:
                return plan, await self._staged_by(plan)
            except ActivityError as error:
                if not report_changed(error) or self._plans == MOST_PLANS:
                    raise
            plan = await self._planned_anew(request)

    async def _planned_anew(self, request: ExportRequest) -> ExportPlan:
        self._plans += 1
        self._rows = self._listed = 0
        claim = await self._uninterrupted(self._claimed_task(request))
        if claim.plan is None:
            raise ApplicationError(
                "The task has ended meanwhile.", type="E_TASK_LOST", non_retryable=True
            )
        return claim.plan

    async def _staged_by(self, plan: ExportPlan) -> list[StagedUnit]:
        _publish(
            {
                names.SEARCH_STATUS: TaskStatus.RUNNING,
                names.SEARCH_TYPE: plan.type,
                names.SEARCH_FORMAT: plan.format,
                names.SEARCH_CREATED_BY: plan.created_by,
            }
        )
        self._go_on("aggregate", plan)
        self._free = asyncio.Semaphore(plan.side_by_side)
        return await self._staged_units(_without_units(plan), plan.units)

    async def _staged_units(self, plan: ExportPlan, units: list[Unit]) -> list[StagedUnit]:
        """Stage units side by side, and what they leave for others, in the order of their rows."""
        running = [asyncio.create_task(self._staged_unit(plan, unit)) for unit in units]
        try:
            return [staged for found in await asyncio.gather(*running) for staged in found]
        # Not `finally`: a run that is thrown away with its worker must not await.
        except (asyncio.CancelledError, FailureError):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise

    async def _staged_unit(self, plan: ExportPlan, unit: Unit) -> list[StagedUnit]:
        async with self._free:
            staged = await self._surviving(
                lambda before: steps.aggregate(
                    AggregateInput(task=self._task, plan=plan, unit=unit, rows_before=self._rows),
                    before,
                ),
                retries=0,
                stopped=self._cancelled_meanwhile,
            )
        self._rows += staged.rows
        self._listed += size_of(staged)
        refuse_too_large(self._listed, _PARTS)
        self._retries = max(self._retries, staged.retries)
        self._go_on(f"aggregate · {unit.key} read", plan)
        return [staged, *await self._staged_units(plan, staged.rest)]

    async def _uploaded(self, plan: ExportPlan, units: list[StagedUnit]) -> FinishedFile:
        self._go_on("upload", plan)
        ask = UploadInput(
            task=self._task,
            plan=_without_units(plan),
            parts=[part for unit in units for part in unit.parts],
            warnings=[warning for unit in units for warning in unit.warnings],
        )
        refuse_too_large(size_of(ask), _PARTS)
        file = await self._surviving(
            lambda before: steps.upload(ask, before),
            retries=self._retries,
            stopped=self._cancelled_meanwhile,
        )
        self._retries = max(self._retries, file.retries)
        return file

    def _untroubled(self, units: list[StagedUnit]) -> bool:
        """Whether the accepted parts are all that the run has left, and few enough to be named."""
        parts = sum(len(unit.parts) for unit in units)
        went_straight = not self._retries and not self._workers_lost and self._plans == 1
        return went_straight and parts <= MOST_PARTS_NAMED

    async def _written_back(self, file: FinishedFile, units: list[StagedUnit]) -> ExportResult:
        self._go_on("writeback")
        keys = [part.key for unit in units for part in unit.parts]
        leftovers = keys if self._untroubled(units) else []
        result = await self._uninterrupted(
            self._surviving(
                lambda before: steps.writeback_done(
                    DoneInput(task=self._task, file=file, leftovers=leftovers), before
                ),
                retries=self._retries,
            )
        )
        _publish({names.SEARCH_STATUS: TaskStatus.DONE})
        workflow.set_current_details(
            f"**done** · {result.rows:,} rows · {result.bytes:,} bytes · {result.file_name}"
        )
        return result

    async def _surviving(
        self,
        call: Callable[[Before], Awaitable[_T]],
        *,
        retries: int,
        stopped: Callable[[], bool] = lambda: False,
    ) -> _T:
        return await surviving_workers(
            call, retries=retries, lost=self._worker_lost, stopped=stopped
        )

    def _cancelled_meanwhile(self) -> bool:
        """Whether a step whose worker is gone had been asked to stop, and has stopped with it."""
        # Runs that began under older code ran the step again, whatever had been asked for.
        return self._cancel_requested and workflow.patched("stopped-with-its-worker")

    def _worker_lost(self) -> None:
        self._workers_lost += 1

    def _ended_before(self, claim: Claim) -> ExportResult:
        if claim.ended is None:
            raise ApplicationError("The claim says nothing.", type="E_INTERNAL", non_retryable=True)
        _publish({names.SEARCH_STATUS: claim.ended.status})
        workflow.set_current_details(f"**{claim.ended.status}** already, before this run")
        return claim.ended

    async def _closed_as_cancelled(self) -> BaseException:
        reason = (self._cancel.reason if self._cancel else workflow.cancellation_reason()) or ""
        workflow.set_current_details("**cancelled** · cleaning up")
        _publish({names.SEARCH_STATUS: TaskStatus.CANCELLED})
        await self._discard()
        with suppress(ActivityError):  # the task is gone, or has ended otherwise
            await steps.writeback_cancelled(
                CancelledInput(
                    task=self._task,
                    reason=reason,
                    asked_by=self._cancel.asked_by if self._cancel else None,
                )
            )
        workflow.set_current_details(f"**cancelled** · {reason}" if reason else "**cancelled**")
        if workflow.cancellation_reason() is None:
            # After a reset, the claim, and with it the task, is that of the run before.
            this_run = self._task.model_copy(update={"run_id": workflow.info().run_id})
            await steps.close_as_canceled(this_run)
            await workflow.wait_condition(lambda: workflow.cancellation_reason() is not None)
        return asyncio.CancelledError()

    async def _closed_as_failed(self, error: BaseException) -> BaseException:
        code, msg = _reason(error)
        workflow.set_current_details(f"**failed** · {code} · {msg}")
        _publish({names.SEARCH_STATUS: TaskStatus.FAILED})
        with suppress(ActivityError):  # the task is gone, or has ended otherwise
            await steps.writeback_failed(
                FailedInput(
                    task=self._task, code=code, msg=msg, retries=self._failed_attempts(error)
                )
            )
        await self._discard()
        return ApplicationError(msg, type=code, non_retryable=True)

    def _failed_attempts(self, error: BaseException) -> int:
        # The server ends the last attempt of a step only if the worker has not done so before: it
        # is frozen, and counts nothing.
        ended_by_server = isinstance(error, ActivityError) and isinstance(
            error.cause, StepTimeoutError
        )
        return self._task.max_retries if ended_by_server else self._retries

    async def _discard(self) -> None:
        if not self._claimed:
            return
        with suppress(ActivityError):  # the next sweep removes what this could not
            await steps.discard(self._task)

    def _go_on(self, doing: str, plan: ExportPlan | None = None) -> None:
        """Say what the run is at, unless it is to stop: a step may end well in spite of that."""
        if self._cancel_requested:
            raise asyncio.CancelledError
        name = f"{plan.summary} · " if plan else ""
        workflow.set_current_details(f"{name}**{doing}** · {self._rows:,} rows so far")

    async def _uninterrupted(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Let work end that a cancel request must not stop half-way."""
        task = asyncio.create_task(work)
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(task)
        return task.result()


def _without_units(plan: ExportPlan) -> ExportPlan:
    return plan.model_copy(update={"units": []})


def _publish(attributes: dict[str, str]) -> None:
    """Set search attributes; nothing, not even an event, if they say so already."""
    there = workflow.info().typed_search_attributes
    if all(
        there.get(SearchAttributeKey.for_keyword(name)) == text for name, text in attributes.items()
    ):
        return
    workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] -- the SDK's own generic is bare
        [SearchAttributeKey.for_keyword(name).value_set(text) for name, text in attributes.items()]
    )


def _reason(error: BaseException) -> tuple[str, str]:
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError) and cause.type:
        return cause.type, cause.message
    if isinstance(cause, StepTimeoutError):
        return "E_STEP_TIMEOUT", "A step of the export took longer than it may."
    return "E_INTERNAL", "Something went wrong inside the service."

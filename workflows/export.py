"""`ExportWorkflow`: one export, from the request to the finished file."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.clock import epoch_ms
    from exports.errors import TaskLostError, UnexpectedError
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
    from exports.tables.warnings import WarningCounts
    from exports.temporal.payload_size import size_of
    from workflows import steps, visibility
    from workflows.account import Account
    from workflows.admission import refuse_too_large
    from workflows.failures import (
        application_error,
        claim_in,
        code_and_message,
        ended_by_server,
        failed_attempts,
    )
    from workflows.history_budget import HistoryBudget
    from workflows.policies import MOST_PARTS_NAMED, MOST_PLANS
    from workflows.uninterrupted import uninterrupted
    from workflows.visibility import Visibility
    from workflows.worker_loss import StepHistory, is_left_to_others, run_step

_T = TypeVar("_T")
_CLAIM_STOPS: Final = "claim-stops"  # in older runs, a cancel waits for the end of the claim
_CLAIM_STAGES: Final = "claim-stages"  # older runs leave nothing behind in a claim
_PARTS: Final = "The list of staged parts"


@workflow.defn(name=names.EXPORT_WORKFLOW)
class ExportWorkflow:
    """Runs one task until it is done, failed or cancelled.

    Its steps are in `_carry_out`. The signal `cancel` and the server's own cancel request have the
    same effect: both cancel the main task of the workflow.
    """

    def __init__(self) -> None:
        info = workflow.info()
        self._task = TaskRef(
            task_id=names.task_id_of(info.workflow_id),
            workflow_id=info.workflow_id,
            run_id=info.run_id,
        )
        self._visibility = Visibility()
        self._main: asyncio.Task[Any] | None = None
        self._cancel: CancelRequest | None = None
        self._unit_slots = asyncio.Semaphore()
        self._claimed = False
        self._retries = 0
        self._workers_lost = 0
        self._plans = 1
        self._rows = 0
        self._budget = HistoryBudget()
        self._account = Account(self._task.task_id)

    @workflow.run
    async def run(self, request: ExportRequest) -> ExportResult:
        """Claim the task, stage its rows, upload the file, and write back that it is done.

        Args:
            request: What is asked for; of a stored task, only its id counts.

        Returns:
            How the export ended, without the link, which only the document holds.

        Raises:
            ApplicationError: The export failed; the type is the code in the document.
            asyncio.CancelledError: The export was cancelled.
        """
        self._main = asyncio.current_task()
        try:
            result, units = await self._carry_out(request)
        except (asyncio.CancelledError, FailureError) as error:
            cancelled = self._cancel_requested or is_cancelled_exception(error)
            close = self._close_as_cancelled() if cancelled else self._close_as_failed(error)
            raise await uninterrupted(close) from None
        self._account.done(result, retries=self._retries)
        if self._needs_discard(units):
            await uninterrupted(self._discard())
        return result

    @workflow.signal(
        name=names.CANCEL_SIGNAL, description="Stop the export and remove what it has written"
    )
    def cancel(self, *given: object) -> None:
        """Stop the export; do nothing if it has ended.

        Args:
            given: Why, for the document: see `CancelRequest`. No type and no number of arguments,
                because the SDK drops a signal that does not fit them.
        """
        self._cancel = self._cancel or CancelRequest.model_validate(given[0] if given else None)
        if self._main is not None:
            self._main.cancel()

    @property
    def _cancel_requested(self) -> bool:
        return self._cancel is not None or workflow.cancellation_reason() is not None

    def _stop_if_cancelled(self) -> None:
        # A step that was asked to stop may be done nevertheless.
        if self._cancel_requested:
            raise asyncio.CancelledError

    async def _claim(self, request: ExportRequest) -> Claim:
        ask = ClaimInput(
            request=request,
            task=self._task,
            run_started_at=epoch_ms(workflow.info().workflow_start_time),
            planned_for=visibility.planned_for(),
            has_search_attributes=self._visibility.has_search_attributes,
            stages=not self._cancel_requested,
        )
        refuse_too_large(size_of(ask), "The request")
        try:
            claim = await self._take(ask)
        except ActivityError as error:
            if (taken := claim_in(error)) is not None:
                self._learn(taken)
            raise
        self._learn(claim)
        return claim

    async def _take(self, ask: ClaimInput) -> Claim:
        """Take the task, even if the run is cancelled: only its owner can write `cancelled`."""
        step = asyncio.create_task(
            self._run_step(lambda history: steps.claim(ask, history), cancellable=True)
        )
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            # While a run is evicted, `patched` raises, so that nothing is awaited here.
            stops = workflow.patched(_CLAIM_STOPS)
            if stops:
                step.cancel()
            return await uninterrupted(self._take_without_rows(step, ask, stopped=stops))

    async def _take_without_rows(
        self, step: asyncio.Task[Claim], ask: ClaimInput, *, stopped: bool
    ) -> Claim:
        try:
            return await step
        except asyncio.CancelledError:
            pass
        except ActivityError as error:
            # The server makes no other attempt at a step that is to be stopped.
            cut_short = stopped and claim_in(error) is None
            if not cut_short and not is_cancelled_exception(error):
                raise
        ask = ask.model_copy(update={"stages": False})
        return await self._run_step(lambda history: steps.claim(ask, history))

    def _learn(self, claim: Claim) -> None:
        self._task = claim.task
        self._claimed = True
        self._retries = max(self._retries, claim.retries)
        self._visibility.learn(search_attributes=claim.search_attributes)
        self._account.started(claim)

    async def _carry_out(self, request: ExportRequest) -> tuple[ExportResult, list[StagedUnit]]:
        """Do all steps on workers that fit the plan; plan again if there are none."""
        claim = await self._claim(request)
        while claim.plan is not None:
            try:
                units = await self._stage(claim.plan, claim)
                file = await self._upload(claim.plan, units)
                return await self._write_back(claim.plan, file, units), units
            except ActivityError as error:
                if not is_left_to_others(error) or self._plans == MOST_PLANS:
                    raise
            claim = await self._plan_again(request)
        return self._ended_before(claim), []

    def _ended_before(self, claim: Claim) -> ExportResult:
        if claim.ended is None:
            raise application_error(
                UnexpectedError("The claim returned neither a plan nor a result."), final=True
            )
        self._visibility.show_ended_before(claim.ended)
        return claim.ended

    async def _plan_again(self, request: ExportRequest) -> Claim:
        self._plans += 1
        self._rows = 0
        self._budget.plan_again()
        claim = await self._claim(request)
        # It is done if the worker that wrote so was lost before it could say so.
        if claim.ended is not None and claim.ended.status is not TaskStatus.DONE:
            raise application_error(TaskLostError("The task has ended in the meantime."))
        return claim

    async def _stage(self, plan: ExportPlan, claim: Claim) -> list[StagedUnit]:
        self._visibility.show_plan(plan)
        self._stop_if_cancelled()
        visibility.show_progress("aggregate", rows=self._rows, plan=plan)
        self._unit_slots = asyncio.Semaphore(plan.side_by_side)
        of_units = plan.without_units()
        if claim.staged is not None:
            self._budget.plan_units(of_units, plan.units, self._task)
            return await self._accept(of_units, claim.staged)
        if not plan.moment_open:
            return await self._stage_units(of_units, plan.units, retries=claim.retries)
        first = await self._stage_units(of_units, plan.units[:1])
        rest = [unit.model_copy(update={"moment": first[0].moment}) for unit in plan.units[1:]]
        of_units = of_units.model_copy(update={"moment_open": False})
        return [*first, *await self._stage_units(of_units, rest)]

    async def _stage_units(
        self, plan: ExportPlan, units: list[Unit], *, retries: int = 0
    ) -> list[StagedUnit]:
        """Stage units and the units that they leave for others; return all in row order."""
        self._budget.plan_units(plan, units, self._task)
        running = [asyncio.create_task(self._stage_unit(plan, unit, retries)) for unit in units]
        try:
            return [staged for found in await asyncio.gather(*running) for staged in found]
        # Not `finally`: when the worker evicts a run, its coroutines must not await.
        except (asyncio.CancelledError, FailureError):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise

    async def _stage_unit(self, plan: ExportPlan, unit: Unit, retries: int) -> list[StagedUnit]:
        async with self._unit_slots:
            staged = await self._run_step(
                lambda history: steps.aggregate(
                    AggregateInput(
                        task=self._task,
                        plan=plan,
                        unit=unit,
                        rows_before=self._rows,
                        most_listed=self._budget.most_listed(plan),
                    ),
                    history,
                ),
                retries=retries,
                cancellable=True,
            )
        return await self._accept(plan, staged)

    async def _accept(self, plan: ExportPlan, staged: StagedUnit) -> list[StagedUnit]:
        """Accept the rows of a unit; stage and return also those that it leaves for others."""
        self._rows += staged.rows
        self._budget.add(staged)
        self._retries = max(self._retries, staged.retries)
        self._stop_if_cancelled()
        visibility.show_progress(f"aggregate · {staged.unit} read", rows=self._rows, plan=plan)
        return [staged, *await self._stage_units(plan, staged.rest)]

    async def _upload(self, plan: ExportPlan, units: list[StagedUnit]) -> FinishedFile:
        self._stop_if_cancelled()
        visibility.show_progress("upload", rows=self._rows, plan=plan)
        ask = UploadInput(
            task=self._task,
            plan=plan.model_copy(update={"units": []}),
            parts=[part for unit in units for part in unit.parts],
            warnings=WarningCounts(w for unit in units for w in unit.warnings).warnings,
        )
        refuse_too_large(size_of(ask), _PARTS)
        file = await self._run_step(
            lambda history: steps.upload(ask, history), retries=self._retries, cancellable=True
        )
        self._retries = max(self._retries, file.retries)
        return file

    async def _write_back(
        self, plan: ExportPlan, file: FinishedFile, units: list[StagedUnit]
    ) -> ExportResult:
        self._stop_if_cancelled()
        visibility.show_progress("writeback", rows=self._rows)
        keys = [part.key for unit in units for part in unit.parts]
        ask = DoneInput(
            task=self._task,
            file=file,
            leftovers=[] if self._needs_discard(units) else keys,
            created_by=plan.created_by,
        )
        result = await uninterrupted(
            self._run_step(
                lambda history: steps.writeback_done(ask, history), retries=self._retries
            )
        )
        self._visibility.show_done(result)
        return result

    async def _run_step(
        self,
        call: Callable[[StepHistory], Awaitable[_T]],
        *,
        retries: int = 0,
        cancellable: bool = False,
    ) -> _T:
        return await run_step(
            call,
            retries=retries,
            on_worker_lost=self._count_lost_worker,
            cancel_requested=lambda: cancellable and self._cancel_requested,
        )

    def _count_lost_worker(self) -> None:
        self._workers_lost += 1

    def _needs_discard(self, units: list[StagedUnit]) -> bool:
        """Return whether there may be more than the accepted parts, or too many to name them."""
        parts = [part for unit in units for part in unit.parts]
        went_wrong = self._retries > 0 or self._workers_lost > 0 or self._plans > 1
        return went_wrong or len(parts) > MOST_PARTS_NAMED or any(part.lists for part in parts)

    async def _close_as_cancelled(self) -> BaseException:
        # The server accepts a reason that is too long for a step.
        asked = self._cancel or CancelRequest.model_validate(workflow.cancellation_reason())
        self._visibility.show_cancelling()
        await self._discard()
        ask = CancelledInput(task=self._task, reason=asked.reason, asked_by=asked.asked_by)
        with suppress(ActivityError):  # the task is gone, or has ended otherwise
            await steps.writeback_cancelled(ask)
            self._account.cancelled(retries=self._retries)
        visibility.show_cancelled(asked.reason)
        # After a reset, the claim, and with it the task, is that of the run before.
        this_run = self._task.model_copy(update={"run_id": workflow.info().run_id})
        # The request is in the history before the step is completed, unless by somebody else.
        while workflow.cancellation_reason() is None:
            await steps.close_as_canceled(this_run)
        return asyncio.CancelledError()

    async def _close_as_failed(self, error: BaseException) -> BaseException:
        code, msg = code_and_message(error)
        self._visibility.show_failed(code, msg)
        # A worker ends an attempt before the server does and counts it, but not while the database
        # is away. If it was the server, the worker is frozen, and no attempt was counted.
        retries = self._task.max_retries if ended_by_server(error) else self._retries
        if isinstance(error, ActivityError):
            retries = max(retries, failed_attempts(error.cause))
        ask = FailedInput(task=self._task, code=code, msg=msg, retries=retries)
        with suppress(ActivityError):  # the task is gone, or has ended otherwise
            await steps.writeback_failed(ask)
            self._account.failed(code, retries=retries)
        await self._discard()
        return ApplicationError(msg, type=code, non_retryable=True)

    async def _discard(self) -> None:
        # A claim whose workers were lost may have staged rows.
        if not self._claimed and not (self._workers_lost and workflow.patched(_CLAIM_STAGES)):
            return
        with suppress(ActivityError):  # the next sweep removes what this could not
            await steps.discard(self._task)

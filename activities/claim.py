"""The first transition of a task: a run takes it and gets a plan of the export.

If the plan is a single small unit, its rows are staged in the same step.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.boundary import boundary
from activities.patience import Outages
from exports import names
from exports.clock import MAX_SKEW_MS, now_ms
from exports.errors import (
    QuotaError,
    RequestError,
    SourceUnavailableError,
    TaskLostError,
    TaskNotFoundError,
)
from exports.formats import format_named
from exports.messages.channels import checked_request
from exports.models import (
    DEFAULT_FORMAT,
    AggregateInput,
    AttemptBeat,
    Claim,
    ClaimInput,
    ExportPlan,
    ExportRequest,
    Stage,
    StagedUnit,
)
from exports.recurring.runs import RecurringRuns
from exports.reports.about import about_lines, until_suffix
from exports.reports.report import ReportCatalog
from exports.runtime.ended import EndedExport
from exports.runtime.metrics import Kind
from exports.runtime.outages import at_once
from exports.settings import Settings
from exports.source.database import Source
from exports.storage.bucket import ObjectStore
from exports.tasks.checks import runnable
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from exports.temporal.payload_size import check_fits, check_params_fit
from exports.temporal.search_attributes import KnownSearchAttributes
from workflows.failures import application_error, with_claim
from workflows.policies import MOST_LISTED_OF_UNIT


class ClaimActivities:
    """Makes a run the owner of its task.

    Args:
        tasks: The tasks.
        reports: The configured reports.
        recurring: Stores the tasks of recurring exports.
        source: The database that the reports read.
        store: The bucket.
        settings: Of this worker.
        search_attributes: Those of the namespace.
        outages: Lets it wait for servers.
        aggregate: Stages the rows of a unit.
    """

    def __init__(
        self,
        *,
        tasks: RunTransitions,
        recurring: RecurringRuns,
        reports: ReportCatalog,
        source: Source,
        store: ObjectStore,
        settings: Settings,
        search_attributes: KnownSearchAttributes,
        outages: Outages,
        aggregate: Callable[[AggregateInput], Awaitable[StagedUnit]],
    ) -> None:
        self._tasks = tasks
        self._recurring = recurring
        self._reports = reports
        self._source = source
        self._store = store
        self._settings = settings
        self._search_attributes = search_attributes
        self._outages = outages
        self._aggregate = aggregate

    @activity.defn(name=names.CLAIM)
    async def claim(self, ask: ClaimInput) -> Claim:
        """Take a task; create its document first if a workflow was started without one."""
        async with self._outages.waited_for():
            claim = await self._claim(ask)
            if not ask.has_search_attributes:
                there = await self._search_attributes.all_there()
                claim = claim.model_copy(update={"search_attributes": there})
            if claim.plan is None or not _stages(ask, claim.plan):
                return claim
            if _is_repeated(ask):
                # At once, so that the workflow knows this count even if the worker is lost.
                activity.heartbeat(AttemptBeat(stage=Stage.AGGREGATE, retries=claim.retries))
                return claim
        return await self._with_rows(claim, claim.plan)

    async def _with_rows(self, claim: Claim, plan: ExportPlan) -> Claim:
        """Stage the only unit of an export in this step: a step of its own would cost more.

        This is the first attempt at it. How many the document allows is not known when a claim is
        scheduled, so all others are made by a step of their own.
        """
        async with boundary():
            try:
                staged = await self._aggregate(
                    AggregateInput(
                        task=claim.task,
                        plan=plan.without_units(),
                        unit=plan.units[0],
                        rows_before=0,
                        most_listed=MOST_LISTED_OF_UNIT,
                    )
                )
            except ApplicationError as error:
                raise with_claim(error, claim) from None
            claim = claim.model_copy(update={"staged": staged})
            check_fits(claim, "What is to be said of the unit")
            return claim

    async def _claim(self, ask: ClaimInput) -> Claim:
        task = ask.task
        names.check_task_id(task.task_id)
        stored_elsewhere = ask.request.task_id is not None
        if stored_elsewhere and ask.request.task_id != task.task_id:
            raise RequestError(
                "A workflow with a taskId must have the id "
                f"{names.workflow_id('<taskId>')}; to start one directly, leave taskId out."
            )
        if not stored_elsewhere:
            await self._store_task(ask)
        document = await self._tasks.claim(task, run_started_at=ask.run_started_at)
        if document is None:
            return await self._not_claimed(ask)
        # Clients check the channels of stored tasks and of recurring exports. What another system
        # stored there, or what is not configured any more, is left out.
        if ask.request.recurring is None:
            checked_request(ask.request.notify or [], self._settings)
        request, max_retries = runnable(document)
        known = ExportTask.from_document(document)
        plan = await self._plan(request, asked_at=known.created_at)
        claim = Claim(
            task=task.model_copy(
                update={
                    "max_retries": max_retries,
                    "store": self._store.fingerprint,
                    "patience": self._settings.outage_patience,
                    "heartbeat": self._settings.heartbeat,
                }
            ),
            plan=plan,
            claimed_at=now_ms(),
            asked_at=_asked_at(known, ask.run_started_at),
            retries=max(ask.retries_before, min(known.retries, max_retries))
            if _stages(ask, plan) and _is_repeated(ask)
            else 0,
        )
        check_fits(claim, "The list of the export's units")
        if plan.data_until is not None:
            await self._tasks.planned(task, data_until=plan.data_until)
        return claim

    async def _store_task(self, ask: ClaimInput) -> None:
        if ask.request.recurring is None:
            await self._tasks.create_for_run(ask.request, ask.task)
            await self._check_same(ask)
            return
        # Without a planned time, somebody has started the run by hand.
        planned_for = ask.run_started_at if ask.planned_for is None else ask.planned_for
        try:
            await self._recurring.prepare(
                ask.request,
                ask.request.recurring,
                task_id=ask.task.task_id,
                planned_for=planned_for,
            )
        except QuotaError as error:  # the task has failed, and says so
            EndedExport(
                task_id=ask.task.task_id, kind=Kind(), outcome="failed", code=error.code
            ).record()
            raise application_error(error, final=True) from None

    async def _check_same(self, ask: ClaimInput) -> None:
        """Refuse a workflow id that was used for another export or by another person."""
        document = await self._tasks.find(ask.task.task_id)
        request = ask.request
        if document is not None and (
            document.get("type"),
            document.get("params"),
            document.get("createdBy"),
            document.get("format", DEFAULT_FORMAT),
        ) != (request.type, request.params, request.created_by, request.format):
            raise RequestError(
                "This workflow id belongs to another export; use a new workflow id for each export."
            )

    async def _not_claimed(self, ask: ClaimInput) -> Claim:
        document = await self._tasks.find(ask.task.task_id)
        if document is None:
            raise TaskNotFoundError("There is no task with this id; it may have been deleted.")
        ended = ExportTask.from_document(document)
        if not ended.status.ended:
            raise TaskLostError("The task belongs to another workflow or to a later run.")
        return Claim(task=ask.task, ended=ended.result())

    async def _plan(self, request: ExportRequest, *, asked_at: int | None) -> ExportPlan:
        report = self._reports.named(request.type)
        file_format = format_named(request.format)
        params = report.check_params(request.params)
        check_params_fit(params)
        units = report.units(params)
        # Nothing has been read yet, so that everything that happened before is in the file.
        now = now_ms()
        data_until = now if any(unit.end > now for unit in units) else None
        stem = report.file_stem(params) + until_suffix(data_until, report.timezone)
        # A unit alone takes the moment at which it is read, and gives it to what it leaves.
        is_open = len(units) > 1
        if is_open:
            # No cancel is heard here, so that the first unit waits for the source if it is away.
            with at_once(), suppress(SourceUnavailableError):
                moment = await self._source.now(snapshot=report.consistency == "snapshot")
                units = [unit.model_copy(update={"moment": moment}) for unit in units]
                is_open = False
        return ExportPlan(
            type=request.type,
            params=params,
            created_by=request.created_by,
            format=file_format.name,
            file_name=f"{stem}.{file_format.extension}",
            summary=report.summary(params),
            bulk=report.bulk,
            definition=report.fingerprint,
            side_by_side=self._settings.units_side_by_side,
            max_rows=report.max_rows,
            narrow_by=report.narrow_by(),
            data_until=data_until,
            about=about_lines(
                report,
                params,
                created_by=request.created_by,
                asked_at=asked_at,
                made_at=now,
                data_until=data_until,
            )
            if report.about
            else None,
            moment_open=is_open,
            units=units,
        )


def _stages(ask: ClaimInput, plan: ExportPlan) -> bool:
    """Return whether the first attempt at the rows of an export is that of its claim."""
    return ask.stages and plan.is_small


def _is_repeated(ask: ClaimInput) -> bool:
    """Return whether an attempt at this claim, or at one before it, may have failed."""
    return activity.info().attempt > 1 or ask.retries_before > 0


def _asked_at(task: ExportTask, run_started_at: int) -> int | None:
    """Return when a task was asked for; None if an earlier run has taken it, or it is no past."""
    first = task.started_at is not None and task.started_at > run_started_at - MAX_SKEW_MS
    asked_at = task.created_at
    return asked_at if first and asked_at is not None and 0 <= asked_at <= now_ms() else None

"""What is counted and logged of one export. Nothing is, while its history is replayed."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from exports.clock import from_epoch_ms
    from exports.models import Claim, ExportResult
    from exports.runtime.ended import EndedExport
    from exports.runtime.metrics import Kind, Outcome


class Account:
    """Counts and logs that an export begins, and how it ends.

    Args:
        task_id: Its task.
    """

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._asked_at = workflow.info().workflow_start_time
        self._kind: Kind | None = None

    def started(self, claim: Claim) -> None:
        """Count that the run has taken its task, unless it was counted before."""
        if claim.plan is None or self._kind is not None:
            return
        self._kind = Kind(type=claim.plan.type, format=claim.plan.format)
        asked_at = claim.asked_at
        self._asked_at = self._asked_at if asked_at is None else from_epoch_ms(asked_at)
        claimed_at = workflow.now() if claim.claimed_at is None else from_epoch_ms(claim.claimed_at)
        self._kind.count_started(max(timedelta(), claimed_at - self._asked_at))

    def done(self, result: ExportResult, *, retries: int) -> None:
        """Record that the export is done, if this run has done it."""
        if self._kind is not None:
            self._ended("done", attempts=retries + 1, rows=result.rows, size=result.bytes)

    def failed(self, code: str, *, retries: int) -> None:
        """Record that the export has failed."""
        self._ended("failed", code=code, attempts=max(1, retries))

    def cancelled(self, *, retries: int) -> None:
        """Record that the export was cancelled."""
        self._ended("cancelled", attempts=retries + 1)

    def _since_asking(self) -> timedelta:
        return max(timedelta(), workflow.now() - self._asked_at)

    def _ended(
        self,
        outcome: Outcome,
        *,
        attempts: int,
        code: str | None = None,
        rows: int = 0,
        size: int = 0,
    ) -> None:
        # The meter of a workflow does this by itself; the log has no such thing.
        if not workflow.unsafe.is_replaying():
            EndedExport(
                task_id=self._task_id,
                kind=self._kind or Kind(),
                outcome=outcome,
                code=code,
                rows=rows,
                bytes=size,
                seconds=self._since_asking().total_seconds(),
                attempts=attempts,
            ).record()

"""`SweepWorkflow`: what the Schedule runs every five minutes."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import SweepCount, SweepResult
    from workflows import steps


@workflow.defn(name=names.SWEEP_WORKFLOW)
class SweepWorkflow:
    """Starts due tasks, heals those left behind, hands over messages, purges expired files."""

    @workflow.run
    async def run(self, *_: object) -> SweepResult:
        """Sweep once, and start exports on the task queue of this workflow.

        Any input is accepted and ignored: people start a sweep by hand.

        Raises:
            ActivityError: A part has failed, the first one that did; the others were done.
        """
        parts = [names.SWEEP_DUE, names.SWEEP_LEFT_BEHIND, names.SWEEP_EXPIRED]
        if workflow.patched(names.SWEEP_MESSAGES):
            # Before the bucket, which may be away and need all the time of a sweep.
            parts.insert(2, names.SWEEP_MESSAGES)
        failures = list[ActivityError]()
        done = dict.fromkeys([*parts, names.SWEEP_MESSAGES], SweepCount())
        for part in parts:
            try:
                done[part] = await steps.sweep(part)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                failures.append(error)
        expired = done[names.SWEEP_EXPIRED]
        result = SweepResult.of(
            due=done[names.SWEEP_DUE], left=done[names.SWEEP_LEFT_BEHIND], expired=expired
        )
        workflow.set_current_details(
            f"started {result.started}, healed {result.healed}, purged {result.purged}; "
            f"{expired.objects} orphaned objects removed, "
            f"{done[names.SWEEP_MESSAGES].changed} messages handed over"
            + (f"; the pass through the bucket {expired.bucket}" if expired.bucket else "")
        )
        if failures:
            raise failures[0]
        return result

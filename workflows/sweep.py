"""`SweepWorkflow`: what the Schedule runs every five minutes."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import SweepResult
    from workflows import steps


@workflow.defn(name=names.SWEEP_WORKFLOW)
class SweepWorkflow:
    """Starts due tasks, heals those left behind, purges expired files, hands over messages."""

    @workflow.run
    async def run(self, *_: object) -> SweepResult:
        """Sweep once, and start exports on the task queue of this workflow.

        Any input is accepted and ignored: people start a sweep by hand.
        """
        due = await steps.sweep(names.SWEEP_DUE)
        left = await steps.sweep(names.SWEEP_LEFT_BEHIND)
        expired = await steps.sweep(names.SWEEP_EXPIRED)
        told = 0
        if workflow.patched(names.SWEEP_MESSAGES):
            told = (await steps.sweep(names.SWEEP_MESSAGES)).changed
        result = SweepResult.of(due=due, left=left, expired=expired)
        workflow.set_current_details(
            f"started {result.started}, healed {result.healed}, purged {result.purged}; "
            f"{expired.objects} orphaned objects removed, {told} messages handed over"
        )
        return result

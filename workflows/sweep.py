"""`SweepWorkflow`: what the Schedule runs every five minutes."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import SweepInput, SweepResult
    from workflows import steps


@workflow.defn(name=names.SWEEP_WORKFLOW)
class SweepWorkflow:
    """Starts the tasks that are due, heals those left behind, and purges what has expired."""

    @workflow.run
    async def run(self, ask: SweepInput) -> SweepResult:
        """Sweep once."""
        due = await steps.sweep(names.SWEEP_DUE, ask)
        left = await steps.sweep(names.SWEEP_LEFT_BEHIND, ask)
        expired = await steps.sweep(names.SWEEP_EXPIRED, ask)
        result = SweepResult.of(due=due, left=left, expired=expired)
        workflow.set_current_details(
            f"started {result.started}, healed {result.healed}, purged {result.purged}; "
            f"{expired.objects} orphaned objects removed"
        )
        return result

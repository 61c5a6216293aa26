"""The sandbox in which the tests replay workflows."""

from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

# Payloads, names and policies are shared with the process, so that their classes are the same.
_RESTRICTIONS = SandboxRestrictions.default.with_passthrough_modules(
    "exports", "workflows.policies"
)


def strict_runner() -> WorkflowRunner:
    """Return the SDK's sandbox, which refuses what a replay can't repeat: clocks, chance, files."""
    return SandboxedWorkflowRunner(restrictions=_RESTRICTIONS)

"""How workflow code is kept deterministic, in the worker and in replays alike."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

_PAYLOADS = SandboxRestrictions.default.with_passthrough_modules("exports", "workflows.policies")
_ALL_OURS = SandboxRestrictions.default.with_passthrough_modules("exports", "workflows")


def sandboxed(*, strict: bool = False) -> SandboxedWorkflowRunner:
    """Return a runner that keeps what a workflow is given apart from the rest of the process.

    Args:
        strict: Load the workflow modules afresh for each run, with everything in them refused
            that a replay could not repeat. The tests replay all recorded histories so. A worker
            does not: where Python may not write byte code, as in many container images, loading
            them is a tenth of its work, and they hold no state.
    """
    return SandboxedWorkflowRunner(restrictions=_PAYLOADS if strict else _ALL_OURS)

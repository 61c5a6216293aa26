"""How workflow code is kept deterministic, in the worker and in replays alike."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

_SHARED = SandboxRestrictions.default.with_passthrough_modules("exports", "workflows.policies")


def sandboxed() -> SandboxedWorkflowRunner:
    """Return a runner that loads workflow modules afresh for each run, but not what they share.

    The payloads, the names and the policies hold no state; loading them again for each run would
    cost time and give classes that are not the same.
    """
    return SandboxedWorkflowRunner(restrictions=_SHARED)

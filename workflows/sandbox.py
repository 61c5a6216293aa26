"""How workflow code is run: freely by a worker, and in a sandbox by the tests that replay it."""

from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

_PAYLOADS = SandboxRestrictions.default.with_passthrough_modules("exports", "workflows.policies")


def workers_runner() -> WorkflowRunner:
    """Return the runner of a worker: none in between, which takes a third off its work.

    The sandbox loads the workflow modules afresh for each run (and compiles them, where Python
    may not write byte code, as in many images), and is entered for each payload. Our modules hold
    no state, and what a replay could not repeat is found by replaying: see `strict_runner`.
    """
    return UnsandboxedWorkflowRunner()


def strict_runner() -> WorkflowRunner:
    """Return the sandbox, which refuses what a replay could not repeat: clocks, chance, files.

    The payloads, the names and the policies are shared with the process, so that their classes
    are the same.
    """
    return SandboxedWorkflowRunner(restrictions=_PAYLOADS)

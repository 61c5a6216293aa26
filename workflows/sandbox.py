"""How a worker runs workflow code."""

from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner


def workers_runner() -> WorkflowRunner:
    """Return the runner of a worker, which uses no sandbox: this saves a third of its work.

    The SDK's sandbox imports the workflow modules again for each run (and compiles them, where
    Python may not write byte code, as in many images), and is entered for each payload. Our
    modules hold no state. The tests replay all recorded histories in the sandbox, which refuses
    what a replay could not repeat.
    """
    return UnsandboxedWorkflowRunner()

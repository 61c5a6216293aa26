"""What Temporal would not carry fails the run at once, instead of its workflow task for ever."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from exports.temporal.payload_size import MOST_BYTES, too_large


def refuse_too_large(size: int, what: str) -> None:
    """Fail the run if something is too large.

    Args:
        size: Of the input of a step as JSON, in bytes.
        what: What is in it, for people.

    Raises:
        ApplicationError: It is larger than Temporal takes at once.
    """
    # Runs that began under older code went on with it: their server may take more.
    if size > MOST_BYTES and workflow.patched("too-large-is-refused"):
        raise ApplicationError(too_large(what), type="E_TOO_LARGE", non_retryable=True)

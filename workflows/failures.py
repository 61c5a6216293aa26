"""Failures: how a domain error looks to Temporal, and what the document says of a failed run."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from exports.errors import ExportError, StepTimeoutError, UnexpectedError
    from workflows.policies import STEP_TIMED_OUT


def application_error(
    error: ExportError, *, final: bool | None = None, delay: timedelta | None = None
) -> ApplicationError:
    """Return a domain error as Temporal's history holds it: its code and its message, no more.

    Args:
        error: The error.
        final: Whether no further attempt is made; by default, whether the error is permanent.
        delay: When to try again; by default, as the retry policy says.
    """
    final = error.permanent if final is None else final
    return ApplicationError(
        error.msg,
        type=error.code,
        non_retryable=final,
        next_retry_delay=None if final else delay,
    )


def code_and_message(error: BaseException) -> tuple[str, str]:
    """Return the code and the message of what ended a run, for its document."""
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError) and cause.type:
        return cause.type, cause.message
    if isinstance(cause, ActivityTimeoutError):
        return StepTimeoutError.code, STEP_TIMED_OUT
    return UnexpectedError.code, "Something went wrong inside the service."


def ended_by_server(error: BaseException) -> bool:
    """Return whether the server ended an attempt of a step because its time was over."""
    return isinstance(error, ActivityError) and isinstance(error.cause, ActivityTimeoutError)

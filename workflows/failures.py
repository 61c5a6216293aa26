"""Failures: how a domain error looks to Temporal, and what the document says of a failed run."""

from contextlib import suppress
from datetime import timedelta

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from exports.errors import ExportError, StepTimeoutError, UnexpectedError
    from exports.models import AttemptBeat, Claim
    from workflows.policies import STEP_TIMED_OUT


def application_error(
    error: ExportError,
    *,
    final: bool | None = None,
    delay: timedelta | None = None,
    beat: AttemptBeat | None = None,
) -> ApplicationError:
    """Return a domain error as Temporal's history holds it: its code and its message, no more.

    Args:
        error: The error.
        final: Whether no further attempt is made; by default, whether the error is permanent.
        delay: When to try again; by default, as the retry policy says.
        beat: How far the attempt had come.
    """
    final = error.permanent if final is None else final
    return ApplicationError(
        error.msg,
        *([] if beat is None else [beat]),
        type=error.code,
        non_retryable=final,
        next_retry_delay=None if final else delay,
    )


def with_claim(error: ApplicationError, claim: Claim) -> ApplicationError:
    """Return the failure of a step that had taken the task before it failed."""
    return ApplicationError(
        error.message,
        *error.details,
        claim,
        type=error.type,
        non_retryable=error.non_retryable,
        next_retry_delay=error.next_retry_delay,
        category=error.category,
    )


def claim_in(error: ActivityError) -> Claim | None:
    """Return the claim of a step that had taken the task before it failed; None if it had not."""
    details = error.cause.details if isinstance(error.cause, ApplicationError) else ()
    for given in details:
        with suppress(ValidationError):
            return Claim.model_validate(given)
    return None


def code_and_message(error: BaseException) -> tuple[str, str]:
    """Return the code and the message of what ended a run, for its document."""
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError) and cause.type:
        return cause.type, cause.message
    if isinstance(cause, ActivityTimeoutError):
        return StepTimeoutError.code, STEP_TIMED_OUT
    return UnexpectedError.code, "Something went wrong inside the service."


def failed_attempts(cause: BaseException | None) -> int:
    """Return how many attempts at a step had failed when it ended, as its failure says.

    It says 0 if nobody knows: there are no details, or somebody sent them by hand.
    """
    if isinstance(cause, ActivityTimeoutError):
        return max(map(_retries_in, cause.last_heartbeat_details), default=0)
    if isinstance(cause, ApplicationError):
        return max(map(_retries_in, cause.details), default=0)
    return 0


def _retries_in(details: object) -> int:
    try:
        return AttemptBeat.model_validate(details).retries
    except ValidationError:
        return 0


def ended_by_server(error: BaseException) -> bool:
    """Return whether the server ended an attempt of a step because its time was over."""
    return isinstance(error, ActivityError) and isinstance(error.cause, ActivityTimeoutError)

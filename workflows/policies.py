"""Every timeout and every retry policy, by name."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from exports.errors import EncryptionKeyError

WORKER_SHUTDOWN: Final = "WorkerShutdown"
# The server matches timeouts against the non-retryable types under this name (temporalio/temporal,
# service/history/workflow/retry.go), so that a heartbeat timeout comes back to the workflow, which
# knows that a machine that went away is no failed attempt.
HEARTBEAT_TIMED_OUT: Final = "TemporalTimeout:Heartbeat"

FIRST_DELAY: Final = timedelta(seconds=2)
LONGEST_DELAY: Final = timedelta(hours=1)
BACKOFF: Final = 2.0

# What an activity says whose worker has another definition of the report than the plan.
REPORT_CHANGED: Final = "E_REPORT_CHANGED"

# Workers lost in a row during one and the same step, until the step is held to be what kills them.
MOST_WORKERS_LOST: Final = 6
# After so many, the step is tried where no other such step runs: of all that go down with one
# worker, one may be the reason, and the others must not be given up for its company.
SUSPECT_AFTER: Final = 2

# Workers of a deploy that is under way may have another definition of the report. A unit is left
# to so many of them before the export is planned anew, by the definition of the worker that does.
MOST_WORKERS_THAT_DIFFER: Final = 5
MOST_PLANS: Final = 8

# A run that has staged more parts has them looked for when it is done: their names would fill the
# history.
MOST_PARTS_NAMED: Final = 100

# An attempt whose input the worker has no key for ends with this as the cause: the SDK names the
# class that the codec raised. Some worker has the key, because it encrypted the input: a new key
# is being rolled out.
UNREADABLE: Final = EncryptionKeyError.__name__
FIRST_WAIT_FOR_KEY: Final = timedelta(seconds=5)
LONGEST_WAIT_FOR_KEY: Final = timedelta(minutes=5)
WAIT_FOR_KEY_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True)
class StepPolicy:
    """How long one attempt of an activity may take, and how long it may be silent."""

    start_to_close: timedelta
    heartbeat: timedelta = timedelta(seconds=12)


CLAIM_STEP: Final = StepPolicy(timedelta(minutes=1))
AGGREGATE_STEP: Final = StepPolicy(timedelta(minutes=30))
UPLOAD_STEP: Final = StepPolicy(timedelta(hours=2))
WRITEBACK_STEP: Final = StepPolicy(timedelta(minutes=1))
CLEANUP_STEP: Final = StepPolicy(timedelta(minutes=10))
SWEEP_STEP: Final = StepPolicy(timedelta(minutes=4))

# The last word on an export must reach its document, however long the database is away.
LAST_WORD: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=BACKOFF,
    maximum_interval=timedelta(minutes=1),
)
LAST_WORD_WITHIN: Final = timedelta(hours=6)

# What a clean-up leaves, the next sweep finds.
CLEANUP: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=BACKOFF,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=4,
)
SWEEP: Final = RetryPolicy(
    initial_interval=FIRST_DELAY, backoff_coefficient=BACKOFF, maximum_attempts=3
)


def retry_delay(failed: int) -> timedelta:
    """Return how long to wait after the n-th failed attempt: `min(1 h, 2^n s)`."""
    doublings = min(failed - 1, 12)  # 2 s doubled twelve times is more than the longest delay
    return min(LONGEST_DELAY, FIRST_DELAY * BACKOFF**doublings)


def attempts(left: int) -> RetryPolicy:
    """Return the policy of aggregate, upload and writeback.

    Args:
        left: Attempts that the task still allows; at least one is made.
    """
    return RetryPolicy(
        initial_interval=FIRST_DELAY,
        backoff_coefficient=BACKOFF,
        maximum_interval=LONGEST_DELAY,
        maximum_attempts=max(1, left),
        non_retryable_error_types=[HEARTBEAT_TIMED_OUT, WORKER_SHUTDOWN],
    )

"""Every timeout, retry policy and limit of the workflows, by name."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from exports.errors import EncryptionKeyError, ReportChangedError, StoreDiffersError
from exports.models import DEFAULT_HEARTBEAT, TaskRef

HEARTBEATS_PER_TIMEOUT: Final = 6
"""An attempt that misses this many heartbeats in a row is timed out: its worker counts as lost."""
HEARTBEAT_TIMEOUT: Final = DEFAULT_HEARTBEAT * HEARTBEATS_PER_TIMEOUT
"""The same as a time, for the steps that belong to no run that has taken its task."""

# The type of the failure of an attempt that was stopped together with its worker.
WORKER_SHUTDOWN: Final = "WorkerShutdown"
# The server matches timeouts against the non-retryable error types under this name
# (temporalio/temporal, service/history/workflow/retry.go). So a heartbeat timeout comes back to
# the workflow, which does not count it as a failed attempt.
HEARTBEAT_TIMED_OUT: Final = "TemporalTimeout:Heartbeat"
# The types of the failures of a step whose worker has another definition of the report, or another
# object store, than planned. It has done nothing, and leaves the step to other workers.
LEFT_TO_OTHERS: Final = (ReportChangedError.code, StoreDiffersError.code)
# A worker without the encryption key fails an attempt with this as the type of the cause: the SDK
# takes the name of the class that the codec raised.
UNREADABLE: Final = EncryptionKeyError.__name__

STEP_TIMED_OUT: Final = "A step of the export took longer than its time limit."
"""The message of a `StepTimeoutError`, whether the worker or the server ended the attempt."""

FIRST_DELAY: Final = timedelta(seconds=2)
LONGEST_DELAY: Final = timedelta(hours=1)
BACKOFF: Final = 2.0  # how much longer each wait is than the last one

# If this many workers in a row are lost during one step, the step counts as the cause.
MOST_WORKERS_LOST: Final = 6
# After this many, the step is a suspect: it runs where no other suspect runs. When a worker dies,
# all its steps are lost, and one of them may be the cause. The others must not fail with it.
SUSPECT_AFTER: Final = 2

# During a deploy, workers may have different definitions of a report, or different object stores. A
# step is offered to this many workers. Then the export is planned again, by the definition and with
# the store of the worker that plans it.
MOST_WORKERS_THAT_DIFFER: Final = 5
MOST_PLANS: Final = 8

# With more staged parts than this, a clean-up lists them instead: their names would fill the
# history.
MOST_PARTS_NAMED: Final = 100

# Lists of staged parts are in the history up to these sizes, in bytes of JSON: that of one unit (a
# hundred parts), and those of an export. Longer ones, and all later ones, are in the bucket.
MOST_LISTED_OF_UNIT: Final = 32 * 1024
MOST_LISTED: Final = 512 * 1024

# The server terminates a run with more than 51,200 events or 50 MB. A unit costs six events and
# some 2 KB, besides the plan in its input, and an entry of some 250 bytes, besides its prefix in
# the bucket, in the input of the upload. There is room left for lost workers.
MOST_UNITS: Final = 4000
MOST_BYTES_OF_UNITS: Final = 36_000_000
BYTES_OF_UNIT: Final = 2048
MOST_BYTES_OF_ENTRIES: Final = 1_400_000
BYTES_OF_ENTRY: Final = 250

# A worker without the encryption key is one that a new key has not reached yet: some worker has
# the key, because it encrypted the input.
FIRST_WAIT_FOR_KEY: Final = timedelta(seconds=5)
LONGEST_WAIT_FOR_KEY: Final = timedelta(minutes=5)
WAIT_FOR_KEY_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True)
class StepPolicy:
    """Time limits of one attempt of an activity.

    Attributes:
        start_to_close: Longest time of the attempt, but for the time that it waits for servers.
        heartbeat: Longest time without a heartbeat.
    """

    start_to_close: timedelta
    heartbeat: timedelta = HEARTBEAT_TIMEOUT

    def of_run(self, task: TaskRef) -> "StepPolicy":
        """Return the time limits of a step of a run, by the settings that it began with."""
        return StepPolicy(
            self.start_to_close + task.patience, task.heartbeat * HEARTBEATS_PER_TIMEOUT
        )


AGGREGATE_STEP: Final = StepPolicy(timedelta(minutes=30))
CLAIM_STEP: Final = AGGREGATE_STEP
"""It stages the rows of a small export."""
UPLOAD_STEP: Final = StepPolicy(timedelta(hours=2))
"""Without the time for the rows: see `upload_step`."""
UPLOADED_ROWS_PER_SECOND: Final = 20_000
"""The slowest format writes five times as many."""
WRITEBACK_STEP: Final = StepPolicy(timedelta(minutes=1))
CLEANUP_STEP: Final = StepPolicy(timedelta(minutes=10))
SWEEP_STEP: Final = StepPolicy(timedelta(minutes=4))

# When a message is tried again after the first attempt, as Standard Webhooks has it
# (https://www.standardwebhooks.com): each is the time after the attempt before.
DELIVERY_DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
DELIVERY_JITTER: Final = 0.1
"""By what share a delay may be longer, so that not all messages come back at once."""
DELIVER_STEP: Final = StepPolicy(timedelta(minutes=2))
# What keeps this service from making an attempt is no attempt, until it takes this long.
DELIVER: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=BACKOFF,
    maximum_interval=timedelta(minutes=1),
)
DELIVER_WITHIN: Final = timedelta(hours=24)

# How a failed or cancelled export ended must reach its document, even if the database is away for
# hours.
LAST_WORD: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=BACKOFF,
    maximum_interval=timedelta(minutes=1),
)
LAST_WORD_WITHIN: Final = timedelta(hours=6)

# The next sweep removes what a clean-up could not.
CLEANUP: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=BACKOFF,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=4,
)
SWEEP: Final = RetryPolicy(
    initial_interval=FIRST_DELAY, backoff_coefficient=BACKOFF, maximum_attempts=3
)


def upload_step(rows: int) -> StepPolicy:
    """Return the time limits of the upload of a file with so many rows."""
    longer = timedelta(seconds=rows // UPLOADED_ROWS_PER_SECOND)
    return replace(UPLOAD_STEP, start_to_close=UPLOAD_STEP.start_to_close + longer)


def retry_delay(failed: int) -> timedelta:
    """Return how long to wait after the n-th failed attempt: `min(1 h, 2^n s)`."""
    doublings = min(failed - 1, 12)  # 2 s doubled twelve times is more than the longest delay
    return min(LONGEST_DELAY, FIRST_DELAY * BACKOFF**doublings)


def attempts(left: int) -> RetryPolicy:
    """Return the retry policy of claim, aggregate, upload and writeback.

    Args:
        left: Attempts that the task still allows; at least one is made.
    """
    return RetryPolicy(
        initial_interval=FIRST_DELAY,
        backoff_coefficient=BACKOFF,
        maximum_interval=LONGEST_DELAY,
        maximum_attempts=max(1, left),
        non_retryable_error_types=[HEARTBEAT_TIMED_OUT, WORKER_SHUTDOWN, *LEFT_TO_OTHERS],
    )

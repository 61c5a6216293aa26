"""Every id, key, queue and search-attribute name is built here, and nowhere else."""

import hashlib
import json
import re
import secrets
from typing import Final
from urllib.parse import quote

from exports.errors import RequestError

TASKS_COLLECTION: Final = "ExportTasks"
DEFAULT_TASK_QUEUE: Final = "exports"

EXPORT_WORKFLOW: Final = "ExportWorkflow"
SWEEP_WORKFLOW: Final = "SweepWorkflow"
CANCEL_SIGNAL: Final = "cancel"

CLAIM: Final = "claim"
AGGREGATE: Final = "aggregate"
UPLOAD: Final = "upload"
WRITEBACK_DONE: Final = "writeback-done"
WRITEBACK_FAILED: Final = "writeback-failed"
WRITEBACK_CANCELLED: Final = "writeback-cancelled"
DISCARD: Final = "discard"
CLOSE_AS_CANCELED: Final = "close-as-canceled"
SWEEP_DUE: Final = "sweep-due"
SWEEP_LEFT_BEHIND: Final = "sweep-left-behind"
SWEEP_EXPIRED: Final = "sweep-expired"

SEARCH_TYPE: Final = "ExportType"
SEARCH_STATUS: Final = "ExportStatus"
SEARCH_FORMAT: Final = "ExportFormat"
SEARCH_CREATED_BY: Final = "ExportCreatedBy"
SEARCH_ATTRIBUTES: Final = (SEARCH_TYPE, SEARCH_STATUS, SEARCH_FORMAT, SEARCH_CREATED_BY)

# Where a change of a task came from, in its audit record; a worker has its Temporal identity there.
FROM_CLIENT: Final = "client"
FROM_CLI: Final = "cli"
FROM_ENVELOPE: Final = "envelope"
FROM_TEMPORAL: Final = "temporal"

STAGING: Final = "staging/"
FILES: Final = "files/"

MAX_TASK_ID_LENGTH: Final = 200
MAX_CREATED_BY_LENGTH: Final = 200
MAX_IDEMPOTENCY_KEY_LENGTH: Final = 200
_OBJECT_ID_BYTES: Final = 12
_WORKFLOW_PREFIX: Final = "export-"
# S3 allows keys of 1,024 bytes, but stores on a file system 255 between two slashes.
_LONGEST_SEGMENT: Final = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def workflow_id(task_id: str) -> str:
    """Return the id of the workflow that runs a task: one id, so one open run, per task."""
    return f"{_WORKFLOW_PREFIX}{task_id}"


def task_id_of(workflow: str) -> str:
    """Return the task that a workflow id stands for, also for an id that someone made up."""
    return workflow.removeprefix(_WORKFLOW_PREFIX)


def check_task_id(task_id: str) -> str:
    """Return `task_id` if a workflow id and an object key can be made of it.

    Raises:
        RequestError: It is empty, too long as it is or quoted, or has control characters.
    """
    if (
        not task_id
        or len(_quoted(task_id)) > _LONGEST_SEGMENT
        or len(task_id) > MAX_TASK_ID_LENGTH
        or _CONTROL.search(task_id)
    ):
        raise RequestError(
            f"A task id has 1 to {MAX_TASK_ID_LENGTH} characters, no control characters, and "
            f"at most {_LONGEST_SEGMENT} when it is percent-encoded."
        )
    return task_id


def task_id_for(task_queue: str, created_by: str, idempotency_key: str) -> str:
    """Return the id of the one task that a person can have under an idempotency key.

    Args:
        task_queue: Of the installation: others may share its Temporal namespace, where workflows
            of the same id would be in each other's way.
        created_by: The person.
        idempotency_key: What the person chose.

    Returns:
        24 hexadecimal digits, as an ObjectId has: 96 bits of SHA-256, so that two keys never meet.
    """
    named = json.dumps([task_queue, created_by, idempotency_key]).encode()
    return hashlib.sha256(named).digest()[:_OBJECT_ID_BYTES].hex()


def is_text(text: str) -> bool:
    """Return whether a text can be written in UTF-8: half a character of JSON's can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(text: str, what: str) -> str:
    """Return `text` if a server can be told it.

    Args:
        text: What somebody typed or sent.
        what: What it is, for people.

    Raises:
        RequestError: It can't be written in UTF-8.
    """
    if not is_text(text):
        raise RequestError(f"{what} is not text in UTF-8.")
    return text


def bulk_task_queue(task_queue: str) -> str:
    """Return the queue of those steps that may take long, which small exports do not wait for."""
    return f"{task_queue}-bulk"


def suspect_task_queue(task_queue: str) -> str:
    """Return the queue of those steps that may be what takes their workers with them."""
    return f"{task_queue}-suspects"


def schedule_id(task_queue: str) -> str:
    """Return the id of the Schedule that sweeps for the workers of a task queue."""
    return f"{task_queue}-sweep"


def sweep_workflow_id(task_queue: str) -> str:
    """Return the id of the workflows that the Schedule starts (it appends the time)."""
    return f"{task_queue}-sweep-run"


def run_prefix(root: str, task_id: str, run_id: str) -> str:
    """Return the prefix under which one run keeps its objects.

    Args:
        root: `STAGING` or `FILES`.
        task_id: The task; quoted, because other systems choose the ids of their documents.
        run_id: Temporal's run id, so that a zombie of another run never meets these keys.
    """
    return f"{root}{_quoted(task_id)}/{run_id}/"


def staged_part_key(task_id: str, run_id: str, *, unit: str, attempt: str, index: int) -> str:
    """Return a new key for one staged part of one attempt at one unit, not to be guessed."""
    part = f"part-{index:05d}-{_token()}.arrow"
    return f"{run_prefix(STAGING, task_id, run_id)}{unit}/{attempt}/{part}"


def file_key(task_id: str, run_id: str, *, attempt: str, extension: str) -> str:
    """Return a new key for a finished file: unique to the attempt, and not to be guessed."""
    return f"{run_prefix(FILES, task_id, run_id)}{attempt}-{_token()}/export.{extension}"


def owner_of_key(key: str) -> tuple[str, str] | None:
    """Return the (quoted task id, run id) that an object key belongs to.

    Returns:
        None for a key that no run of this service writes.
    """
    root, _, rest = key.partition("/")
    if f"{root}/" not in (STAGING, FILES):
        return None
    task, _, rest = rest.partition("/")
    run, slash, _ = rest.partition("/")
    return (task, run) if task and run and slash else None


def _token() -> str:
    """Return 128 random bits, so that whoever knows all ids of a task knows none of its keys."""
    return secrets.token_hex(16)


def _quoted(task_id: str) -> str:
    # `.` and `..` are steps in a path: on its way, one would turn a key into another.
    return quote(task_id, safe="") if task_id.strip(".") else task_id.replace(".", "%2E")

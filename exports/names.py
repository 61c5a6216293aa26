"""The names of everything: ids, object keys, task queues, activities, search attributes.

No other module builds such a name.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote

from exports.characters import can_mislead, is_blank
from exports.errors import RequestError

TASKS_COLLECTION: Final = "ExportTasks"
TOKENS_COLLECTION: Final = "ExportTokens"
PEOPLE_COLLECTION: Final = "ExportPeople"
WEBHOOKS_COLLECTION: Final = "ExportWebhooks"
DELIVERIES_COLLECTION: Final = "ExportDeliveries"
WECHAT_GRANTS_COLLECTION: Final = "ExportWechatGrants"
RECURRING_COLLECTION: Final = "ExportRecurring"
WATCH_COLLECTION: Final = "ExportWatch"
DEFAULT_TASK_QUEUE: Final = "exports"

EXPORT_WORKFLOW: Final = "ExportWorkflow"
SWEEP_WORKFLOW: Final = "SweepWorkflow"
DELIVERY_WORKFLOW: Final = "DeliveryWorkflow"
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
SWEEP_MESSAGES: Final = "sweep-messages"
DELIVER: Final = "deliver"
RECORD_DELIVERY: Final = "record-delivery"

SEARCH_TYPE: Final = "ExportType"
SEARCH_STATUS: Final = "ExportStatus"
SEARCH_FORMAT: Final = "ExportFormat"
SEARCH_CREATED_BY: Final = "ExportCreatedBy"
SEARCH_ATTRIBUTES: Final = (SEARCH_TYPE, SEARCH_STATUS, SEARCH_FORMAT, SEARCH_CREATED_BY)

# The origins of changes in the audit record of a task. That of a worker is its Temporal identity.
FROM_CLIENT: Final = "client"
FROM_CLI: Final = "cli"
FROM_ENVELOPE: Final = "envelope"
FROM_API: Final = "api"
FROM_TEMPORAL: Final = "temporal"

STAGING: Final = "staging/"
FILES: Final = "files/"

MAX_TASK_ID_LENGTH: Final = 200  # characters, like the next two
MAX_CREATED_BY_LENGTH: Final = 200
MAX_IDEMPOTENCY_KEY_LENGTH: Final = 200
_OBJECT_ID_BYTES: Final = 12
_DIGITS: Final = 32  # hexadecimal: 128 bits, so that no two digests are equal by chance
_WORKFLOW_PREFIX: Final = "export-"
# S3 allows keys of 1,024 bytes, but stores that use a file system allow 255 between two slashes.
_MAX_SEGMENT_BYTES: Final = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What `staged_part_key`, `part_list_key`, `file_key` and `preview_key` build. A bucket may hold
# other things with similar keys.
_OWNER = r"(?P<task>[^/]+)/(?P<run>[^/]+)"
_PART_KEY = re.compile(
    rf"{STAGING}{_OWNER}/.+/(?:part-[0-9]{{5,}}-[0-9a-f]{{32}}\.arrow|parts-[0-9a-f]{{32}}\.json)"
)
_OF_ATTEMPT = rf"{FILES}{_OWNER}/[^/]+-[0-9a-f]{{32}}"
_FILE_KEY = re.compile(rf"{_OF_ATTEMPT}/export\.[^/]+")
_PREVIEW_KEY = re.compile(rf"{_OF_ATTEMPT}/preview\.json")


def workflow_id(task_id: str) -> str:
    """Return the id of a task's workflow. Temporal allows one open run per id, so per task."""
    return f"{_WORKFLOW_PREFIX}{task_id}"


def task_id_of(workflow: str) -> str:
    """Return the task id of a workflow id, with or without the prefix `export-`."""
    return workflow.removeprefix(_WORKFLOW_PREFIX)


def check_task_id(task_id: str) -> str:
    """Return `task_id` if it can be part of a workflow id and of an object key.

    Raises:
        RequestError: It is empty, too long (as it is, or percent-encoded), or has control
            characters.
    """
    if (
        not task_id
        or len(_quoted(task_id)) > _MAX_SEGMENT_BYTES
        or len(task_id) > MAX_TASK_ID_LENGTH
        or _CONTROL.search(task_id)
    ):
        raise RequestError(
            f"A task id must have 1 to {MAX_TASK_ID_LENGTH} characters, at most "
            f"{_MAX_SEGMENT_BYTES} when it is percent-encoded, and no control characters."
        )
    return task_id


def task_id_for(task_queue: str, created_by: str, idempotency_key: str) -> str:
    """Return the id of the task that belongs to a person and an idempotency key.

    Args:
        task_queue: Task queue of the installation. Other installations may use the same Temporal
            namespace, and their workflows must have other ids.
        created_by: The person.
        idempotency_key: The key that the person chose.

    Returns:
        24 hexadecimal digits, as many as an ObjectId has: the first 96 bits of a SHA-256 hash, so
        a collision is practically impossible.
    """
    named = json.dumps([task_queue, created_by, idempotency_key]).encode()
    return hashlib.sha256(named).digest()[:_OBJECT_ID_BYTES].hex()


def check_idempotency_key(key: str) -> str:
    """Return `key` if it can be an idempotency key.

    Raises:
        RequestError: It is empty, too long or not valid text.
    """
    check_text(key, "The idempotency key")
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH:
        raise RequestError(
            f"An idempotency key must have 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} characters."
        )
    return key


def recurring_id_for(task_queue: str, created_by: str, idempotency_key: str) -> str:
    """Return the id of the recurring export that belongs to a person and an idempotency key.

    The arguments are those of `task_id_for`.
    """
    named = json.dumps([task_queue, created_by, "recurring", idempotency_key]).encode()
    return hashlib.sha256(named).digest()[:_OBJECT_ID_BYTES].hex()


def recurring_task_id(recurring_id: str, planned_for: datetime) -> str:
    """Return the id of the export that a recurring export makes for a time, in UTC.

    Temporal appends the time to the workflow id that a Schedule has.
    """
    return f"{recurring_id}-{planned_for:%Y-%m-%dT%H:%M:%SZ}"


def trigger_key(recurring_id: str, idempotency_key: str) -> str:
    """Return what stands for the idempotency key of a trigger of a recurring export."""
    return _digest(recurring_id, idempotency_key)


def person_key(created_by: str) -> str:
    """Return a short text that stands for a person where names may be long or odd."""
    return _digest(created_by)


def join_key(
    *,
    created_by: str,
    type: str,  # noqa: A002 -- the field's name everywhere
    params: Mapping[str, object],
    format: str,  # noqa: A002 -- same
    definition: str,
) -> str:
    """Return what is equal for two requests of the same export.

    Args:
        created_by: The person.
        type: Name of the report.
        params: Its parameters in normal form.
        format: Name of the file format.
        definition: Fingerprint of the report.
    """
    content = json.dumps(params, sort_keys=True)
    return _digest(created_by, type, content, format, definition)


def wechat_grant_id(uid: str, template_id: str, key: str) -> str:
    """Return the id of the grant that belongs to a person, a template and a key they chose."""
    return _digest(uid, template_id, key)


def slots_prefix(created_by: str, day: str = "") -> str:
    """Return how all quota slots of a person begin.

    Args:
        created_by: The person.
        day: A day in UTC, `2026-10-01`; empty for the slots of exports that have not ended.
    """
    return f"{person_key(created_by)}:{day}:"


def slot(prefix: str, report: str | None, number: int) -> str:
    """Return a quota slot: only one task can hold it.

    Args:
        prefix: That of a person: see `slots_prefix`.
        report: The report that is limited; None for the limit of all reports together.
        number: Which of the slots, from 0.
    """
    return f"{prefix}{'' if report is None else _digest(report)}:{number}"


def is_text(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8. A lone surrogate, as in JSON, can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(text: str, what: str) -> str:
    """Return `text` if it can be encoded as UTF-8, so that it can be sent to a server.

    Args:
        text: The input of a person or a client.
        what: The name of the input, for the message.

    Raises:
        RequestError: It can't be encoded.
    """
    if not is_text(text):
        raise RequestError(f"{what} is not valid UTF-8 text.")
    return text


def check_uid(uid: str) -> str:
    """Return `uid` if it can be the name of a person who asks: see `createdBy`.

    Raises:
        RequestError: It is blank or too long, or has a character that can mislead.
    """
    if is_blank(uid) or len(uid) > MAX_CREATED_BY_LENGTH or any(map(can_mislead, uid)):
        raise RequestError(
            f"The name of a person must have 1 to {MAX_CREATED_BY_LENGTH} visible characters."
        )
    return uid


def message_id(task_id: str, event: str, occasion: str) -> str:
    """Return the id of a message about a task.

    Args:
        task_id: The task.
        event: What it tells of.
        occasion: The run that it happened to, or else when it happened: an export that was asked
            for again can fail twice.
    """
    return _digest(task_id, event, occasion)


def delivery_id(message: str, channel: str, address: str) -> str:
    """Return the id of the delivery of a message, by its id, to an address, by its id."""
    return _digest(message, channel, address)


def delivery_workflow_id(delivery: str) -> str:
    """Return the id of the workflow of a delivery, so that one runs however many try to start it.

    Args:
        delivery: See `delivery_id`.
    """
    return f"delivery-{delivery}"


def new_webhook_id() -> str:
    """Return a new id of a webhook: `wh_…`. It can't be guessed."""
    return f"wh_{_token()}"


def webhook_slot(uid: str, number: int) -> str:
    """Return a person's place for a webhook: only one webhook can hold it.

    Args:
        uid: The person.
        number: Which of the places, from 0.
    """
    return f"{person_key(uid)}:{number}"


def webhook_address(uid: str, url: str) -> str:
    """Return what is equal for two webhooks of the same person with the same address."""
    return _digest(uid, url)


def webhook_disabled_id(webhook_id: str, at: int) -> str:
    """Return the id of the message that a webhook was switched off at a time (epoch ms)."""
    return f"{webhook_id}-disabled-{at}"


def bulk_task_queue(task_queue: str) -> str:
    """Return the task queue of long activities, so that small exports do not wait for them."""
    return f"{task_queue}-bulk"


def suspect_task_queue(task_queue: str) -> str:
    """Return the task queue of activities that may have crashed their workers."""
    return f"{task_queue}-suspects"


def messages_task_queue(task_queue: str) -> str:
    """Return the task queue of deliveries, so that a slow receiver does not hold up exports."""
    return f"{task_queue}-messages"


def doctor_task_queue(task_queue: str) -> str:
    """Return the task queue that nobody but the doctor polls, to learn Temporal's time."""
    return f"{task_queue}-doctor"


def schedule_id(task_queue: str) -> str:
    """Return the id of the Schedule that sweeps for a task queue."""
    return f"{task_queue}-sweep"


def sweep_workflow_id(task_queue: str) -> str:
    """Return the workflow id of the Schedule's runs, to which Temporal appends the time."""
    return f"{task_queue}-sweep-run"


def in_path(task_id: str) -> str:
    """Return a task id as one segment of the path of an address."""
    return _quoted(task_id)


def recurring_schedule_id(task_queue: str, recurring_id: str) -> str:
    """Return the id of the Schedule of a recurring export."""
    return f"{task_queue}-recurring-{recurring_id}"


def run_prefix(root: str, task_id: str, run_id: str) -> str:
    """Return the prefix of all object keys of one run.

    Args:
        root: `STAGING` or `FILES`.
        task_id: The task. It is percent-encoded, because other systems choose ids of their own.
        run_id: Temporal's run id, so that an attempt of another run never writes to these keys.
    """
    return f"{root}{_quoted(task_id)}/{run_id}/"


def bucket_pass_id(store: Mapping[str, str]) -> str:
    """Return the id of what is stored of the passes through a bucket.

    Args:
        store: The fingerprint of the bucket.
    """
    return f"bucket-{_digest(json.dumps(store, sort_keys=True))}"


def new_probe_id() -> str:
    """Return what stands for the task in the keys of a probe of the bucket. It can't be guessed."""
    return f"probe-{_token()}"


def staged_part_key(task_id: str, run_id: str, *, unit: str, attempt: str, index: int) -> str:
    """Return a new key for a staged part of one attempt at one unit. It can't be guessed."""
    part = f"part-{index:05d}-{_token()}.arrow"
    return f"{run_prefix(STAGING, task_id, run_id)}{unit}/{attempt}/{part}"


def part_list_key(task_id: str, run_id: str, *, unit: str, attempt: str) -> str:
    """Return a new key for the list of the staged parts of one attempt at one unit."""
    return f"{run_prefix(STAGING, task_id, run_id)}{unit}/{attempt}/parts-{_token()}.json"


def file_key(task_id: str, run_id: str, *, attempt: str, extension: str) -> str:
    """Return a new key for a finished file of one attempt. It can't be guessed."""
    return f"{run_prefix(FILES, task_id, run_id)}{attempt}-{_token()}/export.{extension}"


def preview_key(file: str) -> str:
    """Return the key of the preview of a finished file: it is beside the file."""
    return f"{file.rpartition('/')[0]}/preview.json"


def owner_of_key(key: str) -> tuple[str, str] | None:
    """Return the task id and the run id of an object key.

    Returns:
        None if the key is not built like those of this service.
    """
    return _owner(
        _PART_KEY.fullmatch(key) or _FILE_KEY.fullmatch(key) or _PREVIEW_KEY.fullmatch(key)
    )


def _owner(found: re.Match[str] | None) -> tuple[str, str] | None:
    if found is None:
        return None
    task_id = unquote(found["task"])
    return (task_id, found["run"]) if _quoted(task_id) == found["task"] else None


def is_file_key(key: str, task_id: str, run_id: str) -> bool:
    """Return whether a key is one that `file_key` builds for this task and this run."""
    return _owner(_FILE_KEY.fullmatch(key)) == (task_id, run_id)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _token() -> str:
    """Return 128 random bits, so that knowing the ids of a task is not enough to know its keys."""
    return secrets.token_hex(16)


def _quoted(task_id: str) -> str:
    # HTTP clients resolve the path segments `.` and `..`, which would change the key.
    return quote(task_id, safe="") if task_id.strip(".") else task_id.replace(".", "%2E")

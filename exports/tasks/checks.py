"""What a task must hold so that it can be run. Whatever does not is refused, with its field."""

from collections.abc import Mapping
from typing import Annotated

from bson import ObjectId
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from exports import names
from exports.clock import LAST_MS, MAX_SKEW_MS
from exports.errors import RequestError, TaskInvalidError, explain
from exports.models import DEFAULT_MAX_RETRIES, MAX_RETRIES, ExportRequest
from exports.tasks.task import ExportTask

Document = Mapping[str, object]


def check_takable(document: Document, now: int) -> None:
    """Check what would keep every run from taking a task: the sweep does not start its workflow.

    Args:
        document: The task.
        now: The present (epoch milliseconds).

    Raises:
        TaskInvalidError: A field has a value that is not valid; says which.
    """
    task_id = document["_id"]
    if not isinstance(task_id, ObjectId | str):
        raise TaskInvalidError("The _id of a task must be an ObjectId or a string.")
    try:
        names.check_task_id(str(task_id))
    except RequestError as error:
        raise TaskInvalidError(f"The _id of the task is not valid: {error.msg}") from None
    workflow, run = document.get("workflowId"), document.get("runId")
    if workflow is not None and ExportTask.from_document(document).workflow_id is None:
        raise TaskInvalidError(
            "The workflowId of the task must be export- and its _id, or the _id."
        )
    if not isinstance(run, str | None):
        raise TaskInvalidError("The runId of the task must be a text.")
    started, due = document.get("runStartedAt"), document.get("nextRunAt")
    if not (started is None or _is_number_up_to(now + MAX_SKEW_MS, started)):
        raise TaskInvalidError("The runStartedAt of the task must be a time in the past.")
    # Anything else that is not a time is as good as none: the task is due.
    if isinstance(due, list) or (isinstance(due, int | float) and due > LAST_MS):
        raise TaskInvalidError(
            "The nextRunAt of the task must be one time: epoch milliseconds, or a date."
        )


def _is_number_up_to(most: int, value: object) -> bool:
    return isinstance(value, int | float) and value <= most  # NaN is not


def _only_number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 -- pydantic's way to refuse a value
    return value


_Count = Annotated[int, BeforeValidator(_only_number), Field(ge=0, le=MAX_RETRIES)]


class _Runnable(ExportRequest):
    model_config = ConfigDict(extra="ignore")

    max_retries: _Count = DEFAULT_MAX_RETRIES
    retries: _Count = 0


def runnable(document: Document) -> tuple[ExportRequest, int]:
    """Return what a task asks for, and how many failed attempts it allows.

    Args:
        document: The task, which a run has taken.

    Raises:
        TaskInvalidError: A field is missing or has a value that is not valid; says which.
    """
    known = ("type", "params", "createdBy", "format", "maxRetries", "retries")
    values = {key: document[key] for key in known if document.get(key) is not None}
    try:
        found = _Runnable.model_validate(values)
    except ValidationError as error:
        raise TaskInvalidError(f"The stored task can't be run: {explain(error)}.") from None
    request = ExportRequest(
        type=found.type, params=found.params, created_by=found.created_by, format=found.format
    )
    return request, max(1, found.max_retries)

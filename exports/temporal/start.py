"""How every part of this service starts an export: always the same way, at most once."""

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from exports import names
from exports.models import ExportRequest, TaskStatus

# Temporal's limit, in bytes: https://docs.temporal.io/develop/task-queue-priority-fairness
_LONGEST_FAIRNESS_KEY = 64
# Temporal takes 400 bytes of encoded payload: limit.userMetadataSummarySize of its dynamic config.
_LONGEST_SUMMARY = 200


async def start_export(
    temporal: Client,
    request: ExportRequest,
    *,
    task_queue: str,
    workflow_id: str | None = None,
) -> bool:
    """Start the workflow of a stored task, unless it is open.

    Args:
        temporal: The client.
        request: Names the task.
        task_queue: Where its workers listen.
        workflow_id: The id that the task's document holds, if it holds one.

    Returns:
        Whether this call started it.
    """
    task_id = request.task_id or ""
    try:
        await temporal.start_workflow(
            names.EXPORT_WORKFLOW,
            request,
            id=workflow_id or names.workflow_id(task_id),
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=summary_of(request),
            # Servers that have fairness switched on serve the users in turn.
            priority=Priority(fairness_key=_short(request.created_by, _LONGEST_FAIRNESS_KEY)),
            search_attributes=_attributes(request),
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


def summary_of(request: ExportRequest) -> str:
    """Return an export in a few words, for lists of workflows: `statsMonthly 2026-10 for u1`."""
    period = "-".join(
        f"{value:02}" if isinstance(value, int) else value
        for value in request.params.values()
        if isinstance(value, int | str)
    )
    text = " ".join(filter(None, (request.type, period, "for", request.created_by)))
    return _short(text, _LONGEST_SUMMARY)


def _short(text: str, most: int) -> str:
    """Return as much of a text as fits into so many bytes."""
    return text.encode()[:most].decode(errors="ignore")


def _attributes(request: ExportRequest) -> TypedSearchAttributes:
    texts = {
        names.SEARCH_TYPE: request.type,
        names.SEARCH_STATUS: TaskStatus.RUNNING.value,
        names.SEARCH_FORMAT: request.format,
        names.SEARCH_CREATED_BY: request.created_by,
    }
    return TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), text)
            for name, text in texts.items()
        ]
    )

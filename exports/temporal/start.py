"""Starts the workflow of an export: one way for all callers, and one open run for each task."""

import asyncio
from functools import partial
from typing import Final

from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.errors import TaskInvalidError
from exports.models import ExportRequest, TaskStatus
from exports.temporal.search_attributes import with_known_attributes

_NOT_FOUND_PAUSE: Final = 1.0
"""Seconds until a start that was answered with NOT_FOUND is repeated."""
_MAX_SUMMARY: Final = 200
"""Bytes of a summary. Temporal's limit is 400 after encoding (`limit.userMetadataSummarySize`)."""


async def start_export(
    temporal: Client,
    request: ExportRequest,
    *,
    task_queue: str,
    workflow_id: str | None = None,
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE,
) -> bool:
    """Start the workflow of a stored task, unless it is open.

    Args:
        temporal: The client.
        request: Names the task.
        task_queue: The queue of its workers.
        workflow_id: The id in the task's document, if there is one.
        reuse: Whether it is started again if an earlier run has ended.

    Returns:
        Whether this call started it.

    Raises:
        TaskInvalidError: The id in the document is that of another workflow.
        RPCError: Temporal did not start it.
    """
    if workflow_id and workflow_id != names.workflow_id(request.task_id or ""):
        await describe_export(temporal, workflow_id)
    start = partial(
        _start,
        temporal,
        request,
        task_queue=task_queue,
        workflow_id=workflow_id or names.workflow_id(request.task_id or ""),
        reuse=reuse,
    )
    try:
        return await start()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    # An overloaded server may answer so for a moment, although its namespace is there. The SDK
    # does not repeat such a request, and the next sweep may be minutes away.
    await asyncio.sleep(_NOT_FOUND_PAUSE)
    return await start()


async def describe_export(
    temporal: Client, workflow_id: str
) -> WorkflowExecutionDescription | None:
    """Describe the latest run of a workflow that a task's document names; None if there is none.

    Whoever writes a document chooses its ids, which may be those of other services' workflows.

    Raises:
        TaskInvalidError: It is not an export.
        RPCError: Temporal gave no answer.
    """
    try:
        found = await temporal.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    if found.workflow_type != names.EXPORT_WORKFLOW:
        raise TaskInvalidError(
            "The workflowId of the task must not be that of a workflow that is not an export."
        )
    return found


async def accepts_exports(temporal: Client, *, task_queue: str, used_id: str) -> bool:
    """Return whether Temporal accepts the start of an export as such; nothing is started.

    Temporal checks a request before it looks for other workflows with the same id. So a valid
    request with a used id is answered with "already started".

    Args:
        temporal: The client.
        task_queue: The queue of the workers.
        used_id: The id of a workflow that exists.

    Raises:
        RPCError: Temporal gave no answer to this question.
    """
    request = ExportRequest(type="check", created_by="check")
    try:
        await _start(
            temporal,
            request,
            task_queue=task_queue,
            workflow_id=used_id,
            reuse=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
        return False
    return True


async def _start(
    temporal: Client,
    request: ExportRequest,
    *,
    task_queue: str,
    workflow_id: str,
    reuse: WorkflowIDReusePolicy,
) -> bool:
    async def start(attributes: TypedSearchAttributes) -> None:
        await temporal.start_workflow(
            names.EXPORT_WORKFLOW,
            request,
            id=workflow_id,
            task_queue=task_queue,
            id_reuse_policy=reuse,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=summary_of(request),
            priority=priority_of(request),
            search_attributes=attributes,
        )

    try:
        await with_known_attributes(start, attributes_of(request))
    except WorkflowAlreadyStartedError:
        return False
    return True


def priority_of(request: ExportRequest) -> Priority:
    """Return the key by which a server with fairness enabled serves the people in turn."""
    return Priority(fairness_key=names.person_key(request.created_by))


def summary_of(request: ExportRequest) -> str:
    """Return an export in a few words, for lists of workflows: `statsMonthly 2026-10 for u1`."""
    period = "-".join(
        f"{value:02}" if isinstance(value, int) else value
        for value in request.params.values()
        if isinstance(value, int | str) and not isinstance(value, bool)
    )
    relative = request.recurring.period if request.recurring else None
    text = " ".join(filter(None, (request.type, period, relative, "for", request.created_by)))
    return _cut(text, _MAX_SUMMARY)


def _cut(text: str, most: int) -> str:
    """Return the beginning of a text that is not longer than `most` bytes."""
    return text.encode()[:most].decode(errors="ignore")


def attributes_of(
    request: ExportRequest, status: TaskStatus | None = TaskStatus.RUNNING
) -> TypedSearchAttributes:
    """Return the search attributes of an export that is started; of a Schedule, with no status."""
    texts = {
        names.SEARCH_TYPE: request.type,
        names.SEARCH_STATUS: status,
        names.SEARCH_FORMAT: request.format,
        names.SEARCH_CREATED_BY: request.created_by,
    }
    return TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), str(text))
            for name, text in texts.items()
            if text is not None
        ]
    )

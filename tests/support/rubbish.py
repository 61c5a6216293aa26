"""What somebody with access to Temporal may send in place of anything that a workflow reads."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import (
    AsyncActivityHandle,
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities.aggregate import AggregateActivities
from activities.claim import ClaimActivities
from activities.cleanup import CleanupActivities
from activities.purge import PurgeActivities
from activities.sweep import SweepActivities
from activities.upload import UploadActivities
from activities.writeback import WritebackActivities
from exports import names
from tests.support.service import PATIENCE

Run = WorkflowHandle[Any, Any]
Step = AsyncActivityHandle

PERSONAL = "a-value-of-somebody"
"""Part of what is sent; no message may repeat it."""


def _raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


RUBBISH: dict[str, object] = {
    "an object": {"name": PERSONAL},
    "a text": PERSONAL,
    "a number": 42,
    "null": None,
    "a list": [[PERSONAL]],
    "no JSON": _raw(b'{"name": ' + PERSONAL.encode()),
    "bytes": _raw(b"\xff\xfe", b"binary/plain"),
    "an unknown encoding": _raw(PERSONAL.encode(), b"foo/bar"),
    "an encoding that is no text": _raw(b"{}", b"\xff"),
    "a message of no known type": _raw(b"{}", b"json/protobuf"),
    "no encoding": RawValue(Payload(data=b"{}")),
}

_PLACES: dict[str, tuple[type, str]] = {
    names.CLAIM: (ClaimActivities, "claim"),
    names.AGGREGATE: (AggregateActivities, "aggregate"),
    names.UPLOAD: (UploadActivities, "upload"),
    names.WRITEBACK_DONE: (WritebackActivities, "done"),
    names.WRITEBACK_FAILED: (WritebackActivities, "failed"),
    names.WRITEBACK_CANCELLED: (WritebackActivities, "cancelled"),
    names.DISCARD: (CleanupActivities, "discard"),
    names.CLOSE_AS_CANCELED: (CleanupActivities, "close_as_canceled"),
    names.SWEEP_DUE: (SweepActivities, "due"),
    names.SWEEP_LEFT_BEHIND: (SweepActivities, "left_behind"),
    names.SWEEP_EXPIRED: (PurgeActivities, "expired"),
}


@contextmanager
def left_open(temporal: Client, step: str) -> Generator[Callable[[], Awaitable[Step]]]:
    """Leave a step to be completed from outside, as `temporal activity complete` does.

    Yields:
        A function that waits until a run has begun the step, and returns a handle on it.
    """
    begun = asyncio.Queue[bytes]()

    @activity.defn(name=step)
    async def leave(*_: object) -> None:
        begun.put_nowait(activity.info().task_token)
        activity.raise_complete_async()

    async def next_begun() -> Step:
        token = await asyncio.wait_for(begun.get(), PATIENCE.total_seconds())
        return temporal.get_async_activity_handle(task_token=token)

    with patch.object(*_PLACES[step], leave):
        yield next_begun


async def end_of(run: Run) -> WorkflowExecutionStatus | None:
    """Wait until a run is closed and return how; fail if a workflow task fails before.

    A failed workflow task is tried again for ever, so that such a run would never close.
    """
    # A signal that arrives during a workflow task; the task is run again at once.
    harmless = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    async for event in run.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            assert failed.cause == harmless, failed
    return (await run.describe()).status


async def code_of(run: Run) -> str | None:
    """Wait until a run has failed and return its code; its message is short and repeats nothing."""
    assert await end_of(run) is WorkflowExecutionStatus.FAILED
    with pytest.raises(WorkflowFailureError) as closed:
        await run.result()
    cause = closed.value.cause
    assert isinstance(cause, ApplicationError)
    assert PERSONAL not in cause.message
    assert len(cause.message) < 300
    return cause.type

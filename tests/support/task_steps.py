"""A task and what a run does to it, for the tests of its store."""

from collections.abc import Awaitable, Callable
from typing import Any

from exports.models import (
    AttemptBeat,
    Author,
    AuthorRole,
    ExportRequest,
    ExportResult,
    FinishedFile,
    Stage,
    TaskRef,
    TaskStatus,
)
from exports.tasks.store import TaskStore
from exports.tasks.task import TaskError

Transition = Callable[[TaskStore, TaskRef], Awaitable[object]]

REQUEST = ExportRequest(type="statsMonthly", params={"year": 2026, "month": 10}, created_by="u1")
ME = TaskRef(task_id="t1", workflow_id="export-t1", run_id="run-1")
LATER = ME.model_copy(update={"run_id": "run-2"})
NOBODY = ME.model_copy(update={"task_id": "none"})
FILE = FinishedFile(
    key="files/t1/run-1/a/export.csv", file_name="a.csv", rows=3, bytes=30, sha256="ab"
)
SWEEP = Author(role=AuthorRole.SWEEP, origin="1@host")
WHY = TaskError(code="E_STORE", msg="The object store is away.")
ENDED = [TaskStatus.DONE, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED]


def done(store: TaskStore, ref: TaskRef, url: str = "https://1") -> Awaitable[ExportResult]:
    return store.done(ref, FILE, url=url, expires_at=1000, purge_at=2000)


TRANSITIONS: dict[str, Transition] = {
    "attempt started": lambda store, ref: store.attempt_started(
        ref, AttemptBeat(stage=Stage.UPLOAD)
    ),
    "progress": lambda store, ref: store.progress(ref, AttemptBeat(stage=Stage.UPLOAD, rows=9)),
    "attempt failed": lambda store, ref: store.attempt_failed(
        ref, WHY, retries=1, next_run_at=5000
    ),
    "last attempt failed": lambda store, ref: store.attempt_failed(
        ref, WHY, retries=3, next_run_at=None
    ),
    "done": done,
    "failed": lambda store, ref: store.failed(ref, WHY),
    "cancelled": lambda store, ref: store.cancelled(ref, "enough"),
}


async def insert(collection: Any, **fields: Any) -> dict[str, Any]:
    document = {
        "_id": "t1",
        "type": "statsMonthly",
        "params": {"year": 2026, "month": 10},
        "status": "pending",
        "createdBy": "u1",
        "createdAt": 1,
        **fields,
    }
    await collection.insert_one(document)
    return document


async def claimed(store: TaskStore, collection: Any, ref: TaskRef = ME) -> dict[str, Any]:
    await insert(collection)
    assert await store.claim(ref, run_started_at=100) is not None
    document: dict[str, Any] = await collection.find_one({})
    return document

"""A task, and the changes that a run makes to it, for the tests of `exports.tasks`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from exports.models import (
    DEFAULT_TASKS_KEPT,
    AttemptBeat,
    ExportRequest,
    FinishedFile,
    Stage,
    TaskRef,
    TaskStatus,
)
from exports.names import file_key
from exports.tables.warnings import TEXT_CUT, TaskWarning
from exports.tasks.asking import AskingStore
from exports.tasks.collection import TaskCollection
from exports.tasks.store import TaskStore
from exports.tasks.sweep import SweepStore
from exports.tasks.task import TaskError
from exports.tasks.transitions import Done, RunTransitions

Transition = Callable[[RunTransitions, TaskRef], Awaitable[object]]

REQUEST = ExportRequest(type="statsMonthly", params={"year": 2026, "month": 10}, created_by="u1")
ME = TaskRef(task_id="t1", workflow_id="export-t1", run_id="run-1")
LATER = ME.model_copy(update={"run_id": "run-2"})
NOBODY = ME.model_copy(update={"task_id": "none"})
FILE = FinishedFile(
    key=file_key("t1", "run-1", attempt="3-1", extension="csv"),
    file_name="a.csv",
    rows=3,
    bytes=30,
    sha256="ab",
    warnings=[TaskWarning(code=TEXT_CUT, column="name", count=2)],
)
WHY = TaskError(code="E_STORE", msg="The object store is away.")
ENDED = [TaskStatus.DONE, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED]


class Tasks:
    """One collection, as a run, a client and the sweep use it."""

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        origin: str = "client",
        kept: timedelta = DEFAULT_TASKS_KEPT,
    ) -> None:
        self.collection = TaskCollection(database, origin=origin, kept=kept)
        self.run = RunTransitions(self.collection)
        self.client = TaskStore(self.collection)
        self.asked = AskingStore(self.collection)
        self.sweep = SweepStore(self.collection)


def done(run: RunTransitions, ref: TaskRef, url: str = "https://1") -> Awaitable[Done]:
    return run.done(ref, FILE, url=url, expires_at=1000, purge_at=2000)


TRANSITIONS: dict[str, Transition] = {
    "planned": lambda run, ref: run.planned(ref, data_until=9000),
    "attempt started": lambda run, ref: run.attempt_started(ref, AttemptBeat(stage=Stage.UPLOAD)),
    "progress": lambda run, ref: run.progress(ref, AttemptBeat(stage=Stage.UPLOAD, rows=9)),
    "attempt failed": lambda run, ref: run.attempt_failed(ref, WHY, retries=1, next_run_at=5000),
    "last attempt failed": lambda run, ref: run.attempt_failed(
        ref, WHY, retries=3, next_run_at=None
    ),
    "done": done,
    "failed": lambda run, ref: run.failed(ref, WHY),
    "cancelled": lambda run, ref: run.cancelled(ref, "enough"),
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


async def claimed(tasks: Tasks, collection: Any, ref: TaskRef = ME) -> dict[str, Any]:
    await insert(collection)
    assert await tasks.run.claim(ref, run_started_at=100) is not None
    document: dict[str, Any] = await collection.find_one({})
    return document

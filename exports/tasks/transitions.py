"""What a run may do with its task: every write is a compare-and-set, and safe to repeat.

A run may change a task only while it owns it (`runId`) and only while the task has not ended. A
write that matches no document raises `TaskLostError`.

In a step that has patience, they wait for a database that is away: all but `progress`, which is
written again soon, and `done`, whose link would get old meanwhile.
"""

from contextlib import suppress
from typing import Final, NamedTuple

from exports import names
from exports.clock import now_ms
from exports.documents import ConflictError, Stored, read_one
from exports.errors import TaskLostError
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
from exports.runtime.outages import waits
from exports.tasks.audit import AuditAction, AuditEntry, entry
from exports.tasks.collection import (
    NOTIFY,
    OPEN,
    REMIND_AT,
    REMOVE_AT,
    TaskCollection,
    new_document,
)
from exports.tasks.outbox import REMINDER_SHARE, to_tell
from exports.tasks.task import TaskError, stored_ids

# A worker may be lost right after it wrote `done`. When the write is repeated, the sweep may have
# expired the file already.
_SEEN_AS: Final = {TaskStatus.DONE: (TaskStatus.DONE.value, TaskStatus.EXPIRED.value)}

_WAITING_FOR: Final = "progress.waitingFor"
_NAMES_NO_CHANNEL: Final[Stored] = {NOTIFY: {"$in": [None, []]}}


class Done(NamedTuple):
    """A task that is done.

    Attributes:
        result: How it ended.
        tells: Whether there may be something to tell.
    """

    result: ExportResult
    tells: bool


class RunTransitions:
    """The changes of a task that only the run that owns it makes.

    Args:
        tasks: The collection; its origin is the worker's identity.

    Raises:
        TaskLostError: By every method but the first four: the run does not own the task any more,
            or has ended it in another way.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks

    @waits
    async def find(self, task_id: str) -> Stored | None:
        """Return the document of a task of any owner; None if there is none."""
        return await self._tasks.find(task_id)

    @waits
    async def create_for_run(self, request: ExportRequest, ref: TaskRef) -> None:
        """Store the task of a workflow that was started directly, unless it exists."""
        document = new_document(request, ref.max_retries, origin=names.FROM_TEMPORAL)
        # With the workflow, so that a sweep that sees it before the claim does not start another.
        document |= {"_id": ref.task_id, "workflowId": ref.workflow_id}
        # A text that looks like the ObjectId of a stored task is the id of that task.
        same: Stored = {"_id": {"$in": stored_ids(ref.task_id)}}
        if await read_one(self._tasks.documents, same, {"_id": True}) is None:
            with suppress(ConflictError):
                async with self._tasks.operation():
                    await self._tasks.documents.insert_one(document)

    @waits
    async def claim(self, ref: TaskRef, *, run_started_at: int) -> Stored | None:
        """Make a run the owner of a task. A later run replaces an earlier one.

        Args:
            ref: The task and the run.
            run_started_at: When the run started, by Temporal's clock (epoch milliseconds).

        Returns:
            The document; None if there is no such task, or this run may not own it.
        """
        now = now_ms()
        claimable: Stored = {
            "status": {"$in": OPEN},
            "workflowId": {"$in": [None, ref.workflow_id]},
        }
        unowned_or_older: Stored = {"runStartedAt": {"$not": {"$gte": run_started_at}}}
        claimed: Stored = {
            "$set": {
                "status": TaskStatus.RUNNING.value,
                "workflowId": ref.workflow_id,
                "runId": ref.run_id,
                "runStartedAt": run_started_at,
                "progress": {"stage": Stage.AGGREGATE.value, "rows": 0, "bytes": 0},
                "updatedAt": now,
            },
            # These two keep what was stored before: the first start and the counted attempts.
            "$min": {"startedAt": now},
            "$max": {"retries": 0},
            "$unset": dict.fromkeys(("nextRunAt", "sweepStarts", "dataUntil", REMOVE_AT), ""),
        }
        # Two updates, because for an `$or` the embedded database reads all tasks. If the run owns
        # the task already, its start is in the audit record.
        is_owner = await self._tasks.update_task(
            ref.task_id,
            {**claimable, **unowned_or_older},
            claimed,
            entry(self._worker, AuditAction.STARTED, now, run=ref.run_id),
        ) or await self._tasks.update_task(ref.task_id, {**claimable, "runId": ref.run_id}, claimed)
        return await self._tasks.find(ref.task_id) if is_owner else None

    async def owns(self, ref: TaskRef) -> bool:
        """Return whether the run owns the task, and the task has not ended."""
        document = await self.find(ref.task_id)
        return (
            document is not None
            and document["status"] in OPEN
            and document.get("runId") == ref.run_id
        )

    @waits
    async def planned(self, ref: TaskRef, *, data_until: int) -> None:
        """Store that the period is not over, and when the run took the task (epoch milliseconds).

        Of several attempts to take it the latest counts, whose plan the run has.
        """
        await self._move(ref, {"$set": {}, "$max": {"dataUntil": data_until}})

    @waits
    async def attempt_started(self, ref: TaskRef, heartbeat: AttemptBeat) -> None:
        """Store that an attempt is at work, and how far it is."""
        await self._move(
            ref,
            {
                "$set": {"status": TaskStatus.RUNNING.value, **_stage(heartbeat)},
                "$max": {"progress.rows": heartbeat.rows, "progress.bytes": heartbeat.bytes},
                "$unset": {"nextRunAt": "", _WAITING_FOR: ""},
            },
        )

    async def progress(self, ref: TaskRef, heartbeat: AttemptBeat) -> None:
        """Store how far an attempt has come, and which server it waits for."""
        waits_for = heartbeat.waiting_for
        await self._move(
            ref,
            {
                "$set": _stage(heartbeat) | ({_WAITING_FOR: waits_for} if waits_for else {}),
                "$max": {"progress.rows": heartbeat.rows, "progress.bytes": heartbeat.bytes},
                **({} if waits_for else {"$unset": {_WAITING_FOR: ""}}),
            },
        )

    @waits
    async def attempt_failed(
        self, ref: TaskRef, error: TaskError, *, retries: int, next_run_at: int | None
    ) -> None:
        """Count a failed attempt.

        Args:
            ref: The task and its run.
            error: Why it failed.
            retries: Failed attempts so far. Written by `$max`, so that units that fail at the same
                time in one outage count once, and a repeated write does not count again.
            next_run_at: When the next attempt is due (epoch milliseconds); None if there is none.
        """
        change: Stored = {
            "$set": {"error": error.model_dump()},
            "$max": {"retries": min(retries, ref.max_retries)},
            "$unset": {_WAITING_FOR: ""},
        }
        if next_run_at is None:  # the audit record gets `failed` instead, from the next write
            await self._move(ref, change)
            return
        now = now_ms()
        change["$set"] |= {
            "status": TaskStatus.PENDING.value,
            "nextRunAt": next_run_at,
            "updatedAt": now,
        }
        uncounted = {**_owned(ref), "retries": {"$not": {"$gte": retries}}}
        again = entry(self._worker, AuditAction.RETRIED, now, run=ref.run_id, code=error.code)
        if not await self._tasks.update_task(ref.task_id, uncounted, change, again):
            await self._move(ref, change)

    async def done(
        self,
        ref: TaskRef,
        file: FinishedFile,
        *,
        url: str,
        expires_at: int,
        purge_at: int,
        tells_by_default: bool = True,
    ) -> Done:
        """Move a task to `done`. A repeated call keeps the link of the first one.

        Args:
            ref: The task and its run.
            file: The finished file.
            url: A link to it.
            expires_at: When the link expires (epoch milliseconds).
            purge_at: When the file is removed (epoch milliseconds).
            tells_by_default: Whether its person is told also if the task names no channel.
        """
        update, entries = self._done(ref, file, url, expires_at=expires_at, purge_at=purge_at)
        if not tells_by_default:
            silent = {key: change for key, change in update.items() if key != "$push"}
            where = {**_owned(ref), **_NAMES_NO_CHANNEL}
            if await self._tasks.update_task(ref.task_id, where, silent, *entries):
                return Done(_result(ref, TaskStatus.DONE, file), tells=False)
        result = await self._end(ref, TaskStatus.DONE, update, *entries, file=file)
        return Done(result, tells=True)

    def _done(
        self, ref: TaskRef, file: FinishedFile, url: str, *, expires_at: int, purge_at: int
    ) -> tuple[Stored, list[AuditEntry]]:
        now = now_ms()
        fields = {
            "fileName": file.file_name,
            "rows": file.rows,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "warnings": [warning.model_dump() for warning in file.warnings],
            "objectKey": file.key,
            "store": ref.store,
            "downloadUrl": url,
            "expiresAt": expires_at,
            "purgeAt": purge_at,
            REMIND_AT: purge_at - (purge_at - now) // REMINDER_SHARE,
            "progress": {
                "stage": Stage.FINISHED.value,
                "rows": file.rows,
                "bytes": file.bytes,
                "total": file.rows,
            },
        }
        # An older client or worker, which does not know `removeAt`, may have left it.
        unset = ("error", "nextRunAt", REMOVE_AT)
        return _ending(ref, TaskStatus.DONE, fields, now=now, unset=unset), [
            entry(self._worker, AuditAction.SIGNED, now, run=ref.run_id, until=expires_at),
            entry(self._worker, AuditAction.DONE, now, run=ref.run_id),
        ]

    @waits
    async def failed(self, ref: TaskRef, error: TaskError, *, retries: int = 0) -> ExportResult:
        """Move a task to `failed`.

        Args:
            ref: The task and its run.
            error: Why it failed.
            retries: Failed attempts that the workflow has counted.
        """
        now = now_ms()
        fields = {"error": error.model_dump(), **self._tasks.removal(now)}
        return await self._end(
            ref,
            TaskStatus.FAILED,
            _ending(ref, TaskStatus.FAILED, fields, now=now, retries=retries),
            entry(self._worker, AuditAction.FAILED, now, run=ref.run_id, code=error.code),
        )

    @waits
    async def cancelled(
        self, ref: TaskRef, reason: str, *, asked_by: Author | None = None
    ) -> ExportResult:
        """Move a task to `cancelled`.

        Args:
            ref: The task and its run.
            reason: Why, as the person typed it.
            asked_by: Who asked; None for somebody who used Temporal itself.
        """
        now = now_ms()
        author = asked_by or Author.person(None, origin=names.FROM_TEMPORAL)
        fields = {"cancelReason": reason, **self._tasks.removal(now)}
        unset = ("error", "nextRunAt", _WAITING_FOR)
        return await self._end(
            ref,
            TaskStatus.CANCELLED,
            _ending(ref, TaskStatus.CANCELLED, fields, now=now, unset=unset),
            entry(author, AuditAction.CANCELLED, now, run=ref.run_id),
        )

    async def _end(
        self,
        ref: TaskRef,
        status: TaskStatus,
        update: Stored,
        *entries: AuditEntry,
        file: FinishedFile | None = None,
    ) -> ExportResult:
        if not await self._tasks.update_task(ref.task_id, _owned(ref), update, *entries):
            await self._check_ended(ref, status, object_key=file.key if file else None)
        return _result(ref, status, file)

    async def _check_ended(self, ref: TaskRef, status: TaskStatus, object_key: str | None) -> None:
        """Raise `TaskLostError` unless this run has ended the task in the same way before."""
        document = await self._tasks.find(ref.task_id)
        if (
            document is None
            or document.get("runId") != ref.run_id
            or document["status"] not in _SEEN_AS.get(status, (status.value,))
            or document.get("objectKey") != object_key
        ):
            raise _lost()

    async def _move(self, ref: TaskRef, update: Stored) -> None:
        update["$set"]["updatedAt"] = now_ms()
        if not await self._tasks.update_task(ref.task_id, _owned(ref), update):
            raise _lost()

    @property
    def _worker(self) -> Author:
        return Author(role=AuthorRole.WORKER, origin=self._tasks.origin)


def _ending(
    ref: TaskRef,
    status: TaskStatus,
    fields: Stored,
    *,
    now: int,
    unset: tuple[str, ...] = ("nextRunAt", _WAITING_FOR),
    retries: int = 0,
) -> Stored:
    return {
        "$max": {"retries": min(retries, ref.max_retries)},
        "$set": {**fields, "status": status.value, "finishedAt": now, "updatedAt": now},
        "$unset": dict.fromkeys(unset, ""),
        "$push": to_tell(ref.task_id, status, now, run=ref.run_id, error=fields.get("error")),
    }


def _result(ref: TaskRef, status: TaskStatus, file: FinishedFile | None) -> ExportResult:
    ended = ExportResult(task_id=ref.task_id, status=status)
    if file is None:
        return ended
    return ended.model_copy(
        update={
            "file_name": file.file_name,
            "rows": file.rows,
            "bytes": file.bytes,
            "sha256": file.sha256,
        }
    )


def _stage(heartbeat: AttemptBeat) -> Stored:
    known = {} if heartbeat.total is None else {"progress.total": heartbeat.total}
    return {"progress.stage": heartbeat.stage.value, **known}


def _owned(ref: TaskRef) -> Stored:
    """Return the condition of every write of a run, except for `claim`."""
    return {"runId": ref.run_id, "status": {"$in": OPEN}}


def _lost() -> TaskLostError:
    return TaskLostError("The task was deleted, has ended, or belongs to another run by now.")

"""What a run does to its task: every write is a compare-and-set, safe to do twice.

A run may move a task only while it owns it (`runId`) and only while the task has not ended. A
write that matches nothing is a finding: it raises `TaskLostError`.
"""

from pymongo.errors import DuplicateKeyError

from exports.clock import now_ms
from exports.errors import (
    TaskLostError,
)
from exports.models import (
    AttemptBeat,
    ExportRequest,
    FinishedFile,
    Stage,
    TaskRef,
    TaskStatus,
)
from exports.task import ExportTask, TaskError, id_filter
from exports.task_collection import OPEN, Stored, TaskCollection, as_task, new_document, translated


class RunTransitions(TaskCollection):
    """The transitions of a task that belong to the run that owns it."""

    async def create_for_run(self, request: ExportRequest, ref: TaskRef) -> None:
        """Store the task of a workflow that was started directly; nothing if it is there."""
        document = new_document(request, ref.max_retries)
        document["_id"] = ref.task_id
        with translated():
            # A text that reads like the ObjectId of a stored task is the id of that task.
            if await self.documents.find_one(id_filter(ref.task_id), {"_id": True}) is not None:
                return
            try:
                await self.documents.insert_one(document)
            except DuplicateKeyError:
                return

    async def claim(self, ref: TaskRef, *, run_started_at: int) -> Stored | None:
        """Make a run the owner of a task; a later run takes over from an earlier one.

        Returns:
            The document, or None if there is no such task that this run may own.
        """
        unowned_or_older = {"runStartedAt": {"$not": {"$gte": run_started_at}}}
        mine = {"runId": ref.run_id}
        # One after the other: for an `$or` the embedded database looks at every task there is.
        return await self._claim_if(
            unowned_or_older, ref, run_started_at=run_started_at
        ) or await self._claim_if(mine, ref, run_started_at=run_started_at)

    async def _claim_if(
        self, condition: Stored, ref: TaskRef, *, run_started_at: int
    ) -> Stored | None:
        now = now_ms()
        return await self.update_one(
            {
                **id_filter(ref.task_id),
                "status": {"$in": OPEN},
                "workflowId": {"$in": [None, ref.workflow_id]},
                **condition,
            },
            {
                "$set": {
                    "status": TaskStatus.RUNNING.value,
                    "workflowId": ref.workflow_id,
                    "runId": ref.run_id,
                    "runStartedAt": run_started_at,
                    "progress": {"stage": Stage.AGGREGATE.value, "rows": 0, "bytes": 0},
                    "updatedAt": now,
                },
                # These two keep what is there: the first start, and the attempts counted before.
                "$min": {"startedAt": now},
                "$max": {"retries": 0},
                "$unset": {"nextRunAt": ""},
            },
        )

    async def attempt_started(self, ref: TaskRef, beat: AttemptBeat) -> None:
        """Say that an activity is at work; raises `TaskLostError` if this run may not any more."""
        await self._move(
            ref,
            {
                "$set": {"status": TaskStatus.RUNNING.value, "progress.stage": beat.stage.value},
                "$max": {"progress.rows": beat.rows, "progress.bytes": beat.bytes},
                "$unset": {"nextRunAt": ""},
            },
        )

    async def progress(self, ref: TaskRef, beat: AttemptBeat) -> None:
        """Say how far an attempt has come."""
        await self._move(
            ref,
            {
                "$set": {"progress.stage": beat.stage.value},
                "$max": {"progress.rows": beat.rows, "progress.bytes": beat.bytes},
            },
        )

    async def attempt_failed(
        self, ref: TaskRef, error: TaskError, *, retries: int, next_run_at: int | None
    ) -> None:
        """Count a failed attempt.

        Args:
            ref: The task and its run.
            error: Why it failed.
            retries: Failed attempts by now; `$max`, so that units that fail side by side in one
                outage count once, and a repeated write counts nothing.
            next_run_at: When the next attempt is due; None if there will be none.
        """
        change: Stored = {
            "$set": {"error": error.model_dump()},
            "$max": {"retries": min(retries, ref.max_retries)},
        }
        if next_run_at is not None:
            change["$set"] |= {"status": TaskStatus.PENDING.value, "nextRunAt": next_run_at}
        await self._move(ref, change)

    async def done(
        self, ref: TaskRef, file: FinishedFile, *, url: str, expires_at: int, purge_at: int
    ) -> ExportTask:
        """Move a task to `done`. The link of the first such write stays."""
        return await self._end(
            ref,
            TaskStatus.DONE,
            {
                "fileName": file.file_name,
                "rows": file.rows,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "warnings": [warning.model_dump() for warning in file.warnings],
                "objectKey": file.key,
                "downloadUrl": url,
                "expiresAt": expires_at,
                "purgeAt": purge_at,
                "progress": {
                    "stage": Stage.FINISHED.value,
                    "rows": file.rows,
                    "bytes": file.bytes,
                },
            },
            unset=("error", "nextRunAt"),
        )

    async def failed(self, ref: TaskRef, error: TaskError) -> ExportTask:
        """Move a task to `failed`."""
        return await self._end(ref, TaskStatus.FAILED, {"error": error.model_dump()})

    async def cancelled(self, ref: TaskRef, reason: str) -> ExportTask:
        """Move a task to `cancelled`."""
        return await self._end(
            ref, TaskStatus.CANCELLED, {"cancelReason": reason}, unset=("error", "nextRunAt")
        )

    async def _end(
        self,
        ref: TaskRef,
        status: TaskStatus,
        fields: Stored,
        unset: tuple[str, ...] = ("nextRunAt",),
    ) -> ExportTask:
        now = now_ms()
        update = {
            "$set": {**fields, "status": status.value, "finishedAt": now},
            "$unset": dict.fromkeys(unset, ""),
        }
        try:
            return await self._move(ref, update)
        except TaskLostError:
            document = await self.find(ref.task_id)
            if (
                document is not None
                and document.get("runId") == ref.run_id
                and document["status"] == status.value
                and document.get("objectKey") == fields.get("objectKey")
            ):
                return ExportTask.from_document(document)
            raise

    async def _move(self, ref: TaskRef, update: Stored) -> ExportTask:
        update["$set"]["updatedAt"] = now_ms()
        moved = as_task(
            await self.update_one(
                {**id_filter(ref.task_id), "runId": ref.run_id, "status": {"$in": OPEN}}, update
            )
        )
        if moved is None:
            raise TaskLostError(
                "The task was deleted, has ended, or belongs to another run by now."
            )
        return moved

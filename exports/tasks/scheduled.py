"""The tasks of runs that a Schedule has started. They count for the quotas of their person."""

from collections.abc import Sequence

from exports import names
from exports.documents import ConflictError, Stored
from exports.errors import QuotaError
from exports.models import (
    DEFAULT_MAX_RETRIES,
    Author,
    AuthorRole,
    ExportRequest,
    TaskStatus,
)
from exports.tasks.audit import AUDIT, AuditAction, entry, stored
from exports.tasks.collection import OUTBOX, TaskCollection, new_document
from exports.tasks.outbox import to_tell
from exports.tasks.quotas import Limit, Slots


class ScheduledStore:
    """Stores the tasks of runs that a Schedule has started.

    Args:
        tasks: The collection.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks
        self._slots = Slots(tasks)

    async def create(
        self, request: ExportRequest, task_id: str, *, limits: Sequence[Limit]
    ) -> None:
        """Store the task of a run that the Schedule of a recurring export has started.

        If a limit is reached, the task is stored as failed, so that its person can see it, and run
        it again later. If it is there already, nothing is done.

        Args:
            request: What is asked for.
            task_id: Its id.
            limits: The quotas of the person.

        Raises:
            QuotaError: A limit is reached.
        """
        new = new_document(request, DEFAULT_MAX_RETRIES, origin=names.FROM_TEMPORAL)
        new["_id"] = task_id
        try:
            await self._slots.take(
                request.created_by, limits, lambda slots: self._insert({**new, **slots})
            )
        except QuotaError as error:
            failed = _failed(new, error) | self._tasks.removal(new["createdAt"])
            if await self._insert(failed):
                raise

    async def _insert(self, document: Stored) -> bool:
        """Store a task, unless there is one with its id; return whether there was none."""
        try:
            async with self._tasks.operation():
                await self._tasks.documents.insert_one(document)
        except ConflictError:
            if await self._tasks.exists(document["_id"]):
                return False
            raise
        return True


def _failed(new: Stored, error: QuotaError) -> Stored:
    """Return the document of a new task as one that has failed at once."""
    now, why = new["createdAt"], {"code": error.code, "msg": error.msg}
    worker = Author(role=AuthorRole.WORKER, origin=names.FROM_TEMPORAL)
    entries = [entry(worker, AuditAction.FAILED, now, code=error.code)]
    return {
        **{name: value for name, value in new.items() if name != "nextRunAt"},
        "status": TaskStatus.FAILED.value,
        "error": why,
        "finishedAt": now,
        AUDIT: [*new[AUDIT], *stored(entries)],
        OUTBOX: [to_tell(new["_id"], TaskStatus.FAILED, now, run=None, error=why)[OUTBOX]],
    }

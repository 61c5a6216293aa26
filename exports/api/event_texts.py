"""What events say of exports, and their ids, by which a stream goes on where it was cut."""

import hashlib
import re
from typing import Final, Self

from fastapi.sse import format_sse_event

from exports.errors import Server
from exports.models import Stage, TaskStatus, WireModel
from exports.tasks.task import ExportTask, TaskError

OVERLAP: Final = 10_000
"""By how many milliseconds the clocks of two workers may differ."""
ID_OF_ONE: Final = re.compile(r"[0-9a-f]{16}")
"""The form of the id of an event of one export."""
ID_OF_ALL: Final = re.compile(r"[0-9]{1,15}-[0-9a-f]{16}")
"""The form of the id of an event of all exports."""


class ExportEvent(WireModel):
    """What an event says of an export.

    Attributes:
        id: The export.
        type: Name of the report.
        format: Name of the file format.
        created_by: Who asked for it.
        status: Its status.
        stage: What its run is doing.
        rows: Rows so far; at the end, those of the file.
        total: How many rows there will be, as soon as it is known.
        bytes: Bytes of the file so far; at the end, its size.
        waiting_for: The server that it waits for, because it is away: `database`, `source`, `store`
            or `temporal`.
        retries: Failed attempts so far.
        next_run_at: When the next attempt is due, while it waits for one (epoch milliseconds).
        error: Why it failed, or why the last attempt did.
        updated_at: When its document was last changed (epoch milliseconds).
    """

    id: str
    type: str
    format: str
    created_by: str
    status: TaskStatus
    stage: Stage
    rows: int
    total: int | None
    bytes: int
    waiting_for: Server | None
    retries: int
    next_run_at: int | None
    error: TaskError | None
    updated_at: int | None

    @classmethod
    def of(cls, task: ExportTask) -> Self:
        """Return what there is to say of a task."""
        has_file = task.status in (TaskStatus.DONE, TaskStatus.EXPIRED)
        return cls(
            id=task.id,
            type=task.type,
            format=task.format,
            created_by=task.created_by,
            status=task.status,
            stage=task.progress.stage,
            rows=task.rows if has_file else task.progress.rows,
            total=task.rows if has_file else task.progress.total,
            bytes=task.bytes if has_file else task.progress.bytes,
            waiting_for=task.progress.waiting_for,
            retries=task.retries,
            next_run_at=task.next_run_at,
            error=task.error,
            updated_at=task.updated_at,
        )


class EventsOfOne:
    """Makes the events of one export. Their `id` is a digest of what they say."""

    def __init__(self, last: str | None) -> None:
        self._last = last

    def told(self, task: ExportTask) -> bool:
        """Return whether the last event said the same."""
        return _digest(task) == self._last

    def event(self, task: ExportTask) -> bytes | None:
        """Return the event of a state; None if the last one said the same."""
        before, self._last = self._last, _digest(task)
        return None if self._last == before else _event(task, self._last)


class EventsOfAll:
    """Makes the events of all exports of a person.

    Their `id` says how far the stream has come: the time of the newest change, and a digest of what
    it has said of that one and of those shortly before. As clocks differ, a change may be a little
    older than one that was told before it.
    """

    def __init__(self) -> None:
        self._newest = 0
        self._said: dict[str, tuple[int, str]] = {}

    def event(self, task: ExportTask) -> bytes | None:
        """Return the event of a state."""
        return _event(task, self._id_after(task))

    def news(self, states: list[ExportTask], last: str | None) -> list[ExportTask]:
        """Return which of the states at the beginning the event with this `id` did not tell."""
        if last is None:
            return states
        until, found = time_of(last), ""
        for task in states:
            if (task.updated_at or 0) <= until:
                found = self._id_after(task)
        if found != last:  # something changed shortly before: better twice than not at all
            return states
        return [task for task in states if (task.updated_at or 0) > until]

    def _id_after(self, task: ExportTask) -> str:
        at = task.updated_at or 0
        self._newest = max(self._newest, at)
        self._said[task.id] = (at, _digest(task))
        self._said = {
            task_id: said
            for task_id, said in self._said.items()
            if said[0] > self._newest - OVERLAP
        }
        return f"{self._newest}-{_short(str(sorted(self._said.items())))}"


def time_of(event_id: str) -> int:
    """Return the time in the `id` of an event of all exports (epoch milliseconds)."""
    return int(event_id.partition("-")[0])


def _digest(task: ExportTask) -> str:
    # A heartbeat changes the document, also if there is nothing new to say.
    return _short(ExportEvent.of(task).model_dump_json(exclude={"updated_at"}))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _event(task: ExportTask, event_id: str) -> bytes:
    name = "end" if task.status.ended else "progress"
    return format_sse_event(
        data_str=ExportEvent.of(task).model_dump_json(), event=name, id=event_id
    )

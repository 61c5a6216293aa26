"""What goes into workflows and activities and what comes out: safe in the workflow sandbox.

Field names are snake_case in Python and camelCase on the wire, because clients in other
languages start workflows and read documents. Times are epoch milliseconds (UTC).
"""

from enum import StrEnum
from typing import Final, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from exports.names import MAX_CREATED_BY_LENGTH
from exports.tables.warnings import TaskWarning

DEFAULT_FORMAT: Final = "csv"
DEFAULT_MAX_RETRIES: Final = 3
DEFAULT_UNITS_SIDE_BY_SIDE: Final = 4
_LONGEST_REASON: Final = 500
_LONGEST_ORIGIN: Final = 200


class TaskStatus(StrEnum):
    """The states of a task, as its document names them."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether no run may move the task any more."""
        return self not in (TaskStatus.PENDING, TaskStatus.RUNNING)


class Stage(StrEnum):
    """What a running export is doing, for people."""

    QUEUED = "queued"
    AGGREGATE = "aggregate"
    UPLOAD = "upload"
    WRITEBACK = "writeback"
    FINISHED = "finished"


class WireModel(BaseModel):
    """Base of all payloads.

    While workers are replaced, those of yesterday read what those of today have written: a field
    that one does not know is left out, and a new field has a default.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        extra="ignore",
    )


class ExportRequest(WireModel):
    """What somebody asks for: the input of `ExportWorkflow`.

    People write it by hand, so that a field that is not known here is a mistake to be shown.

    Attributes:
        type: Name of a configured report.
        params: What the report wants to know; checked against the report.
        created_by: Who asks, and who alone may see the task.
        format: Name of a file format.
        task_id: The document to run. Its content wins over what stands here. Left out by those
            who start a workflow directly: then the workflow makes the document.
    """

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=200)
    params: dict[str, JsonValue] = Field(default_factory=dict)
    created_by: str = Field(min_length=1, max_length=MAX_CREATED_BY_LENGTH)
    format: str = Field(default=DEFAULT_FORMAT, min_length=1, max_length=40)
    task_id: str | None = None


class TaskRef(WireModel):
    """Which task, and on behalf of which run: every write of a run is fenced by this.

    Attributes:
        task_id: The task's `_id`, as text.
        workflow_id: The workflow that owns the task.
        run_id: The run of that workflow.
        max_retries: How many failed attempts the task allows.
    """

    task_id: str
    workflow_id: str
    run_id: str
    max_retries: int = DEFAULT_MAX_RETRIES


class Unit(WireModel):
    """A durable piece of an export: a half-open interval of time that one activity reads.

    Attributes:
        key: Names the unit within its export, and its staged parts in the bucket.
        start: First instant, in epoch milliseconds.
        end: First instant after, in epoch milliseconds.
        limit: About how many rows to read; what is left comes back as `StagedUnit.rest`. None:
            all of them.
        newest_id: The greatest ObjectId that was there when the export began, in hexadecimal; a
            document with a greater one is not part of the export. None: not looked up yet, or the
            collection's greatest `_id` is something else.
    """

    key: str
    start: int
    end: int
    limit: int | None = None
    newest_id: str | None = None


class ExportPlan(WireModel):
    """What an accepted request comes to.

    Attributes:
        type: Name of the report.
        params: The parameters as the report understood them.
        created_by: Who asked.
        format: Name of the file format.
        file_name: Name of the finished file, for people.
        summary: The export in a few words, for people.
        bulk: Whether there may be millions of rows, so that its heavy steps go to workers and
            slots of their own.
        definition: Fingerprint of the report's definition, by which all units are read. None: made
            by a worker that did not say.
        side_by_side: How many units are read at once.
        units: The pieces, in the order of their rows.
    """

    type: str
    params: dict[str, JsonValue]
    created_by: str
    format: str
    file_name: str
    summary: str
    bulk: bool = False
    definition: str | None = None
    side_by_side: int = DEFAULT_UNITS_SIDE_BY_SIDE
    units: list[Unit]


class ExportResult(WireModel):
    """How an export ended: the output of `ExportWorkflow`. Holds no link; the document does."""

    task_id: str
    status: TaskStatus
    file_name: str | None = None
    rows: int = 0
    bytes: int = 0
    sha256: str | None = None


class ClaimInput(WireModel):
    """Asks for the right to run a task.

    Attributes:
        request: What the workflow was started with.
        task: The task and the run that asks; `max_retries` is not looked at.
        run_started_at: When the run started, by the server's clock, in epoch milliseconds. A
            later run takes over from an earlier one, never the other way round.
    """

    request: ExportRequest
    task: TaskRef
    run_started_at: int


class Claim(WireModel):
    """The answer to `ClaimInput`: either a plan to carry out, or how the task has ended already."""

    task: TaskRef
    plan: ExportPlan | None = None
    ended: ExportResult | None = None


class StagedPart(WireModel):
    """One staged object: rows of one unit as an Arrow IPC stream.

    Attributes:
        key: Its key in the bucket.
        rows: Rows in it.
        bytes: Its size.
        sha256: Of its content, in hexadecimal.
        schema_id: The same for parts whose Arrow schemas are the same.
    """

    key: str
    rows: int
    bytes: int
    sha256: str
    schema_id: str


class AggregateInput(WireModel):
    """One unit to read and stage.

    Attributes:
        task: The task and its run.
        plan: The whole plan; its `units` are left empty.
        unit: The unit to stage.
        rows_before: Rows that are staged already, for the progress that people see.
        retries_before: Failed attempts of the task before this activity was scheduled.
    """

    task: TaskRef
    plan: ExportPlan
    unit: Unit
    rows_before: int
    retries_before: int = 0


class StagedUnit(WireModel):
    """The manifest of one staged unit. Only what the workflow accepted counts.

    Attributes:
        unit: Key of the unit.
        parts: The staged objects, in the order of their rows.
        rows: Rows in all of them.
        rest: What the unit did not come to, in the order of the rows, which are all after these.
        warnings: What was changed in the rows.
        retries: Failed attempts of the task by then, as far as this unit knows.
    """

    unit: str
    parts: list[StagedPart]
    rows: int
    rest: list[Unit] = Field(default_factory=list[Unit])
    warnings: list[TaskWarning] = Field(default_factory=list[TaskWarning])
    retries: int = 0


class UploadInput(WireModel):
    """Staged parts to encode and upload, in the order of their rows.

    Attributes:
        task: The task and its run.
        plan: The whole plan; its `units` are left empty.
        parts: The staged objects that the workflow accepted.
        warnings: What was changed in the rows when they were staged.
        retries_before: Failed attempts of the task before this activity was scheduled.
    """

    task: TaskRef
    plan: ExportPlan
    parts: list[StagedPart]
    warnings: list[TaskWarning] = Field(default_factory=list[TaskWarning])
    retries_before: int = 0


class FinishedFile(WireModel):
    """The finished object.

    Attributes:
        key: Its key in the bucket.
        file_name: Its name, for people.
        rows: Rows in it, headings and totals not counted.
        bytes: Its size.
        sha256: Of its content, in hexadecimal.
        warnings: What was changed in its rows, on the whole way.
        retries: Failed attempts of the task by then.
    """

    key: str
    file_name: str
    rows: int
    bytes: int
    sha256: str
    warnings: list[TaskWarning] = Field(default_factory=list[TaskWarning])
    retries: int = 0


class DoneInput(WireModel):
    """The transition to `done`.

    Attributes:
        task: The task and its run.
        file: The finished object.
        leftovers: Keys of the staged parts, which nobody needs any more, if they are all that the
            run has left. Otherwise `discard` looks for what is left.
        retries_before: Failed attempts of the task before this activity was scheduled.
    """

    task: TaskRef
    file: FinishedFile
    leftovers: list[str] = Field(default_factory=list[str])
    retries_before: int = 0


class AttemptBeat(WireModel):
    """What an activity's heartbeat says: progress for people, never a checkpoint.

    Attributes:
        stage: What the attempt is at.
        rows: Rows it has got through.
        bytes: Bytes it has written.
        retries: Failed attempts of the task before this attempt.
    """

    stage: Stage
    rows: int = 0
    bytes: int = 0
    retries: int = 0


class FailedInput(WireModel):
    """The transition to `failed`.

    Attributes:
        task: The task and its run.
        code: The stable code of the error.
        msg: The same in words.
        retries: Failed attempts of which the workflow knows; the last one of a worker that froze
            has not been counted by itself.
    """

    task: TaskRef
    code: str
    msg: str
    retries: int = 0


class AuthorRole(StrEnum):
    """In what role somebody changes a task."""

    USER = "user"
    OPERATOR = "operator"
    WORKER = "worker"
    SWEEP = "sweep"


class Author(WireModel):
    """Who changes a task, and from where, for its audit record.

    Attributes:
        role: In what role.
        user: Who asks, as in `createdBy`; only if the role is `user`.
        origin: `client`, `cli` or `envelope`; `temporal` for whoever uses Temporal itself; of
            workers and sweeps, the worker's identity.
    """

    role: AuthorRole
    user: str | None = Field(default=None, max_length=MAX_CREATED_BY_LENGTH)
    origin: str = Field(max_length=_LONGEST_ORIGIN)

    @classmethod
    def person(cls, name: str | None, *, origin: str) -> Self:
        """Return somebody who asks for something; None is an operator, as everywhere."""
        return cls(
            role=AuthorRole.OPERATOR if name is None else AuthorRole.USER,
            user=None if name is None else name[:MAX_CREATED_BY_LENGTH],
            origin=origin,
        )


class CancelledInput(WireModel):
    """The transition to `cancelled`.

    Attributes:
        task: The task and its run.
        reason: Why, as it was typed.
        asked_by: Who asked; None if it is not known, because Temporal itself was used.
    """

    task: TaskRef
    reason: str
    asked_by: Author | None = None


class DiscardResult(WireModel):
    """How many objects and open multipart uploads were removed."""

    removed: int


class CancelRequest(WireModel):
    """The optional argument of the `cancel` signal.

    People send it by hand, so that any shape is understood: `{"reason": "…"}`, a bare string, or
    nothing. A request to stop is not to be lost over its wording. Our own client says in
    `askedBy` who asks: as true as the access to Temporal is guarded.
    """

    reason: str = ""
    asked_by: Author | None = None

    @model_validator(mode="before")
    @classmethod
    def _understand(cls, given: object) -> object:
        author: Author | None = None
        if isinstance(given, dict):
            fields = cast("dict[str, object]", given)
            author = _person(fields.get("askedBy", fields.get("asked_by")))
            given = fields.get("reason", "")
        reason = given[:_LONGEST_REASON] if isinstance(given, str) else ""
        return {"reason": reason, "asked_by": author}


def _person(given: object) -> Author | None:
    """Return the person that a signal names; whoever sends one by hand is no worker."""
    try:
        author = Author.model_validate(given)
    except ValidationError:
        return None
    return author if author.role in (AuthorRole.USER, AuthorRole.OPERATOR) else None


class SweepInput(WireModel):
    """The input of `SweepWorkflow` and its activities: which workers the started exports go to."""

    task_queue: str


class SweepCount(WireModel):
    """What one step of a sweep did.

    Attributes:
        changed: Tasks started, healed or purged.
        refused: Documents that can't be a task and were marked `failed`.
        objects: Orphaned objects and multipart uploads that were removed.
    """

    changed: int = 0
    refused: int = 0
    objects: int = 0


class SweepResult(WireModel):
    """What a sweep did: the output of `SweepWorkflow`.

    Attributes:
        started: Due tasks whose workflow it started.
        healed: Tasks left behind by a workflow that is gone, started again or closed.
        purged: Tasks whose file it removed.
        handled: All documents it did something about: the three above, and the refused ones.
    """

    started: int
    healed: int
    purged: int
    handled: int

    @classmethod
    def of(cls, *, due: SweepCount, left: SweepCount, expired: SweepCount) -> Self:
        """Add up the steps of a sweep."""
        refused = due.refused + left.refused + expired.refused
        return cls(
            started=due.changed,
            healed=left.changed,
            purged=expired.changed,
            handled=due.changed + left.changed + expired.changed + refused,
        )


class ScheduleView(WireModel):
    """What there is to know of the Schedule.

    Attributes:
        schedule_id: Its id.
        paused: Whether it rests.
        note: What was said last.
        every_seconds: How often it sweeps.
        next_runs: When it sweeps next (epoch milliseconds).
        last_runs: When it swept last (epoch milliseconds).
    """

    schedule_id: str
    paused: bool
    note: str
    every_seconds: int
    next_runs: list[int]
    last_runs: list[int]

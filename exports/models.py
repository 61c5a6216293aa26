"""Inputs and outputs of workflows and activities, safe to import in the workflow sandbox.

Field names are snake_case in Python and camelCase in JSON, because clients in other languages
start workflows and read documents. Times are epoch milliseconds (UTC).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from exports.clock import YEAR_9999_MS, epoch_ms, from_epoch_ms
from exports.errors import Server, TooManyRowsError
from exports.names import MAX_CREATED_BY_LENGTH
from exports.tables.warnings import TaskWarning

DEFAULT_FORMAT: Final = "csv"
DEFAULT_MAX_RETRIES: Final = 3
MAX_RETRIES: Final = 100
DEFAULT_UNITS_SIDE_BY_SIDE: Final = 4
DEFAULT_TASKS_KEPT: Final = timedelta(days=90)
DEFAULT_OUTAGE_PATIENCE: Final = timedelta(minutes=10)
DEFAULT_HEARTBEAT: Final = timedelta(seconds=2)
DEFAULT_CHANNELS: Final = "default"
"""Stands in `notify` for the channels that the person has chosen."""
_MAX_CHANNELS: Final = 20
_MAX_CHANNEL_NAME: Final = 40  # characters
_MAX_REASON: Final = 500  # characters
_MAX_ORIGIN: Final = 200  # characters


class TaskStatus(StrEnum):
    """The statuses of a task, as its document has them."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether the task has ended, so that no run may change it any more."""
        return self not in (TaskStatus.PENDING, TaskStatus.RUNNING)


class Stage(StrEnum):
    """What an export is doing, for people."""

    QUEUED = "queued"
    AGGREGATE = "aggregate"
    UPLOAD = "upload"
    WRITEBACK = "writeback"
    FINISHED = "finished"


class WireModel(BaseModel):
    """Base of all payloads.

    During a deploy, older workers read what newer ones wrote, and the other way round. So unknown
    fields are ignored, and a new field must have a default.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        extra="ignore",
        json_schema_serialization_defaults_required=True,  # what is sent has every field
    )


class Recurrence(WireModel):
    """Says of which recurring export an export is.

    Attributes:
        id: The recurring export.
        period: The period of the export, relative to the time that it was planned for: `previous
            month`. None if the parameters say it.
    """

    id: str = Field(min_length=1, max_length=40)
    period: str | None = Field(default=None, max_length=40)


class ExportRequest(WireModel):
    """What a person asks for: the input of `ExportWorkflow`.

    People write it by hand, so an unknown field is refused as a mistake.

    Attributes:
        type: Name of a configured report.
        params: The parameters of the report, which checks them.
        created_by: Who asks; nobody else may see the task.
        format: Name of a file format.
        task_id: The document to run, whose fields have priority over the others here. Without it,
            the workflow was started directly, and creates the document.
        notify: The channels by which the person is told how it ended: `email`, `wechat`, `webhook`,
            and `default` for those that they have chosen, which are also meant by None. None is
            not sent, because older workers do not know this field.
        recurring: The recurring export that it is of; None if it is of none. It is left out then,
            because older workers do not know it.
    """

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=200)
    params: dict[str, JsonValue] = Field(default_factory=dict)
    created_by: str = Field(min_length=1, max_length=MAX_CREATED_BY_LENGTH)
    format: str = Field(default=DEFAULT_FORMAT, min_length=1, max_length=40)
    task_id: str | None = None
    notify: list[Annotated[str, Field(max_length=_MAX_CHANNEL_NAME)]] | None = Field(
        default=None, max_length=_MAX_CHANNELS, exclude_if=lambda notify: notify is None
    )
    recurring: Recurrence | None = Field(default=None, exclude_if=lambda value: value is None)


class TaskRef(WireModel):
    """A task and the run that works on it; every write of a run checks that it owns the task.

    Attributes:
        task_id: The task's `_id`, as text.
        workflow_id: The workflow that owns the task.
        run_id: The run of that workflow.
        max_retries: Failed attempts at which the task fails.
        store: The object store that the run writes to: `ObjectStore.fingerprint` of the worker that
            took the task. None before that, and if it was an older worker.
        patience: How long its steps wait for a server that is away, by the settings of the worker
            that took the task; their time limits leave room for it.
        heartbeat: The time between two heartbeats of its steps, by the same settings.
    """

    task_id: str
    workflow_id: str
    run_id: str
    max_retries: int = Field(default=DEFAULT_MAX_RETRIES, ge=1, le=MAX_RETRIES)
    store: dict[str, str] | None = None
    patience: timedelta = DEFAULT_OUTAGE_PATIENCE
    heartbeat: timedelta = DEFAULT_HEARTBEAT


class Unit(WireModel):
    """A part of an export that one activity reads: a half-open interval of time.

    Attributes:
        key: Name of the unit in its export, and of its staged parts in the bucket.
        start: First instant, in epoch milliseconds.
        end: First instant after it, in epoch milliseconds.
        limit: About how many rows to read; the rest comes back as `StagedUnit.rest`. None for all
            rows.
        newest_id: The greatest ObjectId of the collection when the export began, in hexadecimal;
            a document with a greater one is not part of the export. None if it has not been read
            yet, or if the greatest `_id` is not an ObjectId.
        moment: A moment of the source database, as `Source.moment` tells it: nothing that was there
            then may be missing, and of a snapshot, nothing later may be there. None for the moment
            at which the unit is read.
    """

    key: str
    start: int
    end: int
    limit: int | None = None
    newest_id: str | None = None
    moment: str | None = None

    @classmethod
    def between(cls, key: str, start: datetime, end: datetime) -> Self:
        """Return the unit from one instant to before another; both have a time zone."""
        return cls(key=key, start=epoch_ms(start), end=epoch_ms(end))

    @property
    def interval(self) -> tuple[datetime, datetime]:
        """The first instant and the first one after, in UTC."""
        return from_epoch_ms(self.start), from_epoch_ms(self.end)


class ExportPlan(WireModel):
    """How an accepted request is carried out.

    Attributes:
        type: Name of the report.
        params: The parameters, as the report returned them.
        created_by: Who asked.
        format: Name of the file format.
        file_name: Name of the finished file, for people.
        summary: The export in a few words, for people.
        bulk: Whether there may be millions of rows, so that its heavy steps get workers and slots
            of their own.
        definition: Fingerprint of the report's definition, which all units must be read with. None
            in a plan of an older worker.
        side_by_side: How many units are read at the same time.
        max_rows: Most rows of the file; None for no limit.
        narrow_by: What gives fewer rows, for people who asked for too many.
        data_until: When the run took the task (epoch milliseconds), if the period was not over
            then: what happened later may be missing. None if it was.
        about: What a file says of the export: labels with their values. None if it says nothing.
        moment_open: Whether the units still need a moment in common, because the source was away
            when they were planned. Then the first one is read alone, and tells its own.
        units: The units, in the order of their rows.
    """

    type: str
    params: dict[str, JsonValue]
    created_by: str
    format: str
    file_name: str
    summary: str
    bulk: bool = False
    definition: str | None = None
    side_by_side: int = Field(default=DEFAULT_UNITS_SIDE_BY_SIDE, ge=1)
    max_rows: int | None = None
    narrow_by: list[str] = Field(default_factory=list[str])
    data_until: int | None = None
    about: list[tuple[str, str]] | None = None
    moment_open: bool = Field(default=False, exclude_if=lambda is_open: not is_open)
    units: list[Unit]

    @property
    def is_small(self) -> bool:
        """Whether the claim stages all rows: there is one unit, and it is not bulk."""
        return len(self.units) == 1 and not self.bulk

    def without_units(self) -> "ExportPlan":
        """Return the plan as a step needs it that reads one unit."""
        return self.model_copy(update={"units": [], "about": None})

    def check_rows(self, rows: int) -> None:
        """Check that the file may have so many rows.

        Raises:
            TooManyRowsError: The report has a limit, and it may not.
        """
        if self.max_rows is None or rows <= self.max_rows:
            return
        ways = ", or ".join(self.narrow_by)
        raise TooManyRowsError(
            f"The export has more than {self.max_rows:,} rows, which is the limit of {self.type}; "
            + (
                f"ask for less with {ways}."
                if ways
                else "the reports file has no way to narrow it."
            )
        )


class ExportResult(WireModel):
    """How an export ended: the output of `ExportWorkflow`. The link is only in the document."""

    task_id: str
    status: TaskStatus
    file_name: str | None = None
    rows: int = 0
    bytes: int = 0
    sha256: str | None = None


class ClaimInput(WireModel):
    """Asks for the right to run a task.

    Attributes:
        request: The input of the workflow.
        task: The task and the run that asks; `max_retries` is ignored.
        run_started_at: When the run started, by Temporal's clock, in epoch milliseconds. A later
            run replaces an earlier one, never the other way round.
        planned_for: Of a recurring export: the time that its Schedule started the run for (epoch
            milliseconds), however late that was.
        has_search_attributes: Whether the run was started with all search attributes, so that the
            namespace has them.
        stages: Whether the rows of a small export are staged at once, in the same step.
        retries_before: Failed attempts at these rows before this activity was scheduled.
    """

    request: ExportRequest
    task: TaskRef
    run_started_at: int
    planned_for: int | None = None
    has_search_attributes: bool = True
    stages: bool = False
    retries_before: int = Field(default=0, ge=0)


class StagedPart(WireModel):
    """One staged object: rows of one unit as an Arrow IPC stream, or a list of such parts.

    To an older worker, a list looks like a part that is damaged: it never makes a file without its
    rows.

    Attributes:
        key: Its key in the bucket.
        rows: Rows in it, or in all parts of the list.
        bytes: Its size.
        sha256: SHA-256 of its content, in hexadecimal.
        schema_id: Equal for parts with equal Arrow schemas; empty for a list.
        lists: How many parts it lists; 0 if it has rows.
    """

    key: str
    rows: int
    bytes: int
    sha256: str
    schema_id: str
    lists: int = Field(default=0, ge=0, exclude_if=lambda parts: parts == 0)


class PartList(WireModel):
    """The content of a staged object that lists parts: JSON.

    Attributes:
        parts: The parts of one unit, in the order of their rows.
    """

    parts: list[StagedPart]


class AggregateInput(WireModel):
    """One unit to read and stage.

    Attributes:
        task: The task and its run.
        plan: The plan, with empty `units` and without `about`.
        unit: The unit to stage.
        rows_before: Rows that were staged before, for the progress that people see.
        retries_before: Failed attempts of the task before this activity was scheduled.
        most_listed: Bytes of the longest list of parts that the result may hold; a longer one goes
            into the bucket. None for no limit: an older workflow knows no lists in the bucket.
    """

    task: TaskRef
    plan: ExportPlan
    unit: Unit
    rows_before: int
    retries_before: int = 0
    most_listed: int | None = None


class StagedUnit(WireModel):
    """The manifest of one staged unit. Only manifests that the workflow accepted are used.

    Attributes:
        unit: Key of the unit.
        parts: The staged objects, in the order of their rows; or one that lists them.
        rows: Rows in all of them.
        rest: What the unit has not read because of its limit, in the order of the rows; all of
            them come after these rows.
        warnings: What was changed in the rows.
        retries: Failed attempts of the task at that time, as far as this unit knows.
        moment: At which moment it was read, if the plan's moment is open; see `Unit.moment`.
    """

    unit: str
    parts: list[StagedPart]
    rows: int
    rest: list[Unit] = Field(default_factory=list[Unit])
    warnings: list[TaskWarning] = Field(default_factory=list[TaskWarning])
    retries: int = Field(default=0, ge=0)
    moment: str | None = None


class Claim(WireModel):
    """The answer to `ClaimInput`: a plan, or the result of a task that has ended already.

    Attributes:
        task: The task and its run.
        plan: The plan; None if the task has ended.
        ended: How the task has ended; None if it has not.
        search_attributes: Whether the namespace has the search attributes.
        staged: The rows of the plan's only unit; None if they are still to be staged.
        retries: Failed attempts so far to stage the only unit with the claim.
        claimed_at: When the run took the task (epoch milliseconds); None from older workers.
        asked_at: When somebody asked for the export (epoch milliseconds). None if that is not
            known, and for a run after the first one.
    """

    task: TaskRef
    plan: ExportPlan | None = None
    ended: ExportResult | None = None
    search_attributes: bool = True
    staged: StagedUnit | None = None
    retries: int = Field(default=0, ge=0)
    claimed_at: int | None = Field(default=None, ge=0, le=YEAR_9999_MS)
    asked_at: int | None = Field(default=None, ge=0, le=YEAR_9999_MS)


class UploadInput(WireModel):
    """Staged parts to encode and upload, in the order of their rows.

    Attributes:
        task: The task and its run.
        plan: The plan, with empty `units`.
        parts: The staged objects that the workflow accepted; some may be lists of others.
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
        rows: Rows in it, without headings and totals.
        bytes: Its size.
        sha256: SHA-256 of its content, in hexadecimal.
        warnings: What was changed in its rows, when they were staged and when they were written.
        retries: Failed attempts of the task at that time.
    """

    key: str
    file_name: str
    rows: int
    bytes: int
    sha256: str
    warnings: list[TaskWarning] = Field(default_factory=list[TaskWarning])
    retries: int = Field(default=0, ge=0)


class DoneInput(WireModel):
    """The transition to `done`.

    Attributes:
        task: The task and its run.
        file: The finished object.
        leftovers: Keys of the staged parts, which are not needed any more. Empty if there may be
            others: then `discard` lists and removes them.
        retries_before: Failed attempts of the task before this activity was scheduled.
        created_by: Who asked; None from an older worker.
    """

    task: TaskRef
    file: FinishedFile
    leftovers: list[str] = Field(default_factory=list[str])
    retries_before: int = 0
    created_by: str | None = None


class AttemptBeat(WireModel):
    """The details of an activity's heartbeat: progress for people, never a checkpoint.

    Attributes:
        stage: What the attempt is doing.
        rows: Rows it has handled.
        bytes: Bytes it has written.
        total: Rows that it will have handled; None if that is not known yet.
        retries: Failed attempts of the task before this attempt.
        waiting_for: The server that it waits for, because it is away; None if it waits for none.
    """

    stage: Stage
    rows: int = 0
    bytes: int = 0
    total: int | None = None
    retries: int = Field(default=0, ge=0)
    waiting_for: Server | None = None


class WaitBeat(WireModel):
    """The details of a heartbeat of a step without progress, while it waits for a server.

    Attributes:
        waiting_for: The server, which is away.
    """

    waiting_for: Server


class FailedInput(WireModel):
    """The transition to `failed`.

    Attributes:
        task: The task and its run.
        code: The stable code of the error.
        msg: The error in words.
        retries: Failed attempts that the workflow has counted; a worker that froze did not count
            its last one.
    """

    task: TaskRef
    code: str
    msg: str
    retries: int = 0


class AuthorRole(StrEnum):
    """The role in which somebody changes a task."""

    USER = "user"
    OPERATOR = "operator"
    WORKER = "worker"
    SWEEP = "sweep"


class Author(WireModel):
    """Who changes a task, and from where, for its audit record.

    Attributes:
        role: The role.
        user: The person, as in `createdBy`; only if the role is `user`.
        origin: `client`, `cli` or `envelope`; `temporal` for somebody who uses Temporal itself; the
            worker's identity for workers and sweeps.
    """

    role: AuthorRole
    user: str | None = Field(default=None, max_length=MAX_CREATED_BY_LENGTH)
    origin: str = Field(max_length=_MAX_ORIGIN)

    @classmethod
    def person(cls, name: str | None, *, origin: str) -> Self:
        """Return the author for a person who asks; None is an operator, as everywhere."""
        return cls(
            role=AuthorRole.OPERATOR if name is None else AuthorRole.USER,
            user=None if name is None else name[:MAX_CREATED_BY_LENGTH],
            origin=origin,
        )


class CancelledInput(WireModel):
    """The transition to `cancelled`.

    Attributes:
        task: The task and its run.
        reason: Why, as the person typed it.
        asked_by: Who asked; None if that is not known, because Temporal itself was used.
    """

    task: TaskRef
    reason: str
    asked_by: Author | None = None


class DiscardResult(WireModel):
    """How many objects and open multipart uploads were removed."""

    removed: int


class CancelRequest(WireModel):
    """The optional argument of the `cancel` signal.

    People send it by hand, so any input is accepted: `{"reason": "…"}`, a string, or nothing. A
    request to stop must not fail because of its format. `ExportClient` adds `askedBy`: who asks.
    Everybody with access to Temporal can write anything there.
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
        reason = given[:_MAX_REASON] if isinstance(given, str) else ""
        return {"reason": reason, "asked_by": author}


def _person(given: object) -> Author | None:
    """Return the person that a signal names; it can't name a worker or the sweep."""
    try:
        author = Author.model_validate(given)
    except ValidationError:
        return None
    return author if author.role in (AuthorRole.USER, AuthorRole.OPERATOR) else None


class SweepCount(WireModel):
    """What one step of a sweep did.

    Attributes:
        changed: Tasks that were started, healed or purged.
        refused: Documents that can't be run and were marked `failed`.
        objects: Orphaned objects and multipart uploads that were removed.
        bucket: How far the pass through the bucket has come, for people; empty if none was due.
    """

    changed: int = 0
    refused: int = 0
    objects: int = 0
    bucket: str = ""


class SweepResult(WireModel):
    """What a sweep did: the output of `SweepWorkflow`.

    Attributes:
        started: Due tasks whose workflow it started.
        healed: Tasks whose workflow was gone, and that it started again or ended.
        purged: Tasks whose file it removed.
        handled: All tasks that it changed: the three above and the refused ones.
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
    """The state of the Schedule.

    Attributes:
        schedule_id: Its id.
        paused: Whether it is paused.
        note: The note of the last pause or resume.
        every_seconds: Seconds between two sweeps.
        next_runs: The times of the next sweeps (epoch milliseconds).
        last_runs: The times of the last sweeps (epoch milliseconds).
        up_to_date: Whether it is as this release makes it.
    """

    schedule_id: str
    paused: bool
    note: str
    every_seconds: int
    next_runs: list[int]
    last_runs: list[int]
    up_to_date: bool

"""A task: one document of `ExportTasks`, read leniently. What it must hold is in `checks`."""

import re
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Annotated, Final, Self, cast, get_args

from bson import DatetimeMS, ObjectId
from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from exports import names
from exports.clock import LAST_MS
from exports.errors import Server, TaskInvalidError
from exports.models import (
    DEFAULT_FORMAT,
    DEFAULT_MAX_RETRIES,
    ExportRequest,
    ExportResult,
    Stage,
    TaskStatus,
    WireModel,
)
from exports.tables.warnings import TaskWarning

Document = Mapping[str, object]

# MongoDB allows 100 levels (https://www.mongodb.com/docs/manual/reference/limits/), of which the
# parameters of a report need one or two.
_MAX_DEPTH: Final = 20
_MAX_SHOWN_PARAMS: Final = 1000  # characters, in the input of a workflow
_MAX_TEXT: Final = 200  # characters of a value that should be a text and is not
# A name without a path, and an address of the web: other systems may store anything there, and
# browsers and programs act on both.
_FILE_NAME: Final = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f/\\\u202a-\u202e\u2066-\u2069]{1,255}")
_LINK: Final = re.compile(r"https?://[!-~]+")


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)[:_MAX_TEXT]


def _known_number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and isfinite(value) else None


def _number(value: object) -> int:
    return _known_number(value) or 0


def _millis(value: object) -> int | None:
    """Read a time: a number of milliseconds, as JavaScript clients store it, or a date."""
    if isinstance(value, datetime):
        return int(DatetimeMS(value))  # one without a time zone is in UTC
    if isinstance(value, DatetimeMS):  # a date outside of Python's years 1 to 9999
        return int(value)
    return int(value) if isinstance(value, int | float) and abs(value) <= LAST_MS else None


def _json_object(value: object) -> dict[str, object]:
    plain = _json(value)
    return cast("dict[str, object]", plain) if isinstance(plain, dict) else {}


def _json(value: object, deep: int = 0) -> object:
    if deep > _MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return {str(key): _json(item, deep + 1) for key, item in mapping.items()}
    if isinstance(value, list):
        return [_json(item, deep + 1) for item in cast("list[object]", value)]
    if isinstance(value, float) and not isfinite(value):
        return None  # as JSON.stringify writes them
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _file_name(value: object) -> str | None:
    return value if isinstance(value, str) and _FILE_NAME.fullmatch(value) else None


def _link(value: object) -> str | None:
    return value if isinstance(value, str) and _LINK.fullmatch(value) else None


def _server(value: object) -> object:
    return value if isinstance(value, str) and value in get_args(Server) else None


_Text = Annotated[str, BeforeValidator(_text)]
_Number = Annotated[int, BeforeValidator(_number)]
_Millis = Annotated[int | None, BeforeValidator(_millis)]
_FileName = Annotated[str | None, BeforeValidator(_file_name)]
_Link = Annotated[str | None, BeforeValidator(_link)]


class Progress(WireModel):
    """How far a run has come, for a progress bar.

    Attributes:
        stage: What it is doing.
        rows: Rows so far.
        bytes: Bytes of the file so far.
        total: How many rows there will be, as soon as it is known.
        waiting_for: The server that it waits for, because it is away.
    """

    model_config = ConfigDict(extra="ignore")

    stage: Stage = Stage.QUEUED
    rows: _Number = 0
    bytes: _Number = 0
    total: Annotated[int | None, BeforeValidator(_known_number)] = None
    waiting_for: Annotated[Server | None, BeforeValidator(_server)] = None


class TaskError(WireModel):
    """Why the last attempt, or the whole export, failed."""

    model_config = ConfigDict(extra="ignore")

    code: _Text
    msg: _Text


class ExportTask(WireModel):
    """What is known of an export.

    Reading is lenient, because other systems insert documents too: a field with a value that is not
    valid reads as its default. The run refuses such a task, with a code.

    Attributes:
        id: The document's `_id`, as text.
        type: Name of the report.
        params: Its parameters.
        status: See `TaskStatus`.
        retries: Failed attempts so far.
        max_retries: Failed attempts at which the task fails.
        next_run_at: When the next attempt is due, while it waits for one (epoch milliseconds).
        download_url: The link, while there is one. Anyone who has it can read the file.
        expires_at: When the link expires (epoch milliseconds).
        created_by: Who asked for it; nobody else may see the task.
        created_at: When it was created (epoch milliseconds).
        format: Name of the file format.
        file_name: Name of the file, for people.
        rows: Rows in the file.
        bytes: Size of the file.
        sha256: SHA-256 of the file, in hexadecimal.
        warnings: What was changed in values that did not fit.
        progress: How far the run has come.
        error: Why it failed, or why the last attempt failed.
        started_at: When a run first took it (epoch milliseconds).
        finished_at: When it ended (epoch milliseconds).
        updated_at: When the document last changed (epoch milliseconds).
        purge_at: When the file is removed (epoch milliseconds).
        workflow_id: The workflow that runs it.
        run_id: The run that owns it.
        data_until: When the run that made the file took the task (epoch milliseconds), if the
            period was not over then: what happened later may be missing. None if it was.
        cancel_reason: The reason that was given when it was cancelled.
        notify: The channels by which its person is told; None: by the person's default.
        recurring: The id of the recurring export that it is of; None if it is of none.
        object_key: Key of the file in the bucket.
        store: Which bucket that is: see `ObjectStore.fingerprint`.
        joined: Whether `ExportClient.create` found this task, instead of making it.
        sweep_starts: How often sweeps have started its workflow since a run has last taken it.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    type: _Text = ""
    params: Annotated[dict[str, JsonValue], BeforeValidator(_json_object)] = Field(
        default_factory=dict
    )
    status: TaskStatus
    retries: _Number = 0
    max_retries: _Number = DEFAULT_MAX_RETRIES
    next_run_at: _Millis = None
    download_url: _Link = Field(default=None, repr=False)
    expires_at: _Millis = None
    created_by: _Text = ""
    created_at: _Millis = None
    format: _Text = DEFAULT_FORMAT
    file_name: _FileName = None
    rows: _Number = 0
    bytes: _Number = 0
    sha256: str | None = None
    warnings: list[TaskWarning] = Field(default_factory=list[TaskWarning])
    progress: Progress = Progress()
    error: TaskError | None = None
    started_at: _Millis = None
    finished_at: _Millis = None
    updated_at: _Millis = None
    purge_at: _Millis = None
    workflow_id: str | None = None
    run_id: str | None = None
    data_until: _Millis = None
    cancel_reason: str | None = None
    notify: list[str] | None = None
    recurring: str | None = None
    object_key: str | None = Field(default=None, exclude=True)
    store: dict[str, str] | None = Field(default=None, exclude=True)
    sweep_starts: _Number = Field(default=0, exclude=True)
    joined: bool = Field(default=False, exclude=True)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Read a stored document, whose status is a `TaskStatus`."""
        values = {
            **document,
            "id": str(document["_id"]),
            "workflowId": _workflow_of(document),
            "objectKey": _file_key_of(document),
            "joined": False,  # it says something about a call, not about the task
        }
        try:
            return cls.model_validate(values, by_alias=True, by_name=False)
        except ValidationError as error:
            for item in error.errors(include_input=False):
                values.pop(str(item["loc"][0]), None)
            return cls.model_validate(values, by_alias=True, by_name=False)

    def key_of_file(self) -> str:
        """Return the key of the file of a task that is done.

        Raises:
            TaskInvalidError: The document does not name a file of this task and its run.
        """
        if self.object_key is None:
            raise TaskInvalidError(
                "The objectKey of the task must be the key of a file of this task and its run."
            )
        return self.object_key

    def request(self) -> ExportRequest:
        """Return the input of the workflow that runs the task, which may be invalid.

        It is only shown to people. The run reads the document itself.
        """
        return ExportRequest(
            type=self.type[:200] or "unknown",
            params=self.params if len(str(self.params)) < _MAX_SHOWN_PARAMS else {},
            created_by=self.created_by[:200] or "unknown",
            format=self.format[:40] or DEFAULT_FORMAT,
            task_id=self.id,
        )

    def result(self) -> ExportResult:
        """Return the task as the output of its workflow."""
        return ExportResult(
            task_id=self.id,
            status=self.status,
            file_name=self.file_name,
            rows=self.rows,
            bytes=self.bytes,
            sha256=self.sha256,
        )


def _workflow_of(document: Document) -> str | None:
    """Return the `workflowId` of a document, if a workflow with this id runs this task."""
    workflow = document.get("workflowId")
    if isinstance(workflow, str) and names.task_id_of(workflow) == str(document["_id"]):
        return workflow
    return None


def _file_key_of(document: Document) -> str | None:
    """Return the `objectKey` of a document, if it is a key of a file of this task and its run."""
    task_id, run_id, key = document["_id"], document.get("runId"), document.get("objectKey")
    if not (isinstance(task_id, ObjectId | str) and isinstance(run_id, str)):
        return None
    if isinstance(key, str) and names.is_file_key(key, str(task_id), run_id):
        return key
    return None


def stored_ids(task_id: str) -> list[ObjectId | str]:
    """Return what a task's `_id` may be: an ObjectId, if the id is written like one, or the text.

    If there is a document for both, the id means the ObjectId. The other one is refused, so that
    no task is ever run, or shown, with the fields of another.
    """
    if ObjectId.is_valid(task_id) and str(ObjectId(task_id)) == task_id:
        return [ObjectId(task_id), task_id]
    return [task_id]

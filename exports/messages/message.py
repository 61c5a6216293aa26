"""What a message says. Safe to import in the workflow sandbox.

A message never has a link, a row or a secret: it goes through Temporal's history, and to others.
"""

from enum import StrEnum

from exports.models import TaskStatus, WireModel


class Event(StrEnum):
    """What a message tells of, by the names that receivers see."""

    DONE = "export.done"
    FAILED = "export.failed"
    CANCELLED = "export.cancelled"
    EXPIRING = "export.expiring"
    TEST = "webhook.test"
    WEBHOOK_DISABLED = "webhook.disabled"
    RECURRING_PAUSED = "recurring.paused"


class Problem(WireModel):
    """Why an export failed.

    Attributes:
        code: The stable code of the error.
        msg: The error in one sentence.
    """

    code: str
    msg: str


class ExportFacts(WireModel):
    """The export that a message is about.

    Attributes:
        id: The task's id.
        type: Name of the report.
        period: The period, in a few characters: `2026-10`. None if that is not known.
        format: Name of the file format.
        status: The status that the message tells of.
        file_name: Name of the file, for people; None if there is none.
        rows: Rows in the file.
        bytes: Size of the file.
        error: Why it failed, if it did.
        file_url: The API's address of the file, which makes a link on each use; None if there is no
            file, or if the address of the API is not known here.
        expires_at: When the file is removed (epoch milliseconds); None if there is none.
        recurring: The id of the recurring export that it is of, if it is of one.
    """

    id: str
    type: str
    period: str | None = None
    format: str
    status: TaskStatus
    file_name: str | None = None
    rows: int = 0
    bytes: int = 0
    error: Problem | None = None
    file_url: str | None = None
    expires_at: int | None = None
    recurring: str | None = None


class Subject(WireModel):
    """Something other than an export that a message is about: a webhook, a recurring export.

    Attributes:
        id: Its id.
        name: Its name, for people.
        reason: What happened to it, in one sentence.
    """

    id: str
    name: str
    reason: str


class Message(WireModel):
    """One message, the same for everybody who is told.

    Attributes:
        id: The same for every attempt, every channel and every address.
        event: What it tells of.
        at: When that happened (epoch milliseconds).
        created_by: Whose export it is; the person who is told.
        export: The export, if it is about one.
        subject: What it is about, if that is not an export.
    """

    id: str
    event: Event
    at: int
    created_by: str
    export: ExportFacts | None = None
    subject: Subject | None = None

"""What is known of a recurring export: the document of `ExportRecurring`, and what people see."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import ConfigDict, Field, JsonValue

from exports.models import Author, ExportRequest, Recurrence, WireModel
from exports.recurring.when import When


class Asked(WireModel):
    """What a recurring export makes, and when: what its owner asked for.

    Attributes:
        name: Its name, for people.
        type: Name of the report.
        params: The parameters of the report, but for those that the period says.
        format: Name of the file format.
        period: The period of each export, relative to the time that it is planned for.
        notify: The channels by which its owner is told of each export; None: by their default.
        when: When it is due.
    """

    name: str
    type: str
    params: dict[str, JsonValue] = Field(default_factory=dict)
    format: str
    period: str | None = None
    notify: list[str] | None = None
    when: When


class Record(Asked):
    """A stored recurring export.

    Attributes:
        id: Its id.
        created_by: Its owner.
        created_at: When it was created (epoch milliseconds).
        scheduled_at: When its Schedule was there for the first time (epoch milliseconds); None if
            that has not been seen yet.
        deleted_at: When it was deleted (epoch milliseconds); None if it is there.
        refused: Whether it never was, because Temporal could not read when it is due.
    """

    id: str = Field(alias="_id")
    created_by: str
    created_at: int
    scheduled_at: int | None = None
    deleted_at: int | None = None
    refused: bool = False

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored document."""
        return cls.model_validate(document)

    def request(self) -> ExportRequest:
        """Return the input of each of its runs."""
        return ExportRequest(
            type=self.type,
            params=self.params,
            created_by=self.created_by,
            format=self.format,
            notify=self.notify,
            recurring=Recurrence(id=self.id, period=self.period),
        )


class RecurringState(StrEnum):
    """Whether a recurring export makes exports."""

    ACTIVE = "active"
    PAUSED = "paused"
    MISSING = "missing"
    """Somebody has deleted its Schedule in Temporal."""


class RecurringExport(Asked):
    """A recurring export, as its owner sees it.

    Attributes:
        id: Its id.
        created_by: Its owner.
        created_at: When it was created (epoch milliseconds).
        state: What its Schedule says.
        note: Why it was paused or resumed, and by whom.
        next_runs: The next times that it is planned for (epoch milliseconds).
        last_runs: The last times that an export was started for (epoch milliseconds).
    """

    id: str
    created_by: str
    created_at: int
    state: RecurringState
    note: str = ""
    next_runs: list[int] = Field(default_factory=list[int])
    last_runs: list[int] = Field(default_factory=list[int])


class RecurringAction(StrEnum):
    """What is done to a recurring export."""

    CREATED = "created"
    PAUSED = "paused"
    RESUMED = "resumed"
    TRIGGERED = "triggered"
    BACKFILLED = "backfilled"
    DELETED = "deleted"


class RecurringEntry(Author):
    """One entry of the audit record of a recurring export.

    It is stored before the Schedule is asked to do it. What somebody does in Temporal's Web UI is
    not in it.

    Attributes:
        at: When (epoch milliseconds).
        did: What.
        code: The code of the error, if it was paused because of one.
        since: Of a backfill: from when on (epoch milliseconds).
        until: Of a backfill: until before when (epoch milliseconds).
    """

    model_config = ConfigDict(extra="ignore")

    at: int
    did: RecurringAction
    code: str | None = None
    since: int | None = None
    until: int | None = None

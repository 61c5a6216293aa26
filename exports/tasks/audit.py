"""The audit record of a task: what happened to it, when, who did it, and from where.

It is the array `audit` of the task's document. Each entry is added by the same update as the change
it records, so that the two are always true together. Entries are never changed or removed.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, cast

from pydantic import ConfigDict, ValidationError

from exports.models import Author

AUDIT: Final = "audit"
"""Name of the array in the document."""
MAX_ENTRIES: Final = 500
"""A record of this length takes no more entries, except for what happens only once to a task."""
_MAX_TO_JOIN: Final = 100
"""The same for `joined`: a program that asks every second must not fill the record."""


class AuditAction(StrEnum):
    """What happens to a task."""

    CREATED = "created"
    JOINED = "joined"
    STARTED = "started"
    RETRIED = "retried"
    SIGNED = "signed"
    RENEWED = "renewed"
    DOWNLOADED = "downloaded"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DONE = "done"
    EXPIRED = "expired"


_ONCE: Final = frozenset(
    {
        AuditAction.CREATED,
        AuditAction.SIGNED,
        AuditAction.DONE,
        AuditAction.CANCELLED,
        AuditAction.EXPIRED,
    }
)


class AuditEntry(Author):
    """One entry. It holds no link, no object key and no value of a row.

    Attributes:
        at: When, in epoch milliseconds, by the clock of the machine that made the change.
        did: What happened. `started`: a run took the task. `retried`: an attempt failed and
            another one follows, or a person asked for a failed export again. `signed`: the first
            link was made; `renewed`: another link was made; `downloaded`: a link for one download
            was made. `joined`: the person asked for the same again and got this task. The others
            are the status that the task then had.
        run: The run that made the change, if it was a run.
        code: The code of the error, if something failed.
        until: When the link expires, if a link was made (epoch milliseconds).
    """

    model_config = ConfigDict(extra="ignore")

    at: int
    did: AuditAction
    run: str | None = None
    code: str | None = None
    until: int | None = None


def entry(
    author: Author,
    did: AuditAction,
    at: int,
    *,
    run: str | None = None,
    code: str | None = None,
    until: int | None = None,
) -> AuditEntry:
    """Return a new entry; the arguments are its attributes."""
    return AuditEntry(
        role=author.role,
        user=author.user,
        origin=author.origin,
        at=at,
        did=did,
        run=run,
        code=code,
        until=until,
    )


def stored(entries: Sequence[AuditEntry]) -> list[dict[str, Any]]:
    """Return entries as the document holds them."""
    return [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in entries]


def last_place(entries: Sequence[AuditEntry]) -> str | None:
    """Return the field that is there if a record is too full for these entries; None if none is."""
    if all(item.did in _ONCE for item in entries):
        return None
    joins = all(item.did is AuditAction.JOINED for item in entries)
    return f"{AUDIT}.{(_MAX_TO_JOIN if joins else MAX_ENTRIES) - 1}"


def entries_of(document: Mapping[str, object]) -> list[AuditEntry]:
    """Return the audit record of a document.

    Args:
        document: Of a task. An older one, or one that another system inserted, may have no record,
            or anything in its place: what is not an entry is left out.
    """
    found = document.get(AUDIT)
    entries: list[AuditEntry] = []
    for item in cast("list[object]", found) if isinstance(found, list) else []:
        try:
            entries.append(AuditEntry.model_validate(item, by_alias=True, by_name=False))
        except ValidationError:
            continue
    return entries

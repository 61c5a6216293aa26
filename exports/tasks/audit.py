"""The audit record of a task: what happened to it, when, by whom and from origin.

It is the array `audit` of the task's document. Each entry is pushed by the update that it tells
of, so that it is exactly as true as that update, and nothing ever takes one out or changes it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, cast

from pydantic import ConfigDict, ValidationError

from exports.models import Author

AUDIT: Final = "audit"
"""Name of the array in the document."""
ROOM: Final = 500
"""From so many entries on, only what can happen once in the life of a task is added."""


class AuditAction(StrEnum):
    """What happens to a task."""

    CREATED = "created"
    STARTED = "started"
    RETRIED = "retried"
    SIGNED = "signed"
    RENEWED = "renewed"
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
    """One entry. Holds no link, no key and no value of a row.

    Attributes:
        at: When, in epoch milliseconds, by the clock that stamps the document.
        did: What. `started`: a run took the task up. `retried`: an attempt failed and another
            follows, or a person asked again for what had failed. `signed`: the first link was
            made; `renewed`: a fresh one. The others are the status that the task then had.
        run: The run that did it, if one did.
        code: The code of the error, of what failed.
        until: Until when the link is good, of a link (epoch milliseconds).
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
    """Return what is to be added to the record."""
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


def with_room(entries: Sequence[AuditEntry]) -> dict[str, Any]:
    """Return the condition under which a document takes entries."""
    if all(item.did in _ONCE for item in entries):
        return {}
    return {f"{AUDIT}.{ROOM - 1}": {"$exists": False}}


FULL: Final[Mapping[str, Any]] = {f"{AUDIT}.{ROOM - 1}": {"$exists": True}}
"""The opposite condition."""


def entries_of(document: Mapping[str, object]) -> list[AuditEntry]:
    """Return the record of a document; what others have put there and makes no sense is left out.

    Args:
        document: A task's, also an older one or another system's, which has none.
    """
    found = document.get(AUDIT)
    entries: list[AuditEntry] = []
    for item in cast("list[object]", found) if isinstance(found, list) else []:
        try:
            entries.append(AuditEntry.model_validate(item, by_alias=True, by_name=False))
        except ValidationError:
            continue
    return entries

"""Quotas: how many exports a person may have at once, and on a day.

A task holds a slot of each limit that it counts for. A slot is a text such as `<person>::3`, which
only one document can hold, by an index: so that of many who ask at once, no more get a task than
there are slots. Nobody gives a slot back when an export ends. Who asks next finds the slots of
those that have ended, and frees them; so there is no count that could go wrong in a crash.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar, cast

from pydantic import Field

from exports import names
from exports.clock import epoch_ms, from_epoch_ms, now_ms
from exports.documents import ANY_TEXT, ConflictError, Stored, read
from exports.errors import QuotaError
from exports.models import WireModel
from exports.tasks.collection import DAY_SLOTS, OPEN, OPEN_SLOTS, TaskCollection

_FIELDS: Final = {"open": OPEN_SLOTS, "day": DAY_SLOTS}
_ATTEMPTS: Final = 50
"""How often a call tries again after others got what it wanted."""
_T = TypeVar("_T")


class Limit(NamedTuple):
    """How many exports one person may have.

    Attributes:
        per: `open`: that have not ended. `day`: that were asked for on one day, in UTC.
        report: Only those of this report; None for all reports together.
        most: How many.
    """

    per: Literal["open", "day"]
    report: str | None
    most: int


class Quota(WireModel):
    """A limit, and how much of it is used.

    Attributes:
        limit: The largest number of exports.
        used: How many there are; more than `limit` if the limit was lowered meanwhile.
        resets_at: When the day is over (epoch milliseconds); None for a limit of open exports.
    """

    limit: int
    used: int
    resets_at: int | None = None


class ReportQuotas(WireModel):
    """The limits of one report.

    Attributes:
        open: Of exports that have not ended; None if there is no limit.
        day: Of exports that were asked for today, in UTC; None if there is no limit.
    """

    open: Quota | None = None
    day: Quota | None = None


class Quotas(ReportQuotas):
    """The limits of a person: of all reports together, and of single reports.

    Attributes:
        reports: By the name of the report, for those that have a limit of their own.
    """

    reports: dict[str, ReportQuotas] = Field(default_factory=dict[str, ReportQuotas])

    @classmethod
    def of(cls, used: Mapping[Limit, Quota]) -> Self:
        """Return what is used of limits, ordered by what they limit."""
        found: dict[str | None, dict[str, Quota]] = {None: {}}
        for limit, quota in used.items():
            found.setdefault(limit.report, {})[limit.per] = quota
        overall = found.pop(None)
        reports = {str(name): ReportQuotas(**limits) for name, limits in found.items()}
        return cls(**overall, reports=reports)


class Slots:
    """Finds the slots that a person has left.

    Args:
        tasks: The collection.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks

    async def take(
        self,
        created_by: str,
        limits: Sequence[Limit],
        store: Callable[[Stored], Awaitable[_T]],
        *,
        but: str | None = None,
    ) -> _T:
        """Store a task with free slots, with others if another task takes one of them first.

        Args:
            created_by: The person.
            limits: What is limited.
            store: Stores the task with these fields, and returns what becomes of it.
            but: The id of a task whose own slots count as free.

        Raises:
            QuotaError: A limit is reached.
            ConflictError: Others were first, again and again.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return await store(await self._free(created_by, limits, but=but))
            except ConflictError as error:
                if attempt == _ATTEMPTS:
                    raise
                await self._release_taken(error, created_by)

    async def _free(
        self, created_by: str, limits: Sequence[Limit], *, but: str | None = None
    ) -> Stored:
        """Return free slots as the fields of a task, one for each limit; see `take`."""
        fields: Stored = {}
        for limit, held in (await self._held(created_by, limits, but=but)).items():
            check_quota(limit, held.quota)
            field = _FIELDS[limit.per]
            every = {names.slot(held.prefix, limit.report, number) for number in range(limit.most)}
            free = every - held.taken - held.ended.keys()
            if not free:
                await self._release(field, held.ended.values(), created_by)
                free = every - held.taken
            # Not the first one, which all others who ask now would try to take as well.
            fields.setdefault(field, []).append(secrets.choice(sorted(free)))
        return fields

    async def used(self, created_by: str, limits: Sequence[Limit]) -> dict[Limit, Quota]:
        """Return how much of each limit a person has used."""
        held = await self._held(created_by, limits)
        return {limit: of_limit.quota for limit, of_limit in held.items()}

    async def _release_taken(self, conflict: ConflictError, created_by: str) -> None:
        """Free a slot that could not be taken, if it is in a task that can't hold it."""
        if conflict.field in _FIELDS.values():
            found = await read(
                self._tasks.documents, {conflict.field: conflict.value}, {"_id": True}
            )
            await self._release(conflict.field, [item["_id"] for item in found], created_by)

    async def _held(
        self, created_by: str, limits: Sequence[Limit], *, but: str | None = None
    ) -> dict[Limit, "_Held"]:
        today = from_epoch_ms(now_ms()).replace(hour=0, minute=0, second=0, microsecond=0)
        found: dict[Limit, _Held] = {}
        for per, field in _FIELDS.items():
            mine = [limit for limit in limits if limit.per == per]
            if not mine:
                continue
            by_day = per == "day"
            prefix = names.slots_prefix(created_by, f"{today:%Y-%m-%d}" if by_day else "")
            # Each of these has an index that leads to little else.
            query: Stored = {"createdBy": created_by} | (
                {"createdAt": {"$gte": epoch_ms(today)}} if by_day else {OPEN_SLOTS: ANY_TEXT}
            )
            holders = await read(self._tasks.documents, query, {**_HOLDER, field: True})
            taken, ended = set[str](), dict[str, object]()
            for holder in holders:
                for slot in _slots(holder.get(field), prefix):
                    if str(holder["_id"]) != but and _holds(holder, field, created_by):
                        taken.add(slot)
                    else:
                        ended[slot] = holder["_id"]
            for limit in mine:
                of_limit = names.slot(prefix, limit.report, 0).removesuffix("0")
                used = sum(slot.startswith(of_limit) for slot in taken)
                resets_at = epoch_ms(today + timedelta(days=1)) if by_day else None
                quota = Quota(limit=limit.most, used=used, resets_at=resets_at)
                found[limit] = _Held(prefix, taken, ended, quota)
        return found

    async def _release(self, field: str, ids: Iterable[object], created_by: str) -> None:
        """Take the slots from these tasks, unless one of them can hold them by now."""
        holds: Stored = {"createdBy": {"$eq": created_by, "$not": {"$type": "array"}}}
        if field == OPEN_SLOTS:
            holds["status"] = {"$in": OPEN, "$not": {"$type": "array"}}
        for stored_id in ids:
            await self._tasks.update(
                {"_id": {"$eq": stored_id}, "$nor": [holds]}, {"$unset": {field: ""}}
            )


class _Held(NamedTuple):
    prefix: str
    taken: set[str]
    ended: dict[str, object]
    quota: Quota


_HOLDER: Final = {"status": True, "createdBy": True}


def _holds(holder: Mapping[str, Any], field: str, created_by: str) -> bool:
    """Return whether a task may hold a slot of a person."""
    return holder.get("createdBy") == created_by and (
        field != OPEN_SLOTS or holder.get("status") in OPEN
    )


def _slots(value: object, prefix: str) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item.startswith(prefix)]


def check_quota(limit: Limit, quota: Quota) -> None:
    """Check that a person has one export left.

    Raises:
        QuotaError: The limit is reached.
    """
    if quota.used < quota.limit:
        return
    of = "exports" if limit.report is None else f"exports of {limit.report}"
    if quota.resets_at is None:
        raise QuotaError(
            f"You have {quota.used} {of} that have not ended, and the limit is {quota.limit}. "
            "Wait until one of them ends, or cancel one."
        )
    ends = from_epoch_ms(quota.resets_at)
    raise QuotaError(
        f"You have asked for {quota.used} {of} today, and the limit is {quota.limit} a day. "
        f"The next day begins at {ends:%Y-%m-%d %H:%M} UTC.",
        retry_at=quota.resets_at,
    )

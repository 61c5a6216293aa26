"""The kill -9 storm: users who create, cancel and retry exports while workers are killed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from exports.client import ExportClient
from exports.errors import ExportError
from exports.models import TaskStatus
from tests.support.chaos.client_record import RecordedUser
from tests.support.chaos.herd import Herd, HerdWorker, Step
from tests.support.chaos.operations import Record

Request = tuple[str, Mapping[str, object], str]

USERS: Final = ("ann", "bea", "cem", "dan")
LATE: Final = "lateMonthly"
LARGE: Final = "large"
_YEAR: Final[Mapping[str, object]] = {"year": 2026}
_NOTHING: Final[Mapping[str, object]] = {}
_OCTOBER: Final[Mapping[str, object]] = {"year": 2026, "month": 10}
_TWO_MONTHS: Final[Mapping[str, object]] = {"from": "2026-09-01", "to": "2026-11-01"}
_A_DAY: Final[Mapping[str, object]] = {"from": "2026-10-12", "to": "2026-10-13"}
REQUESTS: Final[tuple[Request, ...]] = (
    *(("statsMonthly", _OCTOBER, form) for form in ("csv", "xlsx", "parquet")),
    *(("statsAnnual", _YEAR, form) for form in ("xlsx", "csv.gz")),
    *(("recordsDetail", _TWO_MONTHS, form) for form in ("csv", "parquet", "ndjson.gz")),
    *(("recordsDetail", _A_DAY, form) for form in ("xlsx", "ndjson")),
    *((LATE, _OCTOBER, "csv"), (LARGE, _NOTHING, "csv")),
)
"""The requests: both types of statistics and single documents, in every format."""

_PATIENCE: Final = timedelta(minutes=10)
# After six lost workers in a row a step is blamed for it. The storm must not cause that.
_MOST_IN_A_ROW: Final = 3
_AIM: Final = 1.0
_CANCELLED: Final = 0.25
_TWICE: Final = 0.5
_SWEEP_EVERY: Final = 5.0


@dataclass(frozen=True)
class Size:
    """The size of a storm.

    Attributes:
        exports: How many exports are created; retries are not counted.
        kills: How many workers are killed inside a step.
        side_by_side: How many exports are waited for at once.
        pause: Minimum seconds between two kills.
    """

    exports: int
    kills: int
    side_by_side: int
    pause: float = 0.8


class Storm:
    """One storm.

    Args:
        size: Its size.
        seed: Decides who creates what, and what happens to it.
        client: The client that all users share.
        herd: The workers.
        record: Gets every operation.
        repair: Repairs the report that fails at first; called at half-time.
    """

    def __init__(
        self,
        size: Size,
        seed: str,
        *,
        client: ExportClient,
        herd: Herd,
        record: Record,
        repair: Callable[[], Awaitable[None]],
    ) -> None:
        self._size = size
        self._random = Random(seed)  # noqa: S311 -- no secret
        self._client = client
        self._herd = herd
        self._repair = repair
        self._repaired = asyncio.Event()
        self._users = [RecordedUser(name, client, record) for name in USERS]
        self._owners: list[tuple[RecordedUser, str]] = []
        self._asked = 0
        self._answered = 0
        self._slack = size.side_by_side * size.kills
        self._killed = 0

    async def run(self) -> None:
        """Create all exports and kill workers, until every export has ended."""
        async with asyncio.TaskGroup() as around:
            sweeping = around.create_task(self._sweeps())
            killing = around.create_task(self._kills())
            async with asyncio.TaskGroup() as asking:
                for _ in range(self._size.side_by_side):
                    asking.create_task(self._asks(asking, killing))
            sweeping.cancel()
        for user in self._users:
            await user.list()

    async def _asks(self, later: asyncio.TaskGroup, killing: "asyncio.Task[None]") -> None:
        while self._asked < self._size.exports or not killing.done():
            # There is work as long as kills are missing.
            if self._asked * self._size.kills > self._size.exports * self._killed + self._slack:
                await asyncio.sleep(0.1)
                continue
            self._asked += 1
            await self._errand(later)
            self._answered += 1

    async def _errand(self, later: asyncio.TaskGroup) -> None:
        random = Random(self._random.random())  # noqa: S311 -- no secret
        user = random.choice(self._users)
        request = REQUESTS[self._asked % len(REQUESTS)]
        task = await self._created(user, request)
        await self._intrude(random, user)
        if random.random() < _CANCELLED:
            await asyncio.sleep(random.choice((0.0, 0.1, 0.5, 2.0)))
            await user.cancel(task)
            if random.random() < _TWICE:
                await user.cancel(task)
            if random.random() < _TWICE:
                await self._followed(user, await self._created(user, request), later)
        await self._followed(user, task, later)

    async def _created(self, user: RecordedUser, request: Request) -> str:
        task = await user.create(*request)
        self._owners.append((user, task))
        return task

    async def _followed(self, user: RecordedUser, task: str, later: asyncio.TaskGroup) -> None:
        ended = await user.wait(task, _PATIENCE)
        if ended is None:
            return
        if ended.status is TaskStatus.FAILED:
            later.create_task(self._again(user, task))
        if ended.status is TaskStatus.DONE:
            await user.renew(task)

    async def _again(self, user: RecordedUser, task: str) -> None:
        await self._repaired.wait()
        await user.retry(task)
        await user.wait(task, _PATIENCE)

    async def _intrude(self, random: Random, user: RecordedUser) -> None:
        """Try to use somebody else's task; if the chosen task is one's own, read the list."""
        owner, task = random.choice(self._owners)
        if owner is user:
            await user.list()
            return
        await random.choice((user.get, user.cancel, user.renew, user.retry))(task)

    async def _sweeps(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            with suppress(ExportError):  # its workers are killed as well
                await self._client.sweep()

    async def _kills(self) -> None:
        while self._killed < self._size.kills:
            await asyncio.sleep(self._size.pause * self._random.uniform(0.5, 1.5))
            # Kills keep pace with the answers, so that all exports are in the storm.
            while (
                self._killed * self._size.exports > self._size.kills * self._answered + self._slack
            ):
                await asyncio.sleep(0.05)
            while not await self._one_kill():
                await asyncio.sleep(0.01)
            self._killed += 1
            if self._killed * 2 >= self._size.kills and not self._repaired.is_set():
                await self._repair()
                self._repaired.set()

    async def _one_kill(self) -> bool:
        self._herd.replace_dead()
        found = await self._aimed()
        if found is None:
            return False
        worker, step = found
        if any(self._herd.lost[one.place] >= _MOST_IN_A_ROW for one in worker.inside.values()):
            return False
        return self._herd.kill(worker, step)

    async def _aimed(self) -> tuple[HerdWorker, Step] | None:
        """Return a worker in the middle of the kind of step that was hit least."""
        known = self._herd.seconds
        if not known:
            return None
        name = min(sorted(known), key=lambda one: (self._herd.kills[one], self._random.random()))
        try:
            async with asyncio.timeout(_AIM):
                worker, step = await self._herd.begin_of(name)
        except TimeoutError:
            inside = self._herd.inside()
            return self._random.choice(inside) if inside else None
        await asyncio.sleep(self._random.uniform(0, known[name]))
        return worker, step

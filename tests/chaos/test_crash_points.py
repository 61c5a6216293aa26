"""A process may die before and after each of its writes, and so may the one that replaces it.

A recorded run says which writes there are. Then, at each of these boundaries, a worker ends, its
replacement ends at the same boundary if it gets there, and a third worker finishes the export.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exports.tasks.task import ExportTask
from tests.support.chaos import boundaries
from tests.support.chaos.corners import Reference, closed, corner, working
from tests.support.chaos.forked import ENDED_THERE, Forked, Orders, environment_of, forked, until
from tests.support.chaos.forms import LONG, SEED
from tests.support.service import USER, Service, insert_orders

# More at once would overload the embedded database and fail for that reason.
SIDE_BY_SIDE = 12 if LONG else 16

_log = logging.getLogger(__name__)


async def _left_alone(service: Service, task: ExportTask) -> None:
    del service, task


async def _cancelled_at_work(service: Service, task: ExportTask) -> None:
    """Cancel an export as soon as its document says that rows are there."""
    while (await service.document(task.id)).get("progress", {}).get("rows", 0) == 0:
        await asyncio.sleep(0.2)
    await service.run_of(task.id).signal("cancel", {"reason": "enough"})


@dataclass(frozen=True)
class Scenario:
    """An export, and what happens to it while it runs."""

    kind: str
    params: dict[str, Any] | None = None
    drive: Callable[[Service, ExportTask], Coroutine[Any, Any, None]] = _left_alone
    reports: str | None = None
    long: bool = False
    own: str = ""
    short: int | None = None

    async def begun(self, service: Service) -> ExportTask:
        given = {} if self.params is None else {"params": self.params}
        return await service.create(self.kind, created_by=USER, **given)


HELD = '[reports.held]\npython = "tests.support.chaos.held_rows:HeldRows"\n'
SCENARIOS = {
    "statsMonthly": Scenario("statsMonthly"),
    # Until it is cancelled, it is the same export as the one above.
    "cancelled": Scenario(
        "held", {}, _cancelled_at_work, HELD, own="request_cancel_activity", short=12
    ),
    "statsAnnual": Scenario("statsAnnual", long=True),
    "recordsDetail": Scenario(
        "recordsDetail", {"from": "2026-10-01", "to": "2026-11-01"}, long=True
    ),
}


@pytest.fixture(params=[name for name, one in SCENARIOS.items() if LONG or not one.long])
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return SCENARIOS[request.param]


@pytest.fixture
async def base(idle_service: Service, scenario: Scenario, tmp_path: Path) -> AsyncIterator[Service]:
    await insert_orders(idle_service.database)
    reports = idle_service.settings.reports_file
    if scenario.reports is not None:
        reports = tmp_path / "reports.toml"
        reports.write_text(scenario.reports)
    async with corner(idle_service, "r", reports_file=reports) as service:
        yield service


async def _recorded(
    service: Service, scenario: Scenario, tmp_path: Path
) -> tuple[list[str], Reference]:
    """Return the boundaries of an export, and how it ends."""
    task = await scenario.begun(service)
    orders = Orders(environment_of(service), tmp_path / "recorded")
    async with forked(orders) as process:
        await asyncio.wait_for(scenario.drive(service, task), 150)
        await closed(service, task.id)
        # The export has closed with the last write; the process may not have heard it yet.
        await until(lambda: process.boundaries()[-1].endswith(", after"))
        found = process.boundaries()
    ended = await service.ended(task.id)
    return boundaries.without_repeated_heartbeats(found), Reference.of(ended)


def _chosen(found: list[str], scenario: Scenario) -> list[str]:
    """Return all boundaries; in the short form those after writes, or a sample."""
    if LONG:
        return found
    if scenario.short is None:
        return boundaries.after_writes(found)
    first = next(index for index, name in enumerate(found) if scenario.own in name)
    return random.Random(SEED).sample(found[first:], scenario.short)  # noqa: S311 -- not for secrets


async def _ended_there(process: Forked, close: "asyncio.Task[None]", *, surely: bool) -> bool:
    """Return whether a process ended at its boundary, before the export did."""
    await until(lambda: process.exit_code is not None or (close.done() and not surely))
    assert process.exit_code in (None, ENDED_THERE), process.said()
    return process.exit_code is not None


async def _survived(
    base: Service, scenario: Scenario, boundary: str, name: str, reference: Reference, tmp: Path
) -> int:
    """Let two workers in a row end at a boundary and a third go on; return how many ended."""
    async with corner(base, name) as service:
        task = await scenario.begun(service)
        close = asyncio.create_task(closed(service, task.id))
        drive = asyncio.create_task(scenario.drive(service, task))
        environment = environment_of(service)
        ends = 0
        try:
            for turn in (1, 2):
                orders = Orders(environment, tmp / f"{name}-{turn}", at=boundary)
                async with forked(orders) as process:
                    surely = turn == 1 and not boundaries.by_chance(boundary)
                    if not await _ended_there(process, close, surely=surely):
                        break
                    ends += 1
            async with working(service):
                await asyncio.wait_for(close, 150)
                await drive
                await service.client.sweep()
            await reference.check(service, task.id)
        finally:
            for task_here in (close, drive):
                task_here.cancel()
                with suppress(asyncio.CancelledError):
                    await task_here
        return ends


@pytest.mark.timeout(1800 if LONG else 400)
async def test_an_export_ends_the_same_wherever_its_workers_die_twice(
    base: Service, scenario: Scenario, tmp_path: Path
) -> None:
    found, reference = await _recorded(base, scenario, tmp_path)
    chosen = _chosen(found, scenario)
    free = asyncio.Semaphore(SIDE_BY_SIDE)

    async def survived(index: int, boundary: str) -> str | None:
        async with free:
            try:
                ends = await _survived(base, scenario, boundary, f"c{index}", reference, tmp_path)
            except Exception as error:  # noqa: BLE001 -- one failure does not stop the others
                return f"{boundary}: {error!r}"
        _log.info("%s: %s ended there", boundary, ends)
        return None

    problems = await asyncio.gather(
        *(survived(index, boundary) for index, boundary in enumerate(chosen))
    )
    assert len(found) > 20
    assert [problem for problem in problems if problem] == []

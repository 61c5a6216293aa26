"""The HTTP API, compared with the client that it stands on: create, get and list, 50 at a time.

`exports api` is one process of its own, as in production; whoever asks is in the process of the
benchmark, on the same machine. The reference is `ExportClient` in that process, without HTTP. Both
ask for the same exports, of 50 people with ten open ones each, so that joining and quotas have
their usual work. No worker runs meanwhile, and each is measured on servers that have just been
started.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import httpx2

from benchmarks.bench import Bench, opened
from benchmarks.month import REPORT
from benchmarks.plan import Plan
from benchmarks.results import Outcome, Row
from benchmarks.small import side_by_side
from benchmarks.waiting import p95
from exports.temporal.pollers import pollers
from exports.tokens import TokenStore

_AT_A_TIME: Final = 50
_FIRST: Final = "first"
_LOOK: Final = 0.1  # seconds
_READY: Final = "The API listens on "
_CALLS: Final = ("create", "get", "list")


@dataclass(frozen=True)
class _Ways:
    """A way to ask: each function takes a person, and `get` also an id."""

    create: Callable[[str, dict[str, Any]], Awaitable[str]]
    get: Callable[[str, str], Awaitable[object]]
    list: Callable[[str], Awaitable[object]]


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    each = plan.pick(full=10, quick=10, smoke=1)
    people = [f"u{number}" for number in range(plan.pick(full=50, quick=50, smoke=2))]
    measured: list[tuple[dict[str, list[float]], dict[str, list[float]]]] = []
    for _ in range(plan.runs):
        async with opened() as bench, _over_http(bench, people) as ways:
            ours = await _measured(bench, ways, people, each)
        async with opened() as bench:
            measured.append((ours, await _measured(bench, _in_process(bench), people, each)))
    return Outcome(
        rows=[
            Row(
                what=f"{len(people) * each} times {call}, {_AT_A_TIME} at a time: {name}",
                unit="ms",
                ours=[figure(ours[call]) for ours, _ in measured],
                reference=[figure(theirs[call]) for _, theirs in measured],
                reference_name="without HTTP",
            )
            for call in _CALLS
            for name, figure in (("p50", median), ("p95", p95))
        ]
    )


async def _measured(
    bench: Bench, ways: _Ways, people: list[str], each: int
) -> dict[str, list[float]]:
    """Return the milliseconds of each request, by call."""
    took: dict[str, list[float]] = {call: [] for call in _CALLS}
    ids: list[tuple[str, str]] = []

    async def create(who: str, month: int) -> None:
        ids.append((who, await ways.create(who, {"year": 2026, "month": month})))

    async def timed(call: str, work: Awaitable[object]) -> None:
        began = time.perf_counter()
        await work
        took[call].append((time.perf_counter() - began) * 1000)

    # Their first requests read tokens, make indexes and look for a worker, once.
    with bench.process("worker.py"):
        while not await pollers(bench.temporal, bench.settings.task_queue):  # noqa: ASYNC110 -- Temporal says it
            await asyncio.sleep(_LOOK)
        await ways.create(_FIRST, {"year": 2025, "month": 1})
    for who in people:
        await ways.list(who)
    asked = [(who, month + 1) for month in range(each) for who in people]
    await side_by_side(lambda: timed("create", create(*asked.pop())), len(asked), _AT_A_TIME)
    seen = list(ids)
    await side_by_side(lambda: timed("get", ways.get(*seen.pop())), len(seen), _AT_A_TIME)
    listed = [who for who, _ in ids]
    await side_by_side(lambda: timed("list", ways.list(listed.pop())), len(listed), _AT_A_TIME)
    return took


def _in_process(bench: Bench) -> _Ways:
    async def create(who: str, params: dict[str, Any]) -> str:
        return (await bench.client.create(REPORT, params, created_by=who)).id

    return _Ways(
        create,
        lambda who, task_id: bench.client.get(task_id, created_by=who),
        lambda who: bench.client.list(created_by=who),
    )


@asynccontextmanager
async def _over_http(bench: Bench, people: list[str]) -> AsyncGenerator[_Ways]:
    tokens = TokenStore(bench.database)
    headers = {
        who: {"Authorization": f"Bearer {(await tokens.create(who))[0]}"}
        for who in (_FIRST, *people)
    }
    with bench.process(
        *("-m", "exports.cli.app", "api"),
        ready=_READY,
        EXPORTS_API_LISTEN="127.0.0.1:0",
        EXPORTS_API_RATE="1000000",
    ) as api:
        [url] = re.findall(rf"{_READY}(\S+)", await asyncio.to_thread(api.log.read_text, "utf-8"))
        async with httpx2.AsyncClient(base_url=url, timeout=60) as http:

            async def data(method: str, path: str, who: str, body: object = None) -> dict[str, Any]:
                answer = await http.request(method, path, headers=headers[who], json=body)
                found: dict[str, Any] = answer.raise_for_status().json()["data"]
                return found

            async def create(who: str, params: dict[str, Any]) -> str:
                body = {"type": REPORT, "params": params}
                return str((await data("POST", "/exports", who, body))["id"])

            yield _Ways(
                create,
                lambda who, task_id: data("GET", f"/exports/{task_id}", who),
                lambda who: data("GET", "/exports", who),
            )

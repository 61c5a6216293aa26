"""What it costs that many people follow their exports over HTTP.

One process of `exports api`, and 2,000 streams of events in it, in equal numbers of each of 20
exports; as the reference, one stream of each. Each export changes once a second. All figures are of
the same seconds: the memory and the processor time of the process, its commands to the database,
and how long a change takes until a listener has read it. The clients are in the process of the
benchmark, on the same machine.
"""

import asyncio
import json
import os
import re
import resource
import signal
import time
from contextlib import AsyncExitStack
from statistics import median
from typing import Any, Final

import psutil

from benchmarks.bench import USER, Bench, opened
from benchmarks.counting_api import USED
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from benchmarks.waiting import p95
from dev.process import Process
from exports.models import AttemptBeat, Stage, TaskRef
from exports.tasks.collection import TaskCollection
from exports.tasks.indexes import task_indexes
from exports.tasks.transitions import RunTransitions
from exports.tokens import TokenStore

_EXPORTS: Final = 20
_PROGRAM: Final = "benchmarks.counting_api"
_READY: Final = "The API listens on http://"
_AT_ONCE: Final = 50  # connections that are opened at the same time
_MIB: Final = 1 << 20
_FILES: Final = 8192
_COMMANDS: Final = "commands to the database"
_QUERIES: Final = "of these, queries"
_FIGURES: Final = {
    _COMMANDS: "/s",
    "memory": "MiB",
    "processor": "cores",
    "events": "/s",
    "from the change to the listener, p50": "s",
    "from the change to the listener, p95": "s",
}


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    many = plan.pick(full=2000, quick=2000, smoke=40)
    seconds = plan.pick(full=30, quick=10, smoke=1)
    _allow_files()
    measured: list[tuple[dict[str, float], dict[str, float]]] = []
    for _ in range(plan.runs):
        few = await _measured(_EXPORTS, seconds)
        measured.append((await _measured(many, seconds), few))
    rows = [
        Row(
            what=f"{many:,} listeners: {what}",
            unit=unit,
            ours=[ours[what] for ours, _ in measured],
            reference=[few[what] for _, few in measured],
            reference_name=f"{_EXPORTS} listeners",
            goal=Goal(side="at most", bound=1.1) if what == _COMMANDS else None,
        )
        for what, unit in _FIGURES.items()
    ]
    queries = Row(
        what=f"{many:,} listeners: {_QUERIES}",
        unit="/s",
        ours=[ours[_QUERIES] for ours, _ in measured],
        goal=Goal(side="at most", bound=1, of="figure"),
    )
    return Outcome(rows=[*rows, queries])


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class _Listening:
    """Those who follow exports, and how long it took until they had read each change.

    Args:
        port: Of the API.
        token: Their token.

    Attributes:
        changed: When an export was changed, by its id and its number of rows.
        took: The seconds from a change to each listener.
    """

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.changed: dict[tuple[str, int], float] = {}
        self.took: list[float] = []

    async def follow(self, task_id: str, leaving: AsyncExitStack) -> None:
        """Connect, wait for the first event, and go on reading until the stack is left."""
        async with self._at_once:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            leaving.callback(writer.close)
            writer.write(
                f"GET /exports/{task_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {self._token}\r\n\r\n".encode()
            )
            while not (await reader.readline()).startswith(b"data: "):
                if reader.at_eof():
                    raise RuntimeError("The API has closed a stream.")
        leaving.callback(asyncio.create_task(self._read(reader)).cancel)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                changed = self.changed.get((event["id"], event["rows"]))
                if changed is not None:
                    self.took.append(time.perf_counter() - changed)


async def _measured(listeners: int, seconds: int) -> dict[str, float]:
    async with opened() as bench:
        run = RunTransitions(TaskCollection(bench.database))
        await task_indexes(TaskCollection(bench.database)).ensure()
        refs = [
            TaskRef(task_id=f"t{n}", workflow_id=f"export-t{n}", run_id="r")
            for n in range(_EXPORTS)
        ]
        for ref in refs:
            await bench.database["ExportTasks"].insert_one(
                {"_id": ref.task_id, "type": "statsMonthly", "status": "pending", "createdBy": USER}
            )
            await run.claim(ref, run_started_at=1)
        token, _ = await TokenStore(bench.database).create(USER)
        with bench.process(
            *("-m", _PROGRAM),
            ready=_READY,
            EXPORTS_API_LISTEN="127.0.0.1:0",
            EXPORTS_API_STREAMS=str(listeners),
            EXPORTS_API_RATE="1000000",
        ) as api:
            port = int(re.findall(rf"{_READY}127\.0\.0\.1:(\d+)", api.log.read_text("utf-8"))[0])
            listening = _Listening(port, token)
            async with AsyncExitStack() as leaving:
                ids = [refs[n % _EXPORTS].task_id for n in range(listeners)]
                await asyncio.gather(*(listening.follow(task_id, leaving) for task_id in ids))
                return await _used_for(bench, api, listening, refs, seconds)


async def _used_for(
    bench: Bench, api: Process, listening: _Listening, refs: list[TaskRef], seconds: int
) -> dict[str, float]:
    """Change the exports for some seconds; return what the API has used, and how fast it was."""
    run = RunTransitions(TaskCollection(bench.database))
    before, began = await _used(api), time.perf_counter()
    for tick in range(1, seconds * _EXPORTS + 1):
        ref = refs[tick % _EXPORTS]
        listening.changed[ref.task_id, tick] = time.perf_counter()
        await run.progress(ref, AttemptBeat(stage=Stage.UPLOAD, rows=tick))
        await asyncio.sleep(max(0, began + tick / _EXPORTS - time.perf_counter()))
    after, lasted = await _used(api), time.perf_counter() - began
    sent = {
        name: count - before["commands"].get(name, 0) for name, count in after["commands"].items()
    }
    return {
        _COMMANDS: sum(sent.values()) / lasted,
        _QUERIES: (sent.get("find", 0) + sent.get("aggregate", 0)) / lasted,
        "memory": after["memory"] / _MIB,
        "processor": (after["cpu"] - before["cpu"]) / lasted,
        "events": len(listening.took) / lasted,
        "from the change to the listener, p50": median(listening.took),
        "from the change to the listener, p95": p95(listening.took),
    }


async def _used(api: Process) -> dict[str, Any]:
    """Return what the process has used by now, as it says itself."""
    told = api.log.read_text("utf-8").count(USED)
    for child in psutil.Process().children(recursive=True):
        if _PROGRAM in child.cmdline() and "guard.py" not in " ".join(child.cmdline()[:5]):
            os.kill(child.pid, signal.SIGUSR1)
    while (log := api.log.read_text("utf-8")).count(USED) == told:
        api.check()
        await asyncio.sleep(0.05)
    used: dict[str, Any] = json.loads(log.rpartition(USED)[2].partition("\n")[0])
    return used

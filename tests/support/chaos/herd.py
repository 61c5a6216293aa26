"""Worker processes that are killed inside a step, and replaced."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.chaos import worker_entry
from tests.support.chaos.forked import FORKING, until
from tests.support.chaos.operations import Operation, Record
from tests.support.paths import REPOSITORY

_CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class Step:
    """A step that a worker is inside.

    Attributes:
        id: Id of this attempt.
        workflow: The workflow of the step.
        name: The name of the activity.
        unit: Which of several units of this step.
        since: When it began, by the monotonic clock.
    """

    id: str
    workflow: str
    name: str
    unit: str
    since: float

    @property
    def place(self) -> tuple[str, str, str]:
        """The same for each attempt at the same step."""
        return (self.workflow, self.name, self.unit)


class HerdWorker:
    """One worker process.

    Args:
        environment: Its whole environment.
        log: The file for its log.
        heard: Called for each step that begins or ends, with the step and whether it began.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        heard: Callable[["HerdWorker", Step, bool], None],
    ) -> None:
        self.inside: dict[str, Step] = {}
        self._heard = heard
        self._rest = b""
        self._lines, theirs = FORKING.Pipe(duplex=False)
        os.set_blocking(self._lines.fileno(), False)
        self.process = FORKING.Process(
            target=worker_entry.run, args=(environment, log, theirs), daemon=True
        )
        self.process.start()
        theirs.close()
        assert self.process.pid is not None
        self.pid = self.process.pid
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._lines, self.read)

    def read(self) -> None:
        """Take in all that it has said."""
        while True:
            try:
                chunk = os.read(self._lines.fileno(), _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._loop.remove_reader(self._lines)
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def stop_if_inside(self, step: Step) -> bool:
        """Stop the process, and continue it at once if it has left the step."""
        process = psutil.Process(self.pid)
        try:
            process.suspend()
            while process.status() != psutil.STATUS_STOPPED:
                time.sleep(0.001)
            self.read()
            if step.id in self.inside:
                return True
            process.resume()
        except psutil.NoSuchProcess:  # it has ended by itself
            pass
        return False

    def kill(self) -> None:
        """End it as a loss of power would."""
        self.process.kill()
        self.process.join()
        self.close()

    def close(self) -> None:
        """Close what belongs to a process that has ended."""
        self._loop.remove_reader(self._lines)
        self._lines.close()

    def _take(self, said: dict[str, str]) -> None:
        began = said["event"] == "begin"
        known = self.inside.get(said["id"])
        step = known or Step(
            id=said["id"],
            workflow=said["workflow"],
            name=said["step"],
            unit=said["unit"],
            since=time.monotonic(),
        )
        if began:
            self.inside[step.id] = step
        else:
            self.inside.pop(step.id, None)
        self._heard(self, step, began)


def environment_of(settings: Settings, endpoints: Endpoints, **more: str) -> dict[str, str]:
    """Return the environment of a worker that serves as these settings say."""
    source, source_database = settings.source
    return endpoints.environment() | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "EXPORTS_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "EXPORTS_SOURCE_URI": source.get_secret_value(),
        "EXPORTS_SOURCE_DATABASE": source_database,
        "EXPORTS_MONGO_DATABASE": settings.mongo_database,
        "EXPORTS_S3_PREFIX": settings.s3_prefix,
        "EXPORTS_ORPHANS_EVERY": "0",
        "EXPORTS_TASK_QUEUE": settings.task_queue,
        "EXPORTS_REPORTS_FILE": str(settings.reports_file),
        "EXPORTS_MAX_CONCURRENT_ACTIVITIES": str(settings.max_concurrent_activities),
        "EXPORTS_MAX_CONCURRENT_BULK_ACTIVITIES": str(settings.max_concurrent_bulk_activities),
        **more,
    }


class Herd:
    """A constant number of workers.

    Args:
        count: How many.
        environment: The environment of each.
        folder: For their logs.
        record: See below.

    Attributes:
        lost: How often each place was lost since it last ended successfully.
        kills: How often a worker was killed inside each step, by the name of the step.
        seconds: The approximate duration of each step, by its name.
        deaths: How many workers have ended by themselves.
        record: Gets starts, kills and deaths.
    """

    def __init__(
        self, count: int, environment: Mapping[str, str], folder: Path, record: Record
    ) -> None:
        self.lost: Counter[tuple[str, str, str]] = Counter()
        self.kills: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}
        self.deaths = 0
        self._count = count
        self._environment = environment
        self._folder = folder
        self.record = record
        self._workers: list[HerdWorker] = []
        self._awaited: dict[str, list[asyncio.Future[tuple[HerdWorker, Step]]]] = {}
        self._started = 0

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        try:
            await until(lambda: all(one.process.exitcode is not None for one in self._workers))
        finally:
            for worker in self._workers:
                worker.kill()

    def inside(self) -> list[tuple[HerdWorker, Step]]:
        """Return every step that a worker is inside."""
        return [(worker, step) for worker in self._workers for step in worker.inside.values()]

    async def begin_of(self, name: str) -> tuple[HerdWorker, Step]:
        """Wait until a worker begins a step of that name."""
        waiting: asyncio.Future[tuple[HerdWorker, Step]] = asyncio.Future()
        self._awaited.setdefault(name, []).append(waiting)
        return await waiting

    def kill(self, worker: HerdWorker, step: Step) -> bool:
        """Kill a worker if it is inside the step, and start another.

        Returns:
            Whether it was killed; otherwise it goes on.
        """
        if worker not in self._workers or not worker.stop_if_inside(step):
            return False
        steps = list(worker.inside.values())
        worker.kill()
        self.kills[step.name] += 1
        self._gone(worker, steps)
        self.record.add(
            Operation(
                what="kill",
                pid=worker.pid,
                steps=[f"{one.name} {one.unit} {one.workflow}" for one in steps],
            )
        )
        return True

    def crash(self) -> None:
        """Kill a worker, preferably one inside a step, and start another."""
        worker = max(self._workers, key=lambda one: len(one.inside))
        steps = list(worker.inside.values())
        worker.kill()
        self._gone(worker, steps)
        self.record.add(Operation(what="crash", pid=worker.pid, steps=[one.name for one in steps]))

    def replace_dead(self) -> None:
        """Start another worker for each that has ended by itself."""
        for worker in [one for one in self._workers if one.process.exitcode is not None]:
            worker.read()
            steps = list(worker.inside.values())
            worker.close()
            self.deaths += 1
            self._gone(worker, steps)
            self.record.add(
                Operation(
                    what="died",
                    pid=worker.pid,
                    code=f"exit code {worker.process.exitcode}",
                    steps=[f"{one.name} {one.unit} {one.workflow}" for one in steps],
                )
            )

    def _gone(self, worker: HerdWorker, steps: list[Step]) -> None:
        self.lost.update(step.place for step in steps)
        self._workers.remove(worker)
        self._start()

    def _start(self) -> None:
        self._started += 1
        log = self._folder / f"worker-{self._started:03}.log"
        worker = HerdWorker(self._environment, log, self._heard)
        self._workers.append(worker)
        self.record.add(Operation(what="start", pid=worker.pid))

    def _heard(self, worker: HerdWorker, step: Step, began: bool) -> None:  # noqa: FBT001 -- a callback
        if not began:
            self.lost.pop(step.place, None)
            took = time.monotonic() - step.since
            self.seconds[step.name] = (self.seconds.get(step.name, took) + took) / 2
            return
        for waiting in self._awaited.pop(step.name, []):
            if not waiting.done():
                waiting.set_result((worker, step))

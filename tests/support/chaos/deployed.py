"""Worker processes, started and stopped as a deploy does it, and what each of them has done."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import TimeoutType

from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.held_report import GATE
from tests.support.paths import REPOSITORY
from tests.support.service import Service

PATIENCE = 150.0  # seconds
READY = "Worker is ready"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


class Deployed:
    """A worker process.

    Attributes:
        pid: Its process id, with which its identity in Temporal's history begins.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    @property
    def said(self) -> str:
        """All that it has logged so far."""
        return self._log.read_text(encoding="utf-8")

    async def says(self, text: str) -> None:
        """Wait until it has logged a text."""
        await until(lambda: text in self.said or self._process.returncode is not None)
        assert text in self.said, self.said

    async def holds(self, gate: Path, units: int = 1) -> None:
        """Wait until it holds so many units at a gate."""
        await until(lambda: len(list(gate.glob(f"reached-{self.pid}-*"))) >= units)

    def hears(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    async def ended(self) -> int:
        """Wait until it has ended; return its exit code."""
        return await asyncio.wait_for(self._process.wait(), PATIENCE)


@asynccontextmanager
async def deployed(
    settings: Settings,
    endpoints: Endpoints,
    folder: Path,
    program: Sequence[str] = (str(REPOSITORY / "worker.py"),),
    **changes: str,
) -> AsyncGenerator[Deployed]:
    """Start a worker and wait until it is ready; it is killed if it still runs at the end.

    Args:
        settings: Its database, prefix, task queue and reports.
        endpoints: Where the servers are.
        folder: For its log, and for the gate of the reports that are held.
        program: The worker, as arguments of Python.
        changes: Other environment variables.
    """
    log = folder / f"worker-{secrets.token_hex(4)}.log"
    environment = endpoints.environment() | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "EXPORTS_MONGO_DATABASE": settings.mongo_database,
        "EXPORTS_SOURCE_DATABASE": settings.source[1],
        "EXPORTS_S3_PREFIX": settings.s3_prefix,
        "EXPORTS_TASK_QUEUE": settings.task_queue,
        "EXPORTS_REPORTS_FILE": str(settings.reports_file),
        GATE: str(folder),
        **changes,
    }
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program),
            cwd=REPOSITORY,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=stderr,
        )
    worker = Deployed(process, log)
    try:
        await worker.says(READY)
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(frozen=True)
class Attempted:
    """An attempt at a step, as Temporal's history shows it.

    Attributes:
        step: Name of the activity.
        number: Its number, from 1.
        worker: Process id of its worker.
        outcome: `completed`, the type of its failure, or `timed out` and the type of the timeout.
    """

    step: str
    number: int
    worker: int
    outcome: str


async def attempts_of(service: Service, task_id: str) -> list[Attempted]:
    """Return the last attempt at each step of a run, in the order of their ends."""
    scheduled: dict[int, str] = {}
    started: dict[int, tuple[int, int]] = {}
    found: list[Attempted] = []
    for event in (await service.run_of(task_id).fetch_history()).events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            of = event.activity_task_scheduled_event_attributes
            scheduled[event.event_id] = of.activity_type.name
        elif event.HasField("activity_task_started_event_attributes"):
            begun = event.activity_task_started_event_attributes
            pid = int(begun.identity.partition("@")[0])
            started[begun.scheduled_event_id] = (begun.attempt, pid)
        elif outcome := _outcome(event):
            step, text = outcome
            number, worker = started.get(step, (0, 0))
            found.append(Attempted(scheduled[step], number, worker, text))
    return found


def _outcome(event: Any) -> tuple[int, str] | None:
    if event.HasField("activity_task_completed_event_attributes"):
        return event.activity_task_completed_event_attributes.scheduled_event_id, "completed"
    if event.HasField("activity_task_failed_event_attributes"):
        failed = event.activity_task_failed_event_attributes
        return failed.scheduled_event_id, failed.failure.application_failure_info.type
    if event.HasField("activity_task_timed_out_event_attributes"):
        late = event.activity_task_timed_out_event_attributes
        kind = late.failure.timeout_failure_info.timeout_type
        return late.scheduled_event_id, f"timed out: {TimeoutType.Name(kind)}"
    return None

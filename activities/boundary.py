"""What every activity shares: heartbeats, blocking work in threads, and errors.

Only the code and the message of an error enter Temporal's history, because the text of a
library's error may hold a business row or a key.
"""

import asyncio
import logging
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from exports.clock import check_clock
from exports.errors import ExportError, UnexpectedError
from exports.models import AttemptBeat, WaitBeat
from exports.runtime import outages
from exports.server_errors.temporal import temporal_error
from workflows import policies
from workflows.failures import application_error
from workflows.policies import HEARTBEATS_PER_TIMEOUT

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


def check_worker_clock() -> None:
    """Compare this machine's clock with Temporal's, which says when this attempt began.

    Raises:
        ClockError: They differ too much to sign a link, or to decide what is due or has expired.
    """
    check_clock(activity.info().started_time, whose="Temporal's")


def heartbeat_interval() -> float:
    """Return how many seconds are between two heartbeats of this attempt."""
    silence = activity.info().heartbeat_timeout or policies.HEARTBEAT_TIMEOUT
    return silence.total_seconds() / HEARTBEATS_PER_TIMEOUT


async def _nothing() -> None:
    return


@asynccontextmanager
async def beating(
    beat: Callable[[], AttemptBeat | WaitBeat | None] = lambda: None,
    also: Callable[[], Awaitable[None]] = _nothing,
) -> AsyncGenerator[None]:
    """Send heartbeats while the body runs, so that the server does not count this worker as lost.

    Args:
        beat: Returns the details of a heartbeat.
        also: Called as often, unless it takes longer.
    """
    ended = asyncio.Event()
    interval = heartbeat_interval()

    async def keep_beating() -> None:
        while True:
            await asyncio.sleep(interval)
            activity.heartbeat(beat())

    async def keep_calling() -> None:
        # Half an interval after the heartbeats. Both notice when the run of an attempt has ended.
        # If they notice it at the same moment, a worker that is being stopped hangs, because the
        # SDK (temporalio 1.35.0) waits for an attempt that has ended.
        await asyncio.sleep(interval / 2)
        # A library may swallow a cancel that arrives while it waits for an answer.
        while not ended.is_set():
            await asyncio.sleep(interval)
            await also()

    # Two tasks: a slow database must not hold heartbeats back.
    async with _alongside(keep_beating()), _alongside(keep_calling()):
        try:
            yield
        finally:
            ended.set()


@asynccontextmanager
async def _alongside(work: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Run something at the same time as the body, and stop it when the body ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


@asynccontextmanager
async def boundary(
    beat: Callable[[], AttemptBeat | None] = lambda: None,
) -> AsyncGenerator[None]:
    """Turn every error that leaves an activity into what Temporal and people may see of it.

    Args:
        beat: Returns the details of a heartbeat; the workflow gets them if the worker is stopped.
    """
    try:
        yield
    except ApplicationError:
        raise
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        if details is not None and details.worker_shutdown and not details.cancel_requested:
            # A deploy is no failed attempt: the workflow runs the step again, uncounted.
            raise ApplicationError(
                "The worker was stopped.",
                beat(),
                type=policies.WORKER_SHUTDOWN,
                category=ApplicationErrorCategory.BENIGN,
            ) from None
        raise
    except Exception as error:  # noqa: BLE001 -- the boundary is where every error ends
        raise application_error(domain_error(error)) from None


def domain_error(error: Exception) -> ExportError:
    """Return an error as a domain error; of an unexpected one, it has only the type and place."""
    if isinstance(error, ExportError):
        return error
    if isinstance(error, RPCError):
        return temporal_error(error.status)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
    _log.error("Unexpected error: %s", place)
    return UnexpectedError(f"Something went wrong inside the service ({place}).")


async def in_thread(work: Callable[[threading.Event], _T]) -> _T:
    """Run blocking work in a thread, so that heartbeats go on.

    Args:
        work: Called with an event that it checks: once it is set, it cleans up and returns.

    Raises:
        asyncio.CancelledError: The activity was cancelled. This is raised after the work has
            ended, so that it leaves nothing behind.
    """
    stop = threading.Event()

    def run() -> _T:
        outages.stopped_by(stop)
        return work(stop)

    running = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        # With the exception, so that asyncio does not log the end of stopped work as an error.
        await asyncio.gather(running, return_exceptions=True)
        raise

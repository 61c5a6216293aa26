"""`exports worker --check` and `--ready`: is a worker of this machine alive, and is it connected?

An orchestrator restarts a worker that is not alive. It must not restart one that only waits for
Temporal, so that the first question is answered without Temporal.
"""

import socket
from datetime import timedelta
from typing import Final

from exports import names
from exports.clock import millis, now_ms
from exports.models import WireModel
from exports.runtime.liveness import LivenessFile
from exports.settings import Settings

# The worker touches its file twelve times in a minute. A busy machine may skip some of them.
_ALIVE_WITHIN: Final = timedelta(minutes=1)


class WorkerView(WireModel):
    """Whether a worker of this machine is alive, or ready.

    Attributes:
        ok: Whether it is.
        task_queue: The task queue that it polls.
        host: The name of this machine.
        last_seen: Its last sign of life, or its last poll that Temporal knows of, in epoch
            milliseconds; None if there is none.
    """

    ok: bool
    task_queue: str
    host: str
    last_seen: int | None


def worker_alive() -> WorkerView:
    """Return whether the event loop of a worker with these settings runs. Asks no server.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    settings = Settings.load()
    file = LivenessFile(settings.task_queue, settings.worker_takes)
    return _view(settings, file.touched_at(), _ALIVE_WITHIN)


async def worker_ready() -> WorkerView:
    """Return whether a worker with these settings is alive and polls Temporal for work.

    Raises:
        SettingsError: A setting is missing or wrong.
        UnreachableError: Temporal did not answer.
    """
    # These take a second to import. The check for liveness, which runs often, does not need them.
    from exports.connections import connect_temporal  # noqa: PLC0415 -- see above
    from exports.temporal.pollers import POLLED_WITHIN, pollers  # noqa: PLC0415 -- same

    alive = worker_alive()
    if not alive.ok:
        return alive
    settings = Settings.load()
    temporal = await connect_temporal(settings.encryption_keys)
    # The SDK's identity of a worker is its process id, an @ and the name of the machine.
    # Workers of all kinds poll for activities, but not all of them for workflows.
    polls = [
        poller.last_access_time.ToMilliseconds()
        for poller in await pollers(temporal, alive.task_queue, activities=True)
        if poller.identity.partition("@")[2] == alive.host
    ]
    return _view(settings, max(polls, default=None), POLLED_WITHIN)


def _view(settings: Settings, last_seen: int | None, within: timedelta) -> WorkerView:
    queue = settings.task_queue
    if settings.worker_takes == "bulk":
        queue = names.bulk_task_queue(queue)
    recent = last_seen is not None and now_ms() - last_seen < millis(within)
    return WorkerView(ok=recent, task_queue=queue, host=socket.gethostname(), last_seen=last_seen)

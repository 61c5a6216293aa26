"""The processor time of the child processes of this process, by kind."""

import contextlib
from collections import defaultdict
from typing import Final

import psutil

from dev import binaries

WORKERS: Final = (
    "benchmarks.replay_worker",
    "benchmarks.bare_worker",
    "benchmarks.by_hand_worker",
    "worker.py",
)


def cpu_seconds() -> dict[str, float]:
    """Return how much processor time each kind of process has used since it began.

    Returns:
        Seconds of `Temporal`, `database`, `object store` and `worker`; and of `client`, which is
        this process.
    """
    found: defaultdict[str, float] = defaultdict(float)
    kinds = {
        binaries.temporal(): "Temporal",
        binaries.mongo(): "database",
        binaries.s3(): "object store",
    } | dict.fromkeys(WORKERS, "worker")
    own = psutil.Process()
    found["client"] += _used(own)
    for child in own.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            words = child.cmdline()
            kind = next((kinds[word] for word in words if word in kinds), "other")
            for process in (child, *child.children(recursive=True)):
                found[kind] += _used(process)
    return found


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)

"""The processor time and the memory of the child processes of this process, by kind."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
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
    found["client"] = _used(psutil.Process())
    for kind, process in _children():
        found[kind] += _used(process)
    return found


def resident_bytes(kind: str) -> int:
    """Return the memory that the largest process of a kind holds now, in bytes."""
    return max(process.memory_info().rss for found, process in _children() if found == kind)


def _children() -> Iterator[tuple[str, psutil.Process]]:
    kinds = {
        binaries.temporal(): "Temporal",
        binaries.mongo(): "database",
        binaries.s3(): "object store",
    } | dict.fromkeys(WORKERS, "worker")
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            words = child.cmdline()
            kind = next((kinds[word] for word in words if word in kinds), "other")
            for process in (child, *child.children(recursive=True)):
                yield kind, process


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)

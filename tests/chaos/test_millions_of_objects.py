"""A bucket that no sweep gets through: the next one goes on, and one of them comes to the end."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from activities import orphans as module
from activities.orphans import Orphans
from exports.documents import Stored
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.tasks.bucket_pass import BucketPasses
from exports.tasks.collection import TaskCollection
from exports.tasks.sweep import SweepStore
from tests.support.bucket_of_millions import PAGE, BucketOfMillions
from tests.support.chaos.forms import LONG

OBJECTS: Final = 2_000_000 if LONG else 400_000
A_SWEEP: Final = OBJECTS * 75e-6
"""Seconds that a sweep has for the bucket."""
A_PAGE: Final = 0.25
"""Seconds that a page takes in this simulation."""


async def test_so_many_objects_are_gone_through_in_some_sweeps_with_little_memory(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
) -> None:
    bucket = BucketOfMillions(OBJECTS)
    store = ObjectStore(settings.model_copy(update={"s3_prefix": ""}))
    store.close()
    monkeypatch.setattr(store, "_client", bucket)
    monkeypatch.setattr(module, "monotonic", lambda: bucket.pages * A_PAGE)

    def sweep() -> Orphans:
        return Orphans(
            tasks=_NoTasks(TaskCollection(mongo_database)),
            store=store,
            passes=BucketPasses(mongo_database, store.fingerprint),
            retention=settings.retention,
            every=timedelta(hours=1),
        )

    said, memory = list[str](), list[int]()
    while (found := await sweep().remove(bucket.pages * A_PAGE + A_SWEEP)).bucket:
        said.append(found.bucket)
        memory.append(_resident())
    assert said == [
        *(
            f"has looked at {seen:,} objects, and removed {seen // 100:,}; the next sweep goes on"
            for seen in (OBJECTS * part // 10 for part in (3, 6, 9))
        ),
        f"has looked at all {OBJECTS:,} objects, and removed {OBJECTS // 100:,}",
    ]
    assert (bucket.pages, bucket.removed) == (OBJECTS // PAGE, OBJECTS // 100)
    # Their keys alone would take more than a hundred bytes each.
    assert max(memory) - memory[0] < OBJECTS * 50


class _NoTasks(SweepStore):
    """Knows no task, without asking the embedded database two thousand times."""

    async def owners(self, task_ids: list[str]) -> dict[str, list[Stored]]:
        assert task_ids
        return {}


def _resident() -> int:
    """Return how much memory this process has, in bytes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096

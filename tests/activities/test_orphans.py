"""How the sweep goes through the bucket: now and then, in pieces, and by as many as there are."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from activities import orphans as module
from activities.orphans import Orphans
from exports import names
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.storage.probe_steps import ProbeSteps
from exports.tasks.bucket_pass import BucketPasses
from exports.tasks.collection import TaskCollection
from exports.tasks.sweep import SweepStore
from tests.support.service import PATIENCE, Service
from tests.support.traffic import Traffic

RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
HOUR: Final = timedelta(hours=1)
ENDLESS: Final = float("inf")
AT_ONCE: Final = 0.0
"""Sweeps that have no time for more than a page."""


class Bucket:
    """A bucket, the task `gone` that needs nothing in it, and sweeps that go through it."""

    def __init__(self, settings: Settings, database: AsyncDatabase[dict[str, Any]]) -> None:
        self.store = ObjectStore(settings)
        self.places = database[names.WATCH_COLLECTION]
        self._database = database

    def sweep(self, *, every: timedelta = HOUR, retention: timedelta = HOUR) -> Orphans:
        """Return the part of a sweep that goes through the bucket."""
        return Orphans(
            tasks=SweepStore(TaskCollection(self._database)),
            store=self.store,
            passes=BucketPasses(self._database, self.store.fingerprint),
            retention=retention,
            every=every,
        )

    def put(self, root: str = names.FILES) -> None:
        """Put an object that no task needs."""
        new = (
            names.file_key("gone", RUN, attempt="3-1", extension="csv")
            if root == names.FILES
            else names.staged_part_key("gone", RUN, unit="u", attempt="2-1", index=0)
        )
        self.store.put(new, b"x")

    def objects(self) -> int:
        """Return how many objects there are."""
        return sum(1 for _ in self.store.objects(""))


@pytest.fixture
async def swept(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
) -> AsyncIterator[Bucket]:
    await mongo_database["ExportTasks"].insert_one({"_id": "gone", "status": "failed"})
    monkeypatch.setattr(module, "_PAGE", 2)
    opened = Bucket(settings, mongo_database)
    yield opened
    opened.store.close()


async def test_the_bucket_is_gone_through_once_an_hour(swept: Bucket) -> None:
    swept.put()
    first = await swept.sweep().remove(ENDLESS)
    assert (first.objects, swept.objects()) == (1, 0)
    swept.put()
    assert (await swept.sweep().remove(ENDLESS)).bucket == ""
    assert swept.objects() == 1
    [place] = await swept.places.find().to_list()
    hour_ago = place["startedAt"] - HOUR // timedelta(milliseconds=1)
    await swept.places.update_one({}, {"$set": {"startedAt": hour_ago}})
    assert (await swept.sweep().remove(ENDLESS)).objects == 1
    assert (await swept.sweep(every=timedelta(0)).remove(ENDLESS)).bucket.startswith("has looked")


async def test_a_pass_that_a_sweep_could_not_end_is_gone_on_with_by_the_next(
    swept: Bucket,
) -> None:
    for root in (names.STAGING, names.FILES, names.STAGING, names.FILES, names.STAGING):
        swept.put(root)
    said = [(await swept.sweep().remove(AT_ONCE)).bucket for _ in range(4)]
    assert said == [
        "has looked at 2 objects, and removed 2; the next sweep goes on",
        "has looked at 4 objects, and removed 4; the next sweep goes on",
        "has looked at 5 objects, and removed 5; the next sweep goes on",
        "has looked at all 5 objects, and removed 5",
    ]
    assert swept.objects() == 0
    swept.put()
    again = swept.sweep(every=timedelta(0))
    assert "has looked at 1 of some 5 objects" in (await again.remove(AT_ONCE)).bucket


async def test_two_sweeps_at_once_go_through_the_bucket_together_and_count_once(
    swept: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STORED_EVERY", 0.0)
    for _ in range(8):
        swept.put()
    assert (await swept.sweep().remove(AT_ONCE)).objects == 2
    said = [
        found.bucket
        for found in await asyncio.gather(
            swept.sweep().remove(ENDLESS), swept.sweep().remove(ENDLESS)
        )
    ]
    assert swept.objects() == 0
    assert sorted(map(bool, said)) == [False, True]
    [place] = await swept.places.find().to_list()
    assert place["endedAt"] is not None
    assert place["seen"] == 8


async def test_a_place_that_cannot_be_read_begins_a_new_pass(swept: Bucket) -> None:
    swept.put()
    await swept.sweep().remove(ENDLESS)
    await swept.places.update_many({}, {"$set": {"after": 7, "startedAt": ["x"]}})
    swept.put()
    assert (await swept.sweep().remove(ENDLESS)).bucket == (
        "has looked at all 1 objects, and removed 1"
    )


async def test_what_a_probe_that_was_killed_has_left_goes_after_a_while(
    swept: Bucket, settings: Settings
) -> None:
    steps = ProbeSteps(settings)
    for name in ("put", "upload"):
        steps.all()[name]()
    steps.close()
    assert (await swept.sweep().remove(ENDLESS)).objects == 0
    late = swept.sweep(every=timedelta(0), retention=timedelta(seconds=-60))
    assert (await late.remove(ENDLESS)).objects == 2
    assert swept.objects() == 0


async def test_objects_are_deleted_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
) -> None:
    traffic = Traffic.of_new_stores(monkeypatch)
    await mongo_database["ExportTasks"].insert_one({"_id": "gone", "status": "failed"})
    bucket = Bucket(settings, mongo_database)
    for _ in range(4):
        bucket.put()
    four = threading.Barrier(4)
    # A delete is only sent when four of them are about to be.
    traffic.before("DeleteObject", partial(four.wait, PATIENCE.total_seconds()))
    assert (await bucket.sweep().remove(ENDLESS)).objects == 4
    bucket.store.close()


async def test_a_sweep_says_how_far_it_has_come(service: Service) -> None:
    service.store.put("files/of/somebody/else", b"x")
    queue = service.settings.task_queue
    run = await service.temporal.start_workflow("SweepWorkflow", id=f"{queue}-s", task_queue=queue)
    await run.result()
    found: Any = await run.query("__temporal_workflow_metadata")
    assert "the pass through the bucket has looked at all 1 objects" in str(found)

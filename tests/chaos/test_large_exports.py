"""Two hundred gigabytes of rows, simulated: what Temporal holds of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from activities import aggregate
from exports.models import PartList, StagedPart, TaskStatus
from exports.settings import Settings
from exports.staging.reader import StagedParts
from exports.temporal.payload_size import MOST_BYTES
from tests.support.bucket_in_memory import BucketInMemory
from tests.support.service import USER, open_service, working

UNITS = 400
PARTS = 128
"""Parts of each unit."""
READ = 64
"""The content of one part of so many is read: that of all would take a minute."""


@pytest.mark.timeout(300)
async def test_an_export_of_200_gigabytes_ends_and_its_history_stays_small(
    settings: Settings, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = tmp_path / "reports.toml"
    reports.write_text('[reports.many]\npython = "tests.support.many_units:ManyUnits"\n')
    settings = settings.model_copy(update={"reports_file": reports})
    each = cast("Callable[[StagedParts], Iterator[StagedPart]]", vars(StagedParts)["_each"])

    def many(parts: list[StagedPart]) -> PartList:
        """Name the two parts of a unit so often that they stand for half a gigabyte."""
        return PartList(parts=parts * (PARTS // 2))

    seen = 0

    def some(self: StagedParts) -> Iterator[StagedPart]:
        nonlocal seen
        for seen, part in enumerate(each(self), 1):
            if seen % READ == 0:
                yield part

    monkeypatch.setattr(aggregate, "PartList", many)
    monkeypatch.setattr(StagedParts, "_each", some)
    assert (UNITS + 1) * PARTS * aggregate.PART_BYTES > 200e9
    monkeypatch.setattr(aggregate, "PART_BYTES", 1)
    async with open_service(settings, temporal_address) as real:
        bucket = BucketInMemory(settings)
        service = replace(real, connections=replace(real.connections, store=bucket))
        async with working(service):
            task = await service.client.create("many", {"more": UNITS}, created_by=USER)
            ended = await service.ended(task.id)
            run = service.run_of(task.id)
            await run.result()
    assert (ended.status, seen) == (TaskStatus.DONE, (UNITS + 1) * PARTS)
    assert bucket.staged == {}  # the parts and their lists
    assert bucket.most_bytes < 100_000  # so memory holds no long list
    history = await run.fetch_history()
    assert len(history.events) < 10_240  # the server warns from here on
    assert sum(event.ByteSize() for event in history.events) < 10_000_000  # same
    largest = max(event.ByteSize() for event in history.events)
    assert largest < MOST_BYTES

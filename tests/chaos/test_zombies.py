"""A worker that was replaced as lost and goes on writes nothing that anyone sees."""

import asyncio
import signal
from pathlib import Path

import pytest

from exports.models import TaskStatus
from tests.support.chaos.corners import closed, corner, working
from tests.support.chaos.forked import Orders, environment_of, forked
from tests.support.protections import protected_by
from tests.support.service import Service, downloaded, insert_orders

# Each is inside a step, with more of the step to come.
STOPS = [
    "claim: update to running 1, before",
    "claim: update to running 1, after",
    "claim: PutObject 1, before",
    "claim: PutObject 1, after",
    "upload: PutObject 1, before",
    "upload: PutObject 1, after",
    "writeback-done: update to done 1, before",
    "writeback-done: update to done 1, after",
    "writeback-done: DeleteObject 1, before",
]


async def _went_on_unseen(base: Service, stop: str, name: str, tmp: Path) -> None:
    """Stop a worker, let another finish, and let the first go on."""
    async with corner(base, name) as service:
        task = await service.create()
        orders = Orders(environment_of(service), tmp / name, at=stop, then="stop")
        async with forked(orders) as zombie:
            await zombie.came_to(stop)
            async with working(service):
                await asyncio.wait_for(closed(service, task.id), 150)
                before = await service.document(task.id)
                content = downloaded(before["downloadUrl"])
                zombie.signal(signal.SIGCONT)
                zombie.signal(signal.SIGTERM)  # it finishes its current step
                assert await zombie.ended() == 0, zombie.said()
                met = zombie.boundaries()
                assert met.index(stop) < len(met) - 1, "it did not go on"
                assert await service.document(task.id) == before
                await service.client.sweep()
            assert (before["status"], before["retries"]) == (TaskStatus.DONE, 0)
            assert await service.document(task.id) == before
            assert downloaded(before["downloadUrl"]) == content
            assert service.keys() == [before["objectKey"]]
            assert service.open_uploads() == []


@protected_by(
    "exports/tasks/transitions.py",
    '"runId": ref.run_id, "status": {"$in": OPEN}}',
    instead='"runId": ref.run_id}',
)
@pytest.mark.timeout(400)
async def test_a_worker_that_is_stopped_in_any_step_replaced_and_continued_changes_nothing(
    idle_service: Service, tmp_path: Path
) -> None:
    await insert_orders(idle_service.database)
    found = await asyncio.gather(
        *(
            _went_on_unseen(idle_service, stop, f"z{index}", tmp_path)
            for index, stop in enumerate(STOPS)
        ),
        return_exceptions=True,
    )
    problems = {stop: end for stop, end in zip(STOPS, found, strict=True) if end is not None}
    assert problems == {}

"""One export kills every worker that reads it; exports that share these workers are not harmed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from temporalio.client import WorkflowFailureError

from dev.endpoints import Endpoints
from exports.models import TaskStatus
from exports.settings import Settings
from tests.support.chaos.forms import LONG
from tests.support.chaos.herd import Herd, environment_of
from tests.support.chaos.operations import Record
from tests.support.chaos.worker_entry import HEARTBEAT
from tests.support.protections import protected_by
from tests.support.service import Service, open_service
from workflows import policies

GOOD: Final = 100 if LONG else 20
SILENCE: Final = 3  # seconds
LONGEST: Final = timedelta(seconds=600 if LONG else 180)


@pytest.fixture
async def poisoned(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> AsyncIterator[Service]:
    reports = tmp_path / "poison.toml"
    reports.write_text(
        '[reports.poison]\npython = "tests.support.chaos.poison_report:PoisonReport"\n'
    )
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service:
        yield service


@asynccontextmanager
async def _replaced(herd: Herd) -> AsyncGenerator[None]:
    """Start a worker for each that dies, as an orchestrator would."""

    async def watch() -> None:
        while True:
            herd.replace_dead()
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@protected_by(
    "workflows/worker_loss.py",
    "suspect = lost_in_a_row >= policies.SUSPECT_AFTER",
    instead="suspect = False",
)
@pytest.mark.timeout(720 if LONG else 300)
async def test_an_export_that_kills_its_workers_harms_no_other(
    poisoned: Service, endpoints: Endpoints, tmp_path: Path
) -> None:
    # One worker, so that every crash hits all exports that share it.
    record = Record(tmp_path / "record.jsonl")
    environment = environment_of(poisoned.settings, endpoints, **{HEARTBEAT: str(SILENCE)})
    poison = await poisoned.create("poison", params={"deadly": True})
    good = [await poisoned.create("poison", params={"deadly": False}) for _ in range(GOOD)]
    async with Herd(1, environment, tmp_path, record) as herd, _replaced(herd):
        ended = await asyncio.gather(
            *(
                poisoned.client.wait(task.id, created_by=None, timeout=LONGEST)
                for task in [poison, *good]
            )
        )
        for task in ended:
            with suppress(WorkflowFailureError):
                await poisoned.run_of(task.id).result()
    assert {task.status for task in ended[1:]} == {TaskStatus.DONE}
    assert ended[0].status is TaskStatus.FAILED
    assert ended[0].error is not None
    assert ended[0].error.code == "E_WORKER_LOST"
    assert 2 <= herd.deaths <= policies.MOST_WORKERS_LOST
    assert {task.retries for task in ended} == {0}
    assert sorted(poisoned.keys()) == sorted(str(task.object_key) for task in ended[1:])

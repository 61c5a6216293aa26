"""Records the histories that `test_replay.py` replays: `make record-histories`.

Record anew only when a workflow was changed on purpose; then keep the old files too, under
another name, as long as runs that began under the old code may be open.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
from pydantic import SecretStr
from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities import boundary
from dev.endpoints import Endpoints
from dev.servers import Servers
from exports.models import ExportRequest
from exports.settings import Settings
from exports.stats_report import StatsReport
from tests.service import USER, Service, insert_orders, open_service, working

HISTORIES = Path(__file__).parent / "histories"


async def record(service: Service) -> AsyncIterator[tuple[str, WorkflowHandle[object, object]]]:
    """Yield a name and a closed run for each way that a run can go."""
    missing = await service.create()
    refused = await service.create(params={"year": 2026, "month": 9})
    await service.database["ExportTasks"].update_one(
        {"params.month": 9}, {"$set": {"params.month": 13}}
    )
    early = await service.create()
    await service.run_of(early.id).signal("cancel", {"reason": "recorded"})
    native = await service.create()
    await service.run_of(native.id).cancel()
    async with working(service):
        for name, task in (
            ("failed", missing),
            ("refused", refused),
            ("cancelled-by-signal", early),
            ("cancelled-natively", native),
        ):
            await service.ended(task.id)
            yield name, service.run_of(task.id)
        await insert_orders(service.database)
        for kind in ("statsMonthly", "statsAnnual"):
            done = await service.exported(kind)
            yield f"done-{kind}", service.run_of(done.id)
        await service.client.retry(missing.id, created_by=USER)
        await service.ended(missing.id)
        yield "done-after-a-retry-by-hand", service.run_of(missing.id)
        async for name, task_id in _interrupted(service):
            yield name, service.run_of(task_id)
    left = await service.create()
    terminated = await service.run_of(left.id).describe()
    await service.run_of(left.id).terminate("recorded")
    await service.database["ExportTasks"].update_one(
        {"_id": {"$exists": True}, "status": "pending"},
        {"$set": {"status": "running", "runId": terminated.run_id}},
    )
    async with working(service):
        assert (await service.client.sweep()).healed == 1
        await service.ended(left.id)
        yield "healed", service.run_of(left.id)
        yield "found-it-ended", await _again(service, left.id)
        async for schedule in service.temporal.list_workflows(
            f"WorkflowType = 'SweepWorkflow' AND TaskQueue = '{service.settings.task_queue}'"
        ):
            yield "sweep", service.temporal.get_workflow_handle(schedule.id)


async def _interrupted(service: Service) -> AsyncIterator[tuple[str, str]]:
    reached = asyncio.Event()

    async def hang(*_: object, **__: object) -> AsyncIterator[pa.RecordBatch]:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError
        yield

    with patch.object(StatsReport, "read", hang):
        stopped = await service.create("statsAnnual")
        await reached.wait()
        await service.run_of(stopped.id).signal("cancel")
        await service.ended(stopped.id)
    yield "cancelled-while-aggregating", stopped.id
    reached.clear()
    with patch.object(StatsReport, "read", hang), patch.object(boundary, "BEAT_EVERY", 1000):
        survivor = await service.create()
        await reached.wait()
    await service.ended(survivor.id)
    yield "done-after-a-lost-worker", survivor.id


async def _again(service: Service, task_id: str) -> WorkflowHandle[object, object]:
    request = ExportRequest(type="statsMonthly", created_by=USER, task_id=task_id)
    await service.run_of(task_id).result()
    return await service.temporal.start_workflow(
        "ExportWorkflow",
        request,
        id=f"export-{task_id}",
        task_queue=service.settings.task_queue,
    )


def _without_places(history: str) -> str:
    """Leave out where the recording machine keeps its code, and what it is called."""
    return re.sub(r'"(stackTrace|identity)": "(?:[^"\\]|\\.)*"', r'"\1": ""', history)


@asynccontextmanager
async def _throw_away(endpoints: Endpoints) -> AsyncGenerator[Service]:
    settings = Settings(
        mongo_uri=SecretStr(endpoints.mongo_uri),
        mongo_database="recorded",
        s3_endpoint_url=endpoints.s3_endpoint_url,
        s3_bucket=endpoints.s3_bucket,
        s3_access_key_id=endpoints.s3_access_key_id,
        s3_secret_access_key=endpoints.s3_secret_access_key,
        s3_addressing_style="path",
        task_queue="exports",
    )
    async with open_service(settings, endpoints.temporal_address) as service:
        yield service


async def main() -> None:
    """Run every path against servers of their own, and write the histories down."""
    HISTORIES.mkdir(exist_ok=True)
    with Servers() as servers:
        async with _throw_away(servers.endpoints) as service:
            async for name, handle in record(service):
                with suppress(WorkflowFailureError):
                    await handle.result()
                history = await handle.fetch_history()
                path = HISTORIES / f"{name}.json"
                path.write_text(_without_places(history.to_json()), encoding="utf-8")
                print(f"{path.name}: {len(history.events)} events")


if __name__ == "__main__":
    asyncio.run(main())

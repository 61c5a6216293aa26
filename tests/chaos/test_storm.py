"""kill -9 of two hundred workers inside a step, and nothing is lost, doubled or wrong.

make chaos EXPORTS=500 KILLS=200 SEED=...
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from pymongo.errors import BulkWriteError

from dev import orders
from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.chaos import evidence
from tests.support.chaos.client_record import RecordedUser
from tests.support.chaos.evidence import Content, Evidence
from tests.support.chaos.forms import SEED
from tests.support.chaos.herd import Herd, environment_of
from tests.support.chaos.operations import Record, asked_for
from tests.support.chaos.storm import LARGE, LATE, REQUESTS, Size, Storm
from tests.support.chaos.verdict import findings
from tests.support.chaos.worker_entry import PART_SIZE
from tests.support.paths import REPOSITORY
from tests.support.service import Service, open_service

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_EXPORTS: Final = int(os.environ.get("EXPORTS") or "24")
LONG: Final = _EXPORTS > 100
SIZE: Final = Size(
    exports=_EXPORTS,
    kills=int(os.environ.get("KILLS") or "8"),
    # A kill delays only what it hits: the more exports at once, the sooner the storm is over.
    side_by_side=32 if LONG else 12,
)
KEPT: Final = REPOSITORY / "chaos-records"
# Those of two months, or a third of those of one.
ORDERS: Final = slice(-8_000, None) if LONG else slice(-4_000, None, 3)
LATE_ORDERS: Final = 500
_DUPLICATE_KEY: Final = 11000
WORKERS: Final = 4 if LONG else 3
OWN_REPORTS: Final = f"""
[reports.{LATE}]
collection = "lateOrders"
time_field = "createdAt"
period = "month"
[reports.{LATE}.measures]
orders = {{ op = "count" }}
[reports.{LARGE}]
python = "tests.support.chaos.large_report:LargeReport"
"""
# Its collection does not exist in the first half.
MAY_FAIL: Final = {
    asked_for(*request): "E_COLLECTION" for request in REQUESTS if request[0] == LATE
}


@pytest.fixture
async def stormy(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> AsyncIterator[Service]:
    """A service with sample orders; no worker runs."""
    reports = tmp_path / "reports.toml"
    plain = (REPOSITORY / "exports.toml").read_text(encoding="utf-8")
    # The sheet "About" has the time in it: with it, no two files would be the same.
    same = plain.replace('collection = "orders"', 'collection = "orders"\nabout = false')
    reports.write_text(same + OWN_REPORTS, encoding="utf-8")
    changed = settings.model_copy(
        update={
            "reports_file": reports,
            "max_concurrent_activities": 3,
            "max_concurrent_bulk_activities": 2,
        }
    )
    async with open_service(changed, temporal_address) as service:
        await service.database["orders"].insert_many(orders.orders()[ORDERS])
        await service.database["orders"].create_index("createdAt")
        yield service


async def _late_orders(service: Service) -> None:
    late = orders.orders()[-LATE_ORDERS:]
    # Under another name first: an export in between would see only some of them.
    hidden = service.database["ordersToCome"]
    try:
        await hidden.insert_many(late, ordered=False)
    except BulkWriteError as error:
        # The driver repeats it when the answer is late, and this server applies it twice.
        if {one["code"] for one in error.details["writeErrors"]} != {_DUPLICATE_KEY}:
            raise
    await hidden.rename("lateOrders")


async def _references(service: Service, record: Record) -> dict[str, Content]:
    """Return the file of each request, made without faults."""
    await _late_orders(service)
    user = RecordedUser("reference", service.client, record)
    files: dict[str, Content] = {}
    tasks = [(request, await user.create(*request)) for request in REQUESTS]
    for request, task_id in tasks:
        task = await user.wait(task_id, timedelta(minutes=2))
        assert task is not None
        assert task.download_url is not None
        files[asked_for(*request)] = evidence.downloaded(task.download_url)
    await service.database.drop_collection("lateOrders")
    return files


def servers_of(service: Service, endpoints: Endpoints, s3: "S3Client") -> evidence.Servers:
    settings = service.settings
    return evidence.Servers(
        mongo_uri=endpoints.mongo_uri,
        database=settings.mongo_database,
        s3=s3,
        bucket=settings.s3_bucket,
        prefix=settings.s3_prefix,
        temporal_address=endpoints.temporal_address,
        task_queue=settings.task_queue,
    )


@pytest.mark.timeout(150 + SIZE.kills * 20)
async def test_nothing_is_lost_doubled_or_wrong_in_a_storm_of_kill_9(
    stormy: Service, endpoints: Endpoints, s3_client: "S3Client", tmp_path: Path
) -> None:
    began = time.monotonic()
    record = Record(tmp_path / "record.jsonl")
    # S3's smallest part size, so that a kill hits many parts.
    environment = environment_of(stormy.settings, endpoints, **{PART_SIZE: str(5 << 20)})
    async with Herd(WORKERS, environment, tmp_path, record) as herd:
        references = await _references(stormy, record)
        storm = Storm(
            SIZE,
            SEED,
            client=stormy.client,
            herd=herd,
            record=record,
            repair=lambda: _late_orders(stormy),
        )
        try:
            await storm.run()
            servers = servers_of(stormy, endpoints, s3_client)
            await evidence.settled_runs(servers)
            await stormy.client.sweep()
            found = await evidence.gather(servers, record.operations, references, MAY_FAIL)
        except BaseException:
            _kept(tmp_path)
            raise
    broken = findings(found)
    kills = [one for one in record.operations if one.what == "kill"]
    if broken or len(kills) < SIZE.kills:
        found.save(tmp_path)
        evidence.keep_contents(servers, found.objects, tmp_path / "contents")
        pytest.fail("\n".join([f"{len(kills)} kills; see {_kept(tmp_path)}", *broken]))
    _tell(found, herd, time.monotonic() - began)


def _tell(found: Evidence, herd: Herd, seconds: float) -> None:
    """Write down the figures of a storm without findings."""
    KEPT.mkdir(exist_ok=True)
    figures = {
        "seed": SEED,
        "seconds": round(seconds),
        "tasks": Counter(task["status"] for task in found.tasks),
        "operations": Counter(one.what for one in found.operations),
        "kills inside a step": herd.kills,
        "steps lost": Counter(
            step.split()[0] for one in found.operations if one.what == "kill" for step in one.steps
        ),
    }
    (KEPT / "storm.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")


def _kept(folder: Path) -> Path:
    kept = KEPT / f"storm-{SEED}"
    shutil.copytree(folder, kept, dirs_exist_ok=True)
    return kept

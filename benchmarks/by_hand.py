"""The same export written by hand, without any promise: it shows what the requests alone cost.

A workflow with the three activities of a small export, which send the same requests: claim the
task, read the month and stage it; put the file and its first rows for the preview; sign the link,
end the task, remove what was staged. It uses pymongo, boto3, the csv module and plain dictionaries.
It has no fencing, no heartbeats, no count of failed attempts and no check of values, it cannot be
cancelled, and it does not find a part that another worker staged.

With promises, it also sends the requests that those of the product need, and nothing else of them:
the database keeps the indexes of the tasks, the end looks whether the file is in the bucket and
reads by which channels the person is told. So it shows what those promises cost at least.
"""

import asyncio
import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from temporalio import activity, workflow
from temporalio.client import Client

with workflow.unsafe.imports_passed_through():
    from benchmarks.bench import USER
    from exports import names
    from exports.clock import now_ms
    from exports.documents import Indexes
    from exports.settings import Settings
    from exports.source.database import Source, Stage
    from exports.storage.s3 import s3_client
    from exports.tasks.indexes import INDEXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

QUEUE: Final = "by-hand"
_AT_MOST: Final = timedelta(minutes=1)
_STEPS: Final = ("aggregate_by_hand", "upload_by_hand", "write_back_by_hand")
_PREVIEWED: Final = 20

_Letter = dict[str, Any]


@workflow.defn
class HandWorkflow:
    """Three activities, one after the other."""

    @workflow.run
    async def run(self, letter: _Letter) -> _Letter:
        """Run them."""
        for step in _STEPS:
            letter = await workflow.execute_activity(
                step, letter, start_to_close_timeout=_AT_MOST, result_type=_Letter
            )
        return letter


class HandActivities:
    """The activities.

    Args:
        settings: The settings of a worker.
        database: The database of the tasks.
        source: The database of the rows.
        pipeline: The aggregation to run.
        collection: The collection of the orders.
        promises: Whether it sends the requests that the promises of the product need.
    """

    def __init__(
        self,
        settings: Settings,
        database: AsyncDatabase[_Letter],
        source: Source,
        *,
        pipeline: list[Stage],
        collection: str,
        promises: bool,
    ) -> None:
        self._tasks = tasks_of(database)
        self._people = database[names.PEOPLE_COLLECTION]
        self._promises = promises
        self._source = source
        self._collection = collection
        self._pipeline = pipeline
        self._s3: S3Client = s3_client(settings, settings.s3_endpoint_url)
        self._bucket = settings.s3_bucket
        self._staged: dict[str, bytes] = {}

    async def prepare(self) -> None:
        """With promises, make the indexes of the tasks."""
        if self._promises:
            await Indexes(self._tasks, INDEXES).ensure()

    @activity.defn(name=_STEPS[0])
    async def aggregate(self, letter: _Letter) -> _Letter:
        """Move the task to `running`, read it, read the month, and stage it."""
        which = {"_id": ObjectId(letter["id"])}
        await self._tasks.update_one(which, {"$set": {"status": "running", "startedAt": now_ms()}})
        task = await self._tasks.find_one(which)
        assert task is not None  # noqa: S101 -- of a benchmark
        rows = await self._source.aggregate(self._collection, self._pipeline)
        staged = json.dumps(rows, default=str).encode()
        key = f"{names.STAGING}{letter['id']}.json"
        await asyncio.to_thread(self._s3.put_object, Bucket=self._bucket, Key=key, Body=staged)
        self._staged[key] = staged
        return letter | {
            "type": task["type"],
            "params": task["params"],
            "staged": key,
            "rows": len(rows),
        }

    @activity.defn(name=_STEPS[1])
    async def upload(self, letter: _Letter) -> _Letter:
        """Put the file and its first rows into the bucket."""
        rows: Sequence[_Letter] = json.loads(self._staged.pop(letter["staged"]))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
        key = f"{names.FILES}{letter['id']}.csv"
        file = text.getvalue().encode()
        await asyncio.to_thread(self._s3.put_object, Bucket=self._bucket, Key=key, Body=file)
        seen = json.dumps(rows[:_PREVIEWED]).encode()
        await asyncio.to_thread(
            self._s3.put_object, Bucket=self._bucket, Key=f"{key}.preview", Body=seen
        )
        return letter | {"key": key, "bytes": len(file)}

    @activity.defn(name=_STEPS[2])
    async def write_back(self, letter: _Letter) -> _Letter:
        """End the task with a link, and remove what was staged."""
        where = {"Bucket": self._bucket, "Key": letter["key"]}
        if self._promises:
            await asyncio.to_thread(self._s3.head_object, Bucket=self._bucket, Key=letter["key"])
            await self._people.find_one({"_id": USER})
        link = self._s3.generate_presigned_url("get_object", Params=where, ExpiresIn=1800)
        fields = {"status": "done", "downloadUrl": link, "objectKey": letter["key"]}
        await self._tasks.update_one({"_id": ObjectId(letter["id"])}, {"$set": fields})
        await asyncio.to_thread(self._s3.delete_object, Bucket=self._bucket, Key=letter["staged"])
        return letter


def tasks_of(database: AsyncDatabase[_Letter]) -> Any:  # noqa: ANN401 -- pymongo's own generic
    """Return the collection of tasks, with the same read and write concern as the product's."""
    return database.get_collection(
        names.TASKS_COLLECTION,
        read_concern=ReadConcern("majority"),
        write_concern=WriteConcern("majority"),
    )


async def exported(
    temporal: Client, database: AsyncDatabase[_Letter], request: dict[str, object]
) -> None:
    """Insert a task, start its workflow, and wait until the workflow has closed."""
    task = ObjectId()
    await tasks_of(database).insert_one(
        {"_id": task, "status": "pending", "createdAt": now_ms()} | request
    )
    await temporal.execute_workflow(
        HandWorkflow.run, {"id": str(task)}, id=f"by-hand-{task}", task_queue=QUEUE
    )

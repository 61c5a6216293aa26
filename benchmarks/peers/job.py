"""The export itself, as the peers run it: the same steps as ours, without Temporal.

They share this code: the same aggregation, the same csv, the same upload, the same fields of the
document. Their designs leave some things out: there are no staged parts, because the rows stay in
the process (or, for DBOS, in its database) between two steps; and there is no run id, because
there are no runs. A task that has ended is never begun or ended again, so that a second delivery
does no harm. The key of the file depends on the task alone, so that a second upload replaces the
first.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from benchmarks.peers.steps import ran_to_its_end
from exports import names
from exports.clock import now_ms
from exports.formats import format_named
from exports.models import ExportRequest, TaskStatus, Unit
from exports.reports.file import load_reports
from exports.reports.stats.report import StatsReport
from exports.settings import Settings
from exports.source.database import CODEC
from exports.storage.bucket import ObjectStore
from exports.tables.warnings import WarningCounts
from exports.tasks.checks import runnable
from exports.tasks.collection import OPEN

_Document = dict[str, Any]
_MAJORITY: Final = WriteConcern("majority")
_SEEN_BY_MOST: Final = ReadConcern("majority")
ATTEMPTS: Final = 3
"""How often the work of an export is tried, on every peer as on ours."""


@dataclass(frozen=True)
class Encoded:
    """A file that is ready for the upload.

    Attributes:
        data: Its content.
        name: Its name for people.
        media_type: Its content type.
        rows: How many rows it has.
    """

    data: bytes
    name: str
    media_type: str
    rows: int


@dataclass(frozen=True)
class Stored:
    """A file in the bucket, with what is written into the document."""

    key: str
    name: str
    rows: int
    bytes: int
    sha256: str


class Files:
    """Makes files of aggregations and puts them into the bucket. Thread-safe; every call blocks.

    Args:
        settings: Those of a worker of ours.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = ObjectStore(settings)
        self._reports = load_reports(settings.reports_file)
        self.link_ttl: Final = settings.url_ttl
        self.retention: Final = settings.retention
        self.query_ms: Final = round(settings.query_timeout.total_seconds() * 1000)

    def aggregation(self, request: ExportRequest) -> tuple[str, list[_Document]]:
        """Return the collection to read, and the pipeline."""
        report, unit = self._report(request)
        return report.collection, report.pipeline(unit, request.created_by, request.params)

    def encode(self, request: ExportRequest, documents: list[_Document]) -> Encoded:
        """Return what the aggregation found as a file."""
        report, unit = self._report(request)
        params = report.check_params(request.params)
        batch = report.rows(unit, documents, params).batch
        file_format = format_named(request.format)
        return Encoded(
            data=b"".join(file_format.encode(batch.schema, [batch], WarningCounts())),
            name=f"{report.file_stem(params)}.{file_format.extension}",
            media_type=file_format.media_type,
            rows=batch.num_rows,
        )

    def upload(self, task_id: str, file: Encoded) -> Stored:
        """Put the file into the bucket, under the one key of its task."""
        key = f"{names.FILES}{task_id}/{file.name}"
        uploaded = self._store.upload(
            key,
            [file.data],
            media_type=file.media_type,
            file_name=file.name,
            stop=threading.Event(),
        )
        ran_to_its_end(task_id, "upload")
        return Stored(key, file.name, file.rows, uploaded.bytes, uploaded.sha256)

    def link(self, file: Stored) -> str:
        """Return a presigned link to a file."""
        return self._store.link(file.key, file_name=file.name, ttl=self.link_ttl).url

    def _report(self, request: ExportRequest) -> tuple[StatsReport, Unit]:
        report = self._reports.named(request.type)
        if not isinstance(report, StatsReport):
            raise TypeError(f"{request.type} is not a statistics report.")
        (unit,) = report.units(report.check_params(request.params))
        return report, unit


class Job:
    """The steps of an export for a tool whose tasks are ordinary functions. Thread-safe.

    Args:
        settings: Those of a worker of ours.
    """

    def __init__(self, settings: Settings) -> None:
        self._files = Files(settings)
        # Connects in the process that uses it, not in the one that forks.
        client = MongoClient[_Document](
            settings.mongo_uri.get_secret_value(), tz_aware=True, connect=False
        )
        self._source = client[settings.source[1]]
        self._tasks = client[settings.mongo_database].get_collection(
            names.TASKS_COLLECTION, read_concern=_SEEN_BY_MOST, write_concern=_MAJORITY
        )

    def begin(self, task_id: str) -> ExportRequest | None:
        """Move a task to `running`; None if it has ended already."""
        found = self._tasks.find_one_and_update(open_task(task_id), begun())
        return None if found is None else runnable(found)[0]

    def aggregate(self, task_id: str, request: ExportRequest) -> Encoded:
        """Read the rows and make the file."""
        collection, pipeline = self._files.aggregation(request)
        source = self._source.get_collection(
            collection, codec_options=CODEC, read_concern=_SEEN_BY_MOST
        )
        with source.aggregate(
            pipeline, allowDiskUse=True, maxTimeMS=self._files.query_ms
        ) as cursor:
            documents = cursor.to_list()
        file = self._files.encode(request, documents)
        ran_to_its_end(task_id, "aggregate")
        return file

    def upload(self, task_id: str, file: Encoded) -> Stored:
        """Put the file into the bucket."""
        return self._files.upload(task_id, file)

    def done(self, task_id: str, file: Stored) -> None:
        """Move a task to `done`, with a link to its file."""
        update = ended_well(self._files, file)
        self._tasks.find_one_and_update(open_task(task_id), update)
        ran_to_its_end(task_id, "done")

    def failed(self, task_id: str, error: BaseException) -> None:
        """Move a task to `failed`."""
        self._tasks.find_one_and_update(open_task(task_id), ended_badly(error))


class AsyncJob:
    """The steps of an export for a tool whose tasks are coroutines.

    Args:
        settings: Those of a worker of ours.
    """

    def __init__(self, settings: Settings) -> None:
        self.files: Final = Files(settings)
        client = AsyncMongoClient[_Document](
            settings.mongo_uri.get_secret_value(), tz_aware=True, connect=False
        )
        self._source = client[settings.source[1]]
        self._tasks = client[settings.mongo_database].get_collection(
            names.TASKS_COLLECTION, read_concern=_SEEN_BY_MOST, write_concern=_MAJORITY
        )

    async def begin(self, task_id: str) -> ExportRequest | None:
        """Move a task to `running`; None if it has ended already."""
        found = await self._tasks.find_one_and_update(open_task(task_id), begun())
        return None if found is None else runnable(found)[0]

    async def aggregate(self, request: ExportRequest) -> list[_Document]:
        """Return what the aggregation finds."""
        collection, pipeline = self.files.aggregation(request)
        source = self._source.get_collection(
            collection, codec_options=CODEC, read_concern=_SEEN_BY_MOST
        )
        cursor = await source.aggregate(pipeline, allowDiskUse=True, maxTimeMS=self.files.query_ms)
        async with cursor:
            return await cursor.to_list()

    async def done(self, task_id: str, file: Stored) -> None:
        """Move a task to `done`, with a link to its file."""
        update = ended_well(self.files, file)
        await self._tasks.find_one_and_update(open_task(task_id), update)
        ran_to_its_end(task_id, "done")

    async def failed(self, task_id: str, error: BaseException) -> None:
        """Move a task to `failed`."""
        await self._tasks.find_one_and_update(open_task(task_id), ended_badly(error))


def open_task(task_id: str) -> _Document:
    """Return the query for a task that has not ended."""
    return {"_id": ObjectId(task_id), "status": {"$in": OPEN}}


def begun() -> _Document:
    """Return the update that moves a task to `running`."""
    now = now_ms()
    return {
        "$set": {"status": TaskStatus.RUNNING.value, "updatedAt": now},
        "$min": {"startedAt": now},
        "$unset": {"nextRunAt": ""},
    }


def ended_well(files: Files, file: Stored) -> _Document:
    """Return the update that moves a task to `done`."""
    now = now_ms()
    fields: _Document = {
        "status": TaskStatus.DONE.value,
        "fileName": file.name,
        "rows": file.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "objectKey": file.key,
        "downloadUrl": files.link(file),
        "expiresAt": now + _millis(files.link_ttl),
        "purgeAt": now + _millis(files.retention),
        "finishedAt": now,
        "updatedAt": now,
    }
    return {"$set": fields, "$unset": {"error": "", "nextRunAt": ""}}


def ended_badly(error: BaseException) -> _Document:
    """Return the update that moves a task to `failed`."""
    now = now_ms()
    reason = {"code": getattr(error, "code", "E_INTERNAL"), "msg": type(error).__name__}
    return {
        "$set": {
            "status": TaskStatus.FAILED.value,
            "error": reason,
            "finishedAt": now,
            "updatedAt": now,
        }
    }


def settings_of_worker() -> Settings:
    """Read the environment, and log only warnings, because logging takes time."""
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Settings.load()


def _millis(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

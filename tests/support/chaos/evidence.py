"""What is left after a chaos run, according to the servers themselves.

It imports nothing of the product and has its own drivers and names, so that it does not repeat a
mistake of the product.
"""

import asyncio
import hashlib
import json
import time
import urllib.request
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.error import HTTPError

from pymongo import AsyncMongoClient
from temporalio.client import Client, WorkflowExecutionStatus

from tests.support.chaos.operations import Operation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK: Final = 1 << 20
_SETTLED: Final = 120.0
_LOOK: Final = 0.3


@dataclass(frozen=True)
class Content:
    """The content of a file: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Self:
        """Read a file to its end."""
        digest = hashlib.sha256()
        size = 0
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
        return cls(size, digest.hexdigest())


@dataclass(frozen=True)
class Download:
    """What a link led to, and when it was requested, in seconds since the epoch."""

    content: Content
    began: float
    ended: float


@dataclass(frozen=True)
class Run:
    """One run of a workflow: its id, when it started (seconds since the epoch), how it closed."""

    workflow: str
    started: float
    status: str


@dataclass(frozen=True)
class Evidence:
    """Everything that the checker needs to know.

    Attributes:
        operations: The record.
        tasks: The documents of `ExportTasks`, unchanged.
        objects: Every object under the prefix, by key without the prefix.
        open_uploads: Keys of multipart uploads that were neither completed nor aborted.
        runs: Every run of an export on the task queue.
        references: The file of each request without any fault.
        downloads: What the link in a task's document led to, by task id.
        may_fail: Requests that are allowed to fail, and with which code.
    """

    operations: list[Operation]
    tasks: list[dict[str, Any]]
    objects: dict[str, Content]
    open_uploads: list[str]
    runs: list[Run]
    references: dict[str, Content]
    downloads: dict[str, Download]
    may_fail: dict[str, str]

    def save(self, folder: Path) -> None:
        """Write it to a folder for people; links and contents are left out."""
        folder.mkdir(parents=True, exist_ok=True)
        tasks = [
            {name: value for name, value in task.items() if name != "downloadUrl"}
            for task in self.tasks
        ]
        for name, content in (
            ("tasks", tasks),
            ("objects", {key: vars(content) for key, content in self.objects.items()}),
            ("open-uploads", self.open_uploads),
            ("references", {asked: vars(one) for asked, one in self.references.items()}),
            ("runs", [vars(run) for run in self.runs]),
        ):
            (folder / f"{name}.json").write_text(
                json.dumps(content, indent=1, default=str, ensure_ascii=False), encoding="utf-8"
            )


@dataclass(frozen=True)
class Servers:
    """Where the evidence is.

    Attributes:
        mongo_uri: The database server.
        database: The database that holds `ExportTasks`.
        s3: A client of the object store.
        bucket: The bucket.
        prefix: The prefix of all keys.
        temporal_address: The Temporal server.
        task_queue: The task queue of the runs.
        since: Runs that started before are ignored (ISO 8601).
    """

    mongo_uri: str
    database: str
    s3: "S3Client"
    bucket: str
    prefix: str
    temporal_address: str
    task_queue: str
    since: str = "2000-01-01T00:00:00Z"


async def runs_of(servers: Servers) -> list[Run]:
    """Return every run of an export that Temporal lists for the queue."""
    client = await Client.connect(servers.temporal_address)
    query = (
        f"TaskQueue = '{servers.task_queue}' AND WorkflowType = 'ExportWorkflow' "
        f"AND StartTime >= '{servers.since}'"
    )
    return [
        Run(found.id, found.start_time.timestamp(), found.status.name if found.status else "")
        async for found in client.list_workflows(query)
    ]


async def settled_runs(servers: Servers) -> list[Run]:
    """Return every run when none is open any more; runs that stay open are returned as well."""
    tries = int(_SETTLED / _LOOK)
    for _ in range(tries):
        runs = await runs_of(servers)
        if all(run.status != WorkflowExecutionStatus.RUNNING.name for run in runs):
            break
        await asyncio.sleep(_LOOK)
    await asyncio.sleep(_LOOK)  # the list lags behind a little
    return await runs_of(servers)


async def gather(
    servers: Servers,
    operations: list[Operation],
    references: dict[str, Content],
    may_fail: dict[str, str],
) -> Evidence:
    """Collect what the servers have now; `Evidence` says what they cannot know."""
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as mongo:
        tasks = [document async for document in mongo[servers.database]["ExportTasks"].find()]
    objects, open_uploads = await asyncio.to_thread(_bucket, servers)
    links = {str(task["_id"]): task.get("downloadUrl") for task in tasks}
    return Evidence(
        operations=operations,
        tasks=tasks,
        objects=objects,
        open_uploads=open_uploads,
        runs=await settled_runs(servers),
        references=references,
        downloads=await asyncio.to_thread(_downloads, links),
        may_fail=may_fail,
    )


def _bucket(servers: Servers) -> tuple[dict[str, Content], list[str]]:
    objects: dict[str, Content] = {}
    pages = servers.s3.get_paginator("list_objects_v2").paginate(
        Bucket=servers.bucket, Prefix=servers.prefix
    )
    for page in pages:
        for item in page.get("Contents", []):
            key = item.get("Key", "")
            with closing(servers.s3.get_object(Bucket=servers.bucket, Key=key)["Body"]) as body:
                content = Content.of(body.iter_chunks(_CHUNK))
            objects[key.removeprefix(servers.prefix)] = content
    uploads = [
        upload.get("Key", "").removeprefix(servers.prefix)
        for page in servers.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=servers.bucket, Prefix=servers.prefix
        )
        for upload in page.get("Uploads", [])
    ]
    return objects, uploads


def keep_contents(servers: Servers, objects: dict[str, Content], folder: Path) -> None:
    """Download one object of each content, so that a person can compare those that differ."""
    for content, key in {content: key for key, content in objects.items()}.items():
        path = folder / content.sha256[:8] / Path(key).name
        path.parent.mkdir(parents=True, exist_ok=True)
        servers.s3.download_file(servers.bucket, servers.prefix + key, str(path))


def _downloads(links: dict[str, Any]) -> dict[str, Download]:
    found: dict[str, Download] = {}
    for task, link in links.items():
        if link is not None:
            began = time.time()
            content = downloaded(link)
            found[task] = Download(content, began, time.time())
    return found


def downloaded(link: str) -> Content:
    """Follow a link; if it is refused, return the refusal as the content."""
    try:
        with urllib.request.urlopen(link, timeout=60) as answer:
            return Content.of(iter(lambda: answer.read(_CHUNK), b""))
    except HTTPError as error:
        return Content.of([f"HTTP {error.code}".encode()])

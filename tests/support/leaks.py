"""Searches, after a test run, for what must never be in Temporal or in a log.

Every order of the tests contains a canary, and so does every invalid password and key that a test
makes up. A leak is found by its text: histories are searched as the server stores them, with all
payloads, failures, search attributes and memos.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import Message
from pydantic import SecretStr
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeScheduleRequest,
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    ListNamespacesRequest,
    ListSchedulesRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client

from dev.endpoints import Endpoints

CANARY: Final = "c4n4ry"
"""Part of every value, password and key that must be found if it leaks."""

LOGS: Final = "EXPORTS_TEST_LOGS"
"""The environment variable with the folder for the logs of this run."""

_SIDE_BY_SIDE: Final = 24
_PAGE: Final = 500
_PATTERNS: Final = {
    "a canary": CANARY.encode(),
    "the value of a row": b"|".join((re.escape("图书".encode()), rb"\\u56fe\\u4e66")),
    "a signature": rb"X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId=",
    "a token of the API": rb"exp_[0-9a-f]{16}_[\w-]{43}|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+",
    "a secret of a webhook": rb"whsec_[\w+/-]{20,}",
    "a password in a URI": rb"mongodb(?:\+srv)?://(?!user:password@)[^\s/:@\"']+:[^\s/@\"']+@",
}


@dataclass(frozen=True, order=True)
class Leak:
    """Something that must not be where it is.

    Attributes:
        where: A workflow, a schedule or a log.
        what: What kind of thing it is; never the value, which may be a secret.
    """

    where: str
    what: str


class Search:
    """Searches texts for leaks.

    Args:
        secrets: Secret values, in addition to the canaries.
    """

    def __init__(self, secrets: Iterable[SecretStr] = ()) -> None:
        kinds = dict(_PATTERNS)
        kinds |= {
            f"secret {number}": re.escape(secret.get_secret_value().encode())
            for number, secret in enumerate(secrets, start=1)
        }
        self._kinds = {kind: re.compile(text, re.IGNORECASE) for kind, text in kinds.items()}

    def within(self, where: str, content: bytes) -> list[Leak]:
        """Return the leaks in a text."""
        return [Leak(where, kind) for kind, text in self._kinds.items() if text.search(content)]

    def in_logs(self, folder: Path) -> list[Leak]:
        """Return the leaks in the logs of a folder and of its subfolders."""
        return [
            leak for path in _logs(folder) for leak in self.within(path.name, path.read_bytes())
        ]

    async def in_temporal(self, address: str) -> tuple[list[Leak], int]:
        """Return the leaks in the histories of a server, and the number of its workflows."""
        client = await Client.connect(address)
        free = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def one(namespace: str, run: WorkflowExecutionInfo) -> list[Leak]:
            async with free:
                where = f"workflow {run.execution.workflow_id} in {namespace}"
                kept = [message async for message in _kept(client, namespace, run)]
                return [leak for part in kept for leak in self.within(where, part)]

        found: list[Leak] = []
        workflows = 0
        for namespace in await _namespaces(client):
            runs = [run async for run in _runs(client, namespace)]
            workflows += len(runs)
            for leaks in await asyncio.gather(*(one(namespace, run) for run in runs)):
                found += leaks
            async for schedule, content in _schedules(client, namespace):
                found += self.within(f"schedule {schedule} in {namespace}", content)
        return sorted(set(found)), workflows

    async def in_runs_of(self, client: Client, workflow_id: str) -> list[Leak]:
        """Return the leaks in the runs of one workflow."""
        handle = client.get_workflow_handle(workflow_id)
        info = (await handle.describe()).raw_info
        kept = [message async for message in _kept(client, client.namespace, info)]
        return [leak for part in kept for leak in self.within(workflow_id, part)]


def _logs(folder: Path) -> list[Path]:
    # Deeper folders hold the servers' databases, which have files with this suffix as well.
    return sorted((*folder.glob("*.log"), *folder.glob("*/*.log")))


async def _namespaces(client: Client) -> list[str]:
    listed = await client.workflow_service.list_namespaces(ListNamespacesRequest(page_size=_PAGE))
    names = [found.namespace_info.name for found in listed.namespaces]
    return [name for name in names if name != "temporal-system"]


async def _runs(client: Client, namespace: str) -> AsyncIterator[WorkflowExecutionInfo]:
    token = b""
    while True:
        page = await client.workflow_service.list_workflow_executions(
            ListWorkflowExecutionsRequest(
                namespace=namespace, page_size=_PAGE, next_page_token=token
            )
        )
        for run in page.executions:
            yield run
        token = page.next_page_token
        if not token:
            return


async def _kept(client: Client, namespace: str, run: WorkflowExecutionInfo) -> AsyncIterator[bytes]:
    """Yield everything that the server has of a run: attributes, memo, history, pending work."""
    yield _bytes(run)
    execution = WorkflowExecution(
        workflow_id=run.execution.workflow_id, run_id=run.execution.run_id
    )
    if not run.HasField("close_time"):
        # Heartbeat details and the last failure are not in an event yet.
        yield _bytes(
            await client.workflow_service.describe_workflow_execution(
                DescribeWorkflowExecutionRequest(namespace=namespace, execution=execution)
            )
        )
    token = b""
    while True:
        page = await client.workflow_service.get_workflow_execution_history(
            GetWorkflowExecutionHistoryRequest(
                namespace=namespace, execution=execution, next_page_token=token
            )
        )
        yield _bytes(page.history)
        token = page.next_page_token
        if not token:
            return


async def _schedules(client: Client, namespace: str) -> AsyncIterator[tuple[str, bytes]]:
    token = b""
    while True:
        page = await client.workflow_service.list_schedules(
            ListSchedulesRequest(
                namespace=namespace, maximum_page_size=_PAGE, next_page_token=token
            )
        )
        for entry in page.schedules:
            described = await client.workflow_service.describe_schedule(
                DescribeScheduleRequest(namespace=namespace, schedule_id=entry.schedule_id)
            )
            yield entry.schedule_id, _bytes(entry) + _bytes(described)
        token = page.next_page_token
        if not token:
            return


def _bytes(message: Message) -> bytes:
    """Return a message as it is sent over the network, with its texts readable."""
    return message.SerializeToString()


async def search_everything(endpoints: Endpoints, logs: Path) -> tuple[list[Leak], str]:
    """Search the servers of a run and its logs.

    Args:
        endpoints: The servers, still running.
        logs: The folder with all logs.

    Returns:
        The leaks, and a sentence that says what was searched.
    """
    search = Search([endpoints.s3_access_key_id, endpoints.s3_secret_access_key])
    leaks, workflows = await search.in_temporal(endpoints.temporal_address)
    leaks += search.in_logs(logs)
    return leaks, f"{workflows} workflows and {len(_logs(logs))} logs searched for leaks"


def keep(name: str, text: str) -> None:
    """Keep what one of our programs has written to its log, for the search after the run."""
    folder = os.environ.get(LOGS)
    if folder:
        with (Path(folder) / f"{name}.log").open("a", encoding="utf-8") as log:
            log.write(text)


def keep_ours() -> None:
    """Keep the log of this process from now on: most tests run their workers in it."""
    handler = logging.FileHandler(
        Path(os.environ[LOGS]) / f"pytest-{os.getpid()}.log",
        encoding="utf-8",
        errors="backslashreplace",
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)

"""Looks at Temporal: the namespace, what exports need in it, and who works for it."""

import asyncio
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    PollWorkflowTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.connections import connect_temporal
from exports.doctor.check import Check, Question, Server, failed, ok, same_clock, warning
from exports.errors import ReportsFileError, ScheduleMissingError
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.temporal.pollers import POLLED_WITHIN, pollers
from exports.temporal.schedule import SweepSchedule
from exports.temporal.search_attributes import (
    ensure_search_attributes,
    how_to_add,
    knows_search_attributes,
)
from exports.temporal.server import check_temporal_version

_POLL: Final = timedelta(seconds=10)
"""How long a poll of our own may take; it is cancelled as soon as the server knows of it."""
_PAUSE: Final = 0.1  # seconds
_START_ONE: Final = "exports worker"


class TemporalDoctor:
    """The questions about Temporal.

    Args:
        settings: Of a worker.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue = settings.task_queue
        self._connected: Client | None = None

    def server(self) -> Server:
        """Return the questions."""
        mend = "Check TEMPORAL_ADDRESS and that Temporal runs: temporal operator cluster health"
        return Server("temporal", Question("reachable", self._reachable, mend), self._questions)

    def _questions(self) -> list[Question]:
        return [
            Question("version", self._version),
            Question("search attributes", self._attributes, fix=self._add_attributes),
            Question("schedule", self._schedule, fix=self._apply_schedule),
            Question("workers", self._workers),
            Question("clock", self._clock, "Set the clock of this machine by NTP."),
        ]

    @property
    def _client(self) -> Client:
        if self._connected is None:
            raise RuntimeError("asked before it was reached")
        return self._connected

    @property
    def _sweeps(self) -> SweepSchedule:
        return SweepSchedule(self._client, task_queue=self._queue)

    async def _reachable(self) -> list[Check]:
        self._connected = client = await connect_temporal(self._settings.encryption_keys)
        where = client.service_client.config.target_host
        reached = ok("reachable", f"Temporal answers at {where}.")
        namespace = client.namespace
        try:
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=namespace)
            )
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return [
                    reached,
                    failed(
                        "namespace",
                        f"Temporal has no namespace {namespace!r}.",
                        "Check TEMPORAL_NAMESPACE, or: temporal operator namespace create "
                        f"--namespace {namespace} --retention 168h",
                    ),
                ]
            raise
        return [reached, ok("namespace", f"{namespace!r} exists.")]

    async def _version(self) -> list[Check]:
        return [ok("version", f"The server is {await check_temporal_version(self._client)}.")]

    async def _attributes(self) -> list[Check]:
        if await knows_search_attributes(self._client):
            return [ok("search attributes", f"All {len(names.SEARCH_ATTRIBUTES)} are there.")]
        what = "Some are missing: exports run without them, and the Web UI can't filter by them."
        return [warning("search attributes", what, how_to_add(self._client.namespace))]

    async def _add_attributes(self) -> None:
        await ensure_search_attributes(self._client)

    async def _schedule(self) -> list[Check]:
        try:
            found = await self._sweeps.show()
        except ScheduleMissingError:
            what = "There is none: nothing is repaired or removed, and some messages wait."
            return [failed("schedule", what, "exports schedule apply")]
        if not found.up_to_date:
            what = f"{found.schedule_id} is older than this release."
            return [warning("schedule", what, "exports schedule apply")]
        if found.paused:
            what = f"{found.schedule_id} is paused ({found.note or 'no note'})."
            return [warning("schedule", what, "exports schedule resume")]
        return [ok("schedule", f"{found.schedule_id} runs every {found.every_seconds} s.")]

    async def _apply_schedule(self) -> None:
        await self._sweeps.apply()

    async def _workers(self) -> list[Check]:
        queues = {
            self._queue: ("exports", False),
            names.bulk_task_queue(self._queue): ("the steps of row-level exports", True),
            names.suspect_task_queue(self._queue): ("steps that have lost two workers", True),
            names.messages_task_queue(self._queue): ("messages", False),
        }
        # Only Temporal's clock is compared with what Temporal has noted.
        now = await self._now()
        polled = await asyncio.gather(
            *(
                pollers(self._client, queue, activities=activities)
                for queue, (_, activities) in queues.items()
            )
        )
        checks: list[Check] = []
        for (queue, (what, _)), found in zip(queues.items(), polled, strict=True):
            name = f"workers on {queue}"
            if any(now - item.last_access_time.ToDatetime(UTC) <= POLLED_WITHIN for item in found):
                count = len({item.identity for item in found})
                said = f"{count} workers poll it." if count > 1 else "1 worker polls it."
                checks.append(ok(name, said))
            elif queue == names.bulk_task_queue(self._queue) and not self._reads_rows():
                unused = "Nobody polls it, and no report has row-level exports."
                checks.append(warning(name, unused))
            else:
                checks.append(failed(name, f"Nobody polls it: {what} wait.", _START_ONE))
        if all(check.outcome != "ok" for check in checks):
            what = f"Nobody polls {self._queue} or a queue that belongs to it: all exports wait."
            return [failed("workers", what, _START_ONE)]
        return checks

    def _reads_rows(self) -> bool:
        try:
            return any(report.bulk for report in load_reports(self._settings.reports_file))
        except ReportsFileError:
            return True  # nobody knows

    async def _clock(self) -> list[Check]:
        return [same_clock(await self._now(), whose="Temporal's")]

    async def _now(self) -> datetime:
        """Return Temporal's time.

        Temporal tells its time nowhere but in what it has noted. It notes when a worker polls: so
        this polls a queue that nobody else uses, and looks when that was.
        """
        queue, me = names.doctor_task_queue(self._queue), f"doctor-{secrets.token_hex(8)}"
        began = time.monotonic()
        polling = asyncio.create_task(
            self._client.workflow_service.poll_workflow_task_queue(
                PollWorkflowTaskQueueRequest(
                    namespace=self._client.namespace,
                    task_queue=TaskQueue(name=queue),
                    identity=me,
                ),
                timeout=_POLL,
            )
        )
        try:
            while True:
                for poller in await pollers(self._client, queue):
                    if poller.identity == me:
                        polled = poller.last_access_time.ToDatetime(UTC)
                        return polled + timedelta(seconds=time.monotonic() - began)
                await asyncio.sleep(_PAUSE)
        finally:
            polling.cancel()
            with suppress(asyncio.CancelledError, RPCError):
                await polling

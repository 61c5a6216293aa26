"""The boundaries of a process: before and after each of its writes to MongoDB, S3 and Temporal.

Each has a name that is the same in every process that does the same, so that one process can
record which there are, and another can be ended or stopped at any of them:

    aggregate 2026-10: PutObject 1, after
    workflow: schedule upload 1, before

No list of them is kept. The drivers' own hooks see what is sent to MongoDB and S3; what a worker
tells Temporal is seen where Python passes it to the core of the SDK, which returns when the server
has answered.
"""

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final
from unittest.mock import patch

from botocore.awsrequest import AWSPreparedRequest
from pymongo import monitoring
from temporalio import activity, client, worker
from temporalio.bridge.proto import ActivityTaskCompletion
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.bridge.worker import Worker as CoreWorker
from temporalio.client import Client

from exports.models import AggregateInput
from exports.settings import Settings
from exports.storage import bucket, s3

_MONGO_WRITES: Final = {"insert", "update", "delete", "findAndModify", "createIndexes"}
_S3_READS: Final = ("Get", "Head", "List")

Meet = Callable[[str], None]


class _Step:
    """The current step of a process, and how often it has done what since the step began."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, operation: str) -> str:
        with self._lock:
            self._done[operation] += 1
            return f"{self.name}: {operation} {self._done[operation]}"


_STEP: ContextVar[_Step] = ContextVar("step")
_WORKFLOW: Final = _Step("workflow")
_PROCESS: Final = _Step("process")


def watch(meet: Meet) -> None:
    """Call `meet` with the name of each boundary that this process reaches, until it ends.

    To be called before anything connects.
    """
    monitoring.register(_Commands(meet))
    connect_s3 = s3.s3_client

    def watched_s3(settings: Settings, endpoint: str | None) -> Any:
        made = connect_s3(settings, endpoint)
        requests = _Requests(meet)
        made.meta.events.register("before-send.s3.*", requests.sent)
        made.meta.events.register("after-call.s3.*", requests.answered)
        return made

    connect_temporal = Client.connect

    async def watched_temporal(*given: Any, **named: Any) -> Client:
        return await connect_temporal(*given, **named, interceptors=[_Calls(meet)])

    poll = CoreWorker.poll_workflow_activation
    complete_activity = CoreWorker.complete_activity_task
    complete_workflow = CoreWorker.complete_workflow_activation
    record_heartbeat = CoreWorker.record_activity_heartbeat

    forgotten: set[str] = set()

    async def polled(self: CoreWorker) -> WorkflowActivation:
        activation = await poll(self)
        # A run is removed from this worker's cache. This is not sent to the server.
        if any(job.HasField("remove_from_cache") for job in activation.jobs):
            forgotten.add(activation.run_id)
        return activation

    async def activity_completed(self: CoreWorker, comp: ActivityTaskCompletion) -> None:
        name = _step().next(f"activity {comp.result.WhichOneof('status')}")
        await _around(meet, name, lambda: complete_activity(self, comp))

    async def workflow_completed(self: CoreWorker, comp: WorkflowActivationCompletion) -> None:
        if comp.run_id in forgotten:
            forgotten.discard(comp.run_id)
            await complete_workflow(self, comp)
            return
        name = _WORKFLOW.next(_commands(comp))
        await _around(meet, name, lambda: complete_workflow(self, comp))

    def heartbeat_recorded(self: CoreWorker, comp: Any) -> None:
        name = _step().next("heartbeat")
        meet(f"{name}, before")
        record_heartbeat(self, comp)
        meet(f"{name}, after")

    for place, method, instead in (
        (bucket, "s3_client", watched_s3),
        (Client, "connect", watched_temporal),
        (CoreWorker, "poll_workflow_activation", polled),
        (CoreWorker, "complete_activity_task", activity_completed),
        (CoreWorker, "complete_workflow_activation", workflow_completed),
        (CoreWorker, "record_activity_heartbeat", heartbeat_recorded),
    ):
        patch.object(place, method, instead).start()


def name_process(name: str) -> None:
    """Set the name of what this process does outside of activities."""
    _PROCESS.name = name


def by_chance(name: str) -> bool:
    """Return whether two processes that do the same may differ in a boundary.

    Heartbeats depend on the duration of a step, and a workflow may hear of simultaneous events in
    one activation or in several.
    """
    periodic = ": heartbeat " in name or ": progress " in name
    return periodic or (name.startswith("workflow: ") and _number(name) > 1) or ": nothing " in name


def without_repeated_heartbeats(names: Iterable[str]) -> list[str]:
    """Return boundaries without the repeated ones: only the first heartbeat of a step counts."""
    periodic = (": heartbeat ", ": progress ")
    return [
        name
        for name in dict.fromkeys(names)
        if _number(name) == 1 or not any(kind in name for kind in periodic)
    ]


def after_writes(names: Iterable[str]) -> list[str]:
    """Return the boundaries after writes: until its next write, a process leaves the same."""
    return [name for name in names if name.endswith(", after")]


def _number(name: str) -> int:
    return int(name.rpartition(", ")[0].rpartition(" ")[2])


def _step() -> _Step:
    return _STEP.get(_PROCESS)


async def _around(meet: Meet, name: str, write: Callable[[], Awaitable[None]]) -> None:
    meet(f"{name}, before")
    await write()
    meet(f"{name}, after")


def _commands(comp: WorkflowActivationCompletion) -> str:
    kinds: list[str] = []
    for command in comp.successful.commands:
        kind = command.WhichOneof("variant") or "nothing"
        if kind == "schedule_activity":
            kinds.append(f"schedule {command.schedule_activity.activity_type}")
        else:
            kinds.append(kind)
    return " + ".join(sorted(set(kinds))) or "nothing"


class _Commands(monitoring.CommandListener):
    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._under_way: dict[int, str] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in _MONGO_WRITES:
            return
        name = _step().next(_change(event))
        self._under_way[event.request_id] = name
        self._meet(f"{name}, before")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        name = self._under_way.pop(event.request_id, None)
        if name is not None:
            self._meet(f"{name}, after")

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._under_way.pop(event.request_id, None)


def _change(event: monitoring.CommandStartedEvent) -> str:
    if event.command_name != "update":
        return event.command_name
    fields = event.command["updates"][0]["u"].get("$set", {})
    if "status" in fields:
        return f"update to {fields['status']}"
    return "progress" if "progress.stage" in fields else f"update of {min(fields)}"


class _Requests:
    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._here = threading.local()

    def sent(self, event_name: str, request: AWSPreparedRequest, **_: Any) -> None:
        del request
        operation = event_name.rpartition(".")[2]
        if not operation.startswith(_S3_READS):
            self._here.name = _step().next(operation)
            self._meet(f"{self._here.name}, before")

    def answered(self, event_name: str, **_: Any) -> None:
        if not event_name.rpartition(".")[2].startswith(_S3_READS):
            self._meet(f"{self._here.name}, after")


class _Calls(client.Interceptor, worker.Interceptor):
    """Sees what is sent to Temporal through a client, and for which activity."""

    def __init__(self, meet: Meet) -> None:
        self._meet = meet

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:  # noqa: A002 -- the SDK's
        return _ClientCalls(next, self._meet)

    def intercept_activity(
        self,
        next: worker.ActivityInboundInterceptor,  # noqa: A002 -- the SDK's
    ) -> worker.ActivityInboundInterceptor:
        return _Steps(next)


class _Steps(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002 -- the SDK's
        ask = input.args[0] if input.args else None  # a step of a sweep has no input
        unit = f" {ask.unit.key}" if isinstance(ask, AggregateInput) else ""
        _STEP.set(_Step(f"{activity.info().activity_type}{unit}"))
        return await super().execute_activity(input)


class _ClientCalls(client.OutboundInterceptor):
    def __init__(self, following: client.OutboundInterceptor, meet: Meet) -> None:
        super().__init__(following)
        self._meet = meet

    async def start_workflow(self, input: client.StartWorkflowInput) -> Any:  # noqa: A002 -- the SDK's
        started: list[Any] = []

        async def start() -> None:
            started.append(await self.next.start_workflow(input))

        await _around(self._meet, _step().next("start workflow"), start)
        return started[0]

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:  # noqa: A002 -- the SDK's
        await _around(self._meet, _step().next("signal"), lambda: self.next.signal_workflow(input))

    async def cancel_workflow(self, input: client.CancelWorkflowInput) -> None:  # noqa: A002 -- the SDK's
        await _around(
            self._meet, _step().next("request cancel"), lambda: self.next.cancel_workflow(input)
        )

"""Two people: for each of them, the other's exports do not exist.

Not only the answer is the same: the same requests are sent to the servers for somebody else's task
as for one that does not exist, and none of them changes anything.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

import pytest
import typer
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from temporalio.client import (
    CancelWorkflowInput,
    Client,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowInput,
    TerminateWorkflowInput,
)
from temporalio.common import SearchAttributeKey

from exports import envelope, names
from exports.cli import app as cli
from exports.cli.boundary import guarded
from exports.client import ExportClient
from exports.connections import Connections
from exports.errors import ExportError, TaskNotFoundError
from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.temporal.converter import data_converter
from tests.support.command_line import environment_of
from tests.support.protections import protected_by
from tests.support.service import MONTH, Service, insert_orders, working
from tests.support.traffic import Traffic

OWNER, STRANGER = "u1", "u2"
NOT_THERE = "0123456789abcdef01234567"
REFUSAL: Final = {"code": "E_NOT_FOUND", "msg": "There is no such task."}

_GET = 'if document is None or created_by not in (None, document.get("createdBy")):'
owners_are_checked = protected_by("exports/tasks/store.py", _GET, instead="if document is None:")

Ask = Callable[[ExportClient, str, str], Awaitable[object]]


async def _watched(client: ExportClient, task_id: str, who: str) -> object:
    return [task async for task in client.watch(task_id, created_by=who)]


# One row for each method of the client that names a task.
ASKED: dict[str, Ask] = {
    "get": lambda client, task_id, who: client.get(task_id, created_by=who),
    "audit": lambda client, task_id, who: client.audit(task_id, created_by=who),
    "watch": _watched,
    "wait": lambda client, task_id, who: client.wait(
        task_id, created_by=who, timeout=timedelta(seconds=5)
    ),
    "cancel": lambda client, task_id, who: client.cancel(task_id, created_by=who, reason="mine"),
    "renew": lambda client, task_id, who: client.renew(task_id, created_by=who),
    "link": lambda client, task_id, who: client.link(task_id, created_by=who),
    "delete_file": lambda client, task_id, who: client.delete_file(task_id, created_by=who),
    "retry": lambda client, task_id, who: client.retry(task_id, created_by=who),
    "preview": lambda client, task_id, who: client.preview(task_id, created_by=who),
    "deliveries": lambda client, task_id, who: client.deliveries.list(
        task_id=task_id, created_by=who
    ),
}
# Methods that do not name a task, and the test that shows what a person sees through them.
NO_TASK: Final = {
    "connect": "makes a client",
    "with_origin": "makes a client",
    "create": "test_one_key_of_two_people_makes_two_exports",
    "list": "test_nobody_is_listed_what_is_not_theirs",
    "page": "test_nobody_is_listed_what_is_not_theirs",
    "retry_all": "tests/client/test_retrying.py",
    "quotas": "tests/client/test_quotas.py",
    "estimate": "tests/client/test_estimates.py",
    "watch_all": "test_nobody_is_told_of_somebody_elses_exports",
    "notify_choice": "tests/messages/test_choices.py",
    "choose_notify": "tests/messages/test_choices.py",
    "wechat_grants": "tests/api/test_reaching.py",
    "grant_wechat": "tests/api/test_reaching.py",
    "sweep": "for operators, who see all tasks",
}
# The same for commands: the arguments after the name of the command.
COMMANDS: dict[str, list[str]] = {
    "show": [],
    "audit": [],
    "cancel": ["--reason", "mine"],
    "renew": [],
    "delete": [],
    "retry": [],
    "deliveries": [],
}
NO_TASK_COMMANDS: Final = {
    *("types", "create", "list", "sweep", "worker", "api", "codec-server", "doctor", "probe-store"),
    *(
        f"recurring {name}"
        for name in (
            *("create", "list", "show", "audit", "pause"),
            *("resume", "trigger", "backfill", "delete"),
        )
    ),
    *(f"token {name}" for name in ("create", "list", "revoke")),
    # Of deliveries, tests/messages/test_owners.py shows who sees what.
    *(f"delivery {name}" for name in ("show", "send-again", "cancel")),
    *(f"notify {name}" for name in ("show", "set")),
    # Of webhooks, tests/messages/test_webhooks.py does.
    *(f"webhook {name}" for name in ("add", "list", "test", "rotate", "enable", "remove")),
    *(f"schedule {name}" for name in ("apply", "show", "pause", "resume", "trigger")),
}
ACTIONS: dict[str, dict[str, object]] = {"get": {}, "cancel": {"reason": "mine"}}
NO_TASK_ACTIONS: Final = {"create", "run"}


def test_every_method_of_the_client_that_names_a_task_is_in_the_matrix() -> None:
    members = dict(inspect.getmembers(ExportClient, callable))
    methods = {name for name in members if not name.startswith("_")}
    assert methods == {*ASKED, *NO_TASK} - {"deliveries"}
    for name in methods:
        named = {"task_id", "created_by"} <= set(
            inspect.signature(getattr(ExportClient, name)).parameters
        )
        assert named is (name in ASKED), name


def test_every_command_that_names_a_task_is_in_the_matrix() -> None:
    found: dict[str, bool] = {}

    def walk(group: Any, before: str) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, f"{before}{name} ")
            else:
                given = {parameter.name for parameter in command.params}
                found[f"{before}{name}"] = "task_id" in given
                assert ("created_by" in given) >= ("task_id" in given), name

    walk(typer.main.get_command(cli.app), "")
    assert {name for name, named in found.items() if named} == set(COMMANDS)
    assert {name for name, named in found.items() if not named} == NO_TASK_COMMANDS


def test_every_action_of_the_envelope_is_in_the_matrix() -> None:
    known = envelope._ACTIONS  # noqa: SLF001 -- what there is
    assert set(known) == {*ACTIONS, *NO_TASK_ACTIONS}


class _Wire(CommandListener, Interceptor):
    """What a client sends to the database and to Temporal."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name != "endSessions":
            kept = {"find", "update", "filter", "projection", "updates", "insert", "documents"}
            command = {key: event.command[key] for key in event.command if key in kept}
            self.sent.append(f"{event.command_name} {command}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 -- the SDK's name
        return _Outbound(next, self.sent)


class _Outbound(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, sent: list[str]) -> None:  # noqa: A002 -- same
        super().__init__(next)
        self._sent = sent

    async def start_workflow(self, input: StartWorkflowInput) -> Any:  # noqa: A002 -- same
        self._sent.append(f"start {input.id}")
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002 -- same
        self._sent.append(f"signal {input.id}")
        await super().signal_workflow(input)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:  # noqa: A002 -- same
        self._sent.append(f"cancel {input.id}")
        await super().cancel_workflow(input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:  # noqa: A002 -- same
        self._sent.append(f"terminate {input.id}")
        await super().terminate_workflow(input)


@dataclass(frozen=True)
class _Watched:
    """A client whose requests are recorded."""

    client: ExportClient
    wire: _Wire
    traffic: Traffic

    async def asks(self, ask: Ask, task_id: str, who: str) -> tuple[object, list[str]]:
        """Return the answer and the requests that were sent, without the task's id."""
        self.wire.sent.clear()
        self.traffic.sent.clear()
        try:
            answer: object = await ask(self.client, task_id, who)
        except ExportError as error:
            answer = (type(error), error.code, error.msg, error.exit_code)
        sent = [*self.wire.sent, *self.traffic.operations()]
        return answer, [line.replace(task_id, "ID") for line in sent]


@pytest.fixture
async def watched(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[_Watched]:
    wire = _Wire()
    traffic = Traffic.of_new_stores(monkeypatch)
    store = ObjectStore(settings)
    temporal = await Client.connect(
        temporal_address, data_converter=data_converter(), interceptors=[wire]
    )
    uri = settings.mongo_uri.get_secret_value()
    async with AsyncMongoClient[dict[str, Any]](
        uri, event_listeners=[wire], tz_aware=True
    ) as mongo:
        connections = Connections(temporal=temporal, mongo=mongo, store=store)
        reports = load_reports(settings.reports_file)
        client = ExportClient(connections=connections, settings=settings, reports=reports)
        await client.list(created_by=None)  # connects
        yield _Watched(client, wire, traffic)
    store.close()


async def _tasks_of_every_status(service: Service) -> dict[str, str]:
    """Store a task of the owner's in each status; return their ids."""
    documents = [
        {
            "_id": ObjectId(),
            "type": "statsMonthly",
            "params": MONTH,
            "status": status.value,
            "createdBy": OWNER,
            "createdAt": 1,
            "fileName": "a.csv",
            "objectKey": "files/a",
            "downloadUrl": "https://link",
            "runId": "run-1",
            "audit": [{"at": 1, "did": "created", "role": "user", "user": OWNER, "origin": "cli"}],
        }
        for status in TaskStatus
    ]
    await service.database["ExportTasks"].insert_many(documents)
    return {str(document["status"]): str(document["_id"]) for document in documents}


async def _everything(service: Service) -> object:
    documents = service.database["ExportTasks"].find({}, sort=[("_id", 1)])
    return [document async for document in documents], service.keys()


@owners_are_checked
@pytest.mark.parametrize("method", ASKED)
async def test_a_task_of_somebody_else_is_a_task_that_does_not_exist(
    idle_service: Service, watched: _Watched, method: str
) -> None:
    tasks = await _tasks_of_every_status(idle_service)
    before = await _everything(idle_service)
    nothing = await watched.asks(ASKED[method], NOT_THERE, STRANGER)
    assert nothing[0] == (TaskNotFoundError, REFUSAL["code"], REFUSAL["msg"], 2)
    for status, task_id in tasks.items():
        for who in (STRANGER, "", OWNER.upper(), f"{OWNER} ", "None"):
            assert await watched.asks(ASKED[method], task_id, who) == nothing, (status, who)
    assert await _everything(idle_service) == before
    assert all(line.startswith("find ") for line in nothing[1]), "a refusal only reads"


@pytest.mark.parametrize("method", ["get", "audit", "renew"])
async def test_the_requests_of_an_owner_are_seen_by_the_same_means(
    service: Service, watched: _Watched, method: str
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    answer, sent = await watched.asks(ASKED[method], task.id, OWNER)
    assert not isinstance(answer, tuple)
    assert (await watched.asks(ASKED[method], task.id, STRANGER))[0] != answer
    assert [line.partition(" ")[0] for line in sent] == {
        "get": ["find"],
        "audit": ["find"],
        "renew": ["find", "hello", "update", "find", "HeadObject"],
    }[method]


@owners_are_checked
async def test_a_stranger_who_cancels_a_running_export_sends_it_no_signal(
    idle_service: Service, watched: _Watched
) -> None:
    task = await idle_service.create(created_by=OWNER)
    length = (await idle_service.run_of(task.id).describe()).history_length
    answer, sent = await watched.asks(ASKED["cancel"], task.id, STRANGER)
    assert answer == (TaskNotFoundError, REFUSAL["code"], REFUSAL["msg"], 2)
    assert not any("signal" in line for line in sent)
    assert (await idle_service.run_of(task.id).describe()).history_length == length
    await insert_orders(idle_service.database)
    async with working(idle_service):
        assert (await idle_service.ended(task.id)).status is TaskStatus.DONE


@owners_are_checked
async def test_the_command_line_says_the_same_of_anothers_task_and_of_none(
    idle_service: Service,
    settings: Settings,
    temporal_address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment_of(settings, temporal_address).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("exports.cli.boundary.keep_temporal_off_stdout", lambda: None)
    tasks = await _tasks_of_every_status(idle_service)
    before = await _everything(idle_service)

    async def run(command: str, task_id: str, *more: str) -> tuple[int, str, str]:
        arguments = [command, task_id, *COMMANDS[command], "--created-by", STRANGER, *more]
        code = await asyncio.to_thread(guarded, cli.app, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    for command in COMMANDS:
        as_json = await run(command, NOT_THERE, "--json")
        assert as_json[0] == 2
        assert json.loads(as_json[1]) == {"ok": False, "error": REFUSAL}
        assert as_json == await run(command, tasks["done"], "--json"), command
    assert await run("show", NOT_THERE) == (2, "", "E_NOT_FOUND: There is no such task.\n")
    assert await run("show", NOT_THERE) == await run("show", tasks["failed"])
    assert await _everything(idle_service) == before


@owners_are_checked
@pytest.mark.parametrize("action", ACTIONS)
async def test_the_envelope_says_the_same_of_anothers_task_and_of_none(
    idle_service: Service, watched: _Watched, action: str
) -> None:
    tasks = await _tasks_of_every_status(idle_service)
    before = await _everything(idle_service)

    async def ask(client: ExportClient, task_id: str, who: str) -> object:
        payload = {"id": task_id, **ACTIONS[action]}
        return await envelope.handle(client, {"action": action, "payload": payload, "uid": who})

    nothing = await watched.asks(ask, NOT_THERE, STRANGER)
    assert nothing[0] == {"ok": False, "error": REFUSAL}
    for task_id in tasks.values():
        assert await watched.asks(ask, task_id, STRANGER) == nothing
    assert await _everything(idle_service) == before


@protected_by(
    "exports/tasks/store.py",
    'if created_by not in (None, document.get("createdBy")):',
    instead="if False:",
)
async def test_nobody_is_listed_what_is_not_theirs(idle_service: Service) -> None:
    documents: list[object] = [OWNER, STRANGER, None, "", 7, [OWNER, STRANGER], {"$ne": ""}]
    for number, owner in enumerate(documents):
        await idle_service.database["ExportTasks"].insert_one(
            {"_id": str(number), "status": "done", "createdBy": owner, "createdAt": number}
        )
    await idle_service.database["ExportTasks"].insert_one({"_id": "none", "status": "done"})
    client = idle_service.client
    for who, own in ((STRANGER, ["1"]), ("u3", []), ("7", []), ("None", [])):
        listed = await client.list(created_by=who)
        assert [task.id for task in listed] == own
        for task_id in {*map(str, range(len(documents))), "none"} - {*own}:
            with pytest.raises(TaskNotFoundError):
                await client.get(task_id, created_by=who)
    assert len(await client.list(created_by=None)) == len(documents) + 1


async def test_one_key_of_two_people_makes_two_exports(idle_service: Service) -> None:
    made = [
        await idle_service.create(created_by=who, idempotency_key="october")
        for who in (OWNER, STRANGER, OWNER)
    ]
    assert made[0].id == made[2].id != made[1].id
    assert [task.created_by for task in made] == [OWNER, STRANGER, OWNER]


async def test_who_starts_the_workflow_of_a_stored_task_does_not_become_its_owner(
    idle_service: Service, task_queue: str
) -> None:
    await insert_orders(idle_service.database)
    stored = {"_id": ObjectId(), "type": "statsMonthly", "params": MONTH, "status": "pending"}
    await idle_service.database["ExportTasks"].insert_one(stored | {"createdBy": OWNER})
    task_id = str(stored["_id"])
    handle = await idle_service.temporal.start_workflow(
        names.EXPORT_WORKFLOW,
        {"type": "statsAnnual", "params": {}, "createdBy": STRANGER, "taskId": task_id},
        id=names.workflow_id(task_id),
        task_queue=task_queue,
    )
    async with working(idle_service):
        await handle.result()
    task = await idle_service.client.get(task_id, created_by=OWNER)
    assert (task.type, task.created_by, task.rows) == ("statsMonthly", OWNER, 3)
    with pytest.raises(TaskNotFoundError):
        await idle_service.client.get(task_id, created_by=STRANGER)
    attributes = (await handle.describe()).typed_search_attributes
    found = [
        cast("str", attributes.get(SearchAttributeKey.for_keyword(name)))
        for name in (names.SEARCH_CREATED_BY, names.SEARCH_TYPE, names.SEARCH_STATUS)
    ]
    assert found == [OWNER, "statsMonthly", "done"]

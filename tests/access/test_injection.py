"""Any input gets an answer with a code, and causes no write except to `ExportTasks`."""

import json
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from bson import Decimal128, MaxKey, ObjectId
from bson.errors import BSONError
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from exports import connections, errors
from exports.client import ExportClient
from exports.clock import now_ms
from exports.envelope import handle
from exports.errors import ExportError, ReportsFileError
from exports.models import TaskStatus
from exports.names import TASKS_COLLECTION, WATCH_COLLECTION
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.tasks.task import ExportTask
from tests.support import hostile
from tests.support.command_line import CommandLine, environment_of
from tests.support.hostile import Commands
from tests.support.service import MONTH, USER, Service, insert_orders, open_service, working

# The operators of all our own filters, updates and, below, pipelines.
_OURS: Final = {
    *("$in", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$not", "$type", "$exists", "$or", "$and"),
    *("$nor", "$nin", "$addToSet"),
    *("$set", "$unset", "$min", "$max", "$push", "$each", "$slice", "$setOnInsert"),
}
_CODES: Final = {
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ExportError)
} - {"E_INTERNAL"}
_PARAMS: Final = (
    st.fixed_dictionaries({"year": hostile.SENT, "month": hostile.SENT})
    | st.fixed_dictionaries(
        {**{key: st.just(value) for key, value in MONTH.items()}, "columns": hostile.SENT}
    )
    | hostile.SENT
)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The commands that the service's own clients of the database send from now on."""
    listener = Commands()

    def watched(*given: Any, **named: Any) -> AsyncMongoClient[Any]:
        return AsyncMongoClient(*given, event_listeners=[listener], **named)

    monkeypatch.setattr(connections, "AsyncMongoClient", watched)
    return listener


@pytest.fixture
async def watched(
    commands: Commands, settings: Settings, temporal_address: str
) -> AsyncIterator[Service]:
    """A service whose database commands are recorded; no worker runs."""
    del commands
    limits = {"join_within": timedelta(minutes=10), "quota_open": 900, "quota_per_day": 900}
    limited = settings.model_copy(update=limits)
    async with open_service(limited, temporal_address) as service:
        yield service


def only_ours(commands: Commands) -> None:
    assert commands.written() <= {TASKS_COLLECTION}
    assert commands.operators() <= _OURS
    assert not [name for name, _ in commands.sent if name in {"aggregate", "mapReduce"}]


few = examples(
    max_examples=60,
    phases=[Phase.generate],  # without shrinking, which would take many exports
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_ENVELOPES: Final = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["create", "get", "cancel"]) | hostile.SENT,
        "uid": st.just(USER) | hostile.SENT,
        "payload": st.fixed_dictionaries(
            {"type": st.just("statsMonthly") | hostile.SENT, "params": _PARAMS},
            optional={"format": hostile.SENT},
        )
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("id", "_id", "taskId", "reason"), hostile.SENT)
        )
        | hostile.SENT,
    }
)


@given(request=_ENVELOPES | hostile.SENT)
@few
async def test_an_envelope_of_anything_has_an_answer_with_a_code(
    watched: Service, commands: Commands, request: Any
) -> None:
    answer = await handle(watched.client, request)
    assert answer == json.loads(json.dumps(answer))
    if answer["ok"] is not True:
        error = answer["error"]
        assert isinstance(error, dict)
        assert error["code"] in _CODES, error
    only_ours(commands)


_TEXT: Final = hostile.TEXTS | hostile.HALF


_Call = Callable[[ExportClient, str, str, Any], Awaitable[object]]
_CALLS: Final[dict[str, _Call]] = {
    "create": lambda client, a, b, _: client.create(
        "statsMonthly", MONTH, created_by=a, idempotency_key=b or None
    ),
    "params": lambda client, a, b, params: client.create(
        a or "statsMonthly", params, created_by=USER, format=b or "csv"
    ),
    "estimate": lambda client, a, b, params: client.estimate(
        a or "statsMonthly", params, created_by=USER, format=b or "csv"
    ),
    "quotas": lambda client, a, _, __: client.quotas(created_by=a),
    "get": lambda client, a, b, _: client.get(a, created_by=b),
    "audit": lambda client, a, b, _: client.audit(a, created_by=b),
    "list": lambda client, a, b, _: client.list(
        created_by=a, type=b or None, format=b or None, after=b or None
    ),
    "cancel": lambda client, a, b, _: client.cancel(a, created_by=b, reason=b),
    "renew": lambda client, a, b, _: client.renew(a, created_by=b),
    "link": lambda client, a, b, _: client.link(a, created_by=b),
    "delete_file": lambda client, a, b, _: client.delete_file(a, created_by=b),
    "preview": lambda client, a, b, _: client.preview(a, created_by=b),
    "retry": lambda client, a, b, _: client.retry(a, created_by=b),
}


@given(
    name=st.sampled_from([*_CALLS]),
    a=_TEXT,
    b=_TEXT,
    params=_PARAMS,
)
@few
async def test_any_text_in_any_call_has_an_answer_with_a_code(
    watched: Service, commands: Commands, name: str, a: str, b: str, params: Any
) -> None:
    refused: str | None = None
    try:
        await _CALLS[name](watched.client, a, b, params)
    except ExportError as error:
        refused = error.code
    assert refused in {None, *_CODES}
    only_ours(commands)


@pytest.mark.parametrize("half", ["\ud800", "a\udfff"])
async def test_half_a_character_is_refused_in_words_wherever_it_stands(
    idle_service: Service, half: str
) -> None:
    client = idle_service.client
    task = await idle_service.create()
    for name, a, b, code in (
        ("create", half, "", "E_REQUEST"),
        ("create", USER, half, "E_REQUEST"),
        ("params", half, "", "E_TYPE"),
        ("params", "", half, "E_FORMAT"),
        ("get", half, USER, "E_NOT_FOUND"),
        ("get", task.id, half, "E_NOT_FOUND"),
        ("audit", half, USER, "E_NOT_FOUND"),
        ("list", half, "", "E_REQUEST"),
        ("list", USER, half, "E_REQUEST"),
        ("quotas", half, "", "E_REQUEST"),
        ("link", half, USER, "E_NOT_FOUND"),
        ("delete_file", half, USER, "E_NOT_FOUND"),
        ("cancel", half, USER, "E_NOT_FOUND"),
        ("renew", half, USER, "E_NOT_FOUND"),
        ("retry", half, USER, "E_NOT_FOUND"),
    ):
        with pytest.raises(ExportError) as refused:
            await _CALLS[name](client, a, b, MONTH)
        assert refused.value.code == code, (name, a, b)
    with pytest.raises(ExportError) as refused:
        await client.cancel(task.id, created_by=USER, reason=half)
    assert refused.value.code == "E_REQUEST"


# Without times in the future: the export would wait until then.
_DUE: Final[list[Any]] = [
    None,
    0,
    -1e308,
    "x",
    [],
    {"$gt": 0},
    float("nan"),
    Decimal128("NaN"),
    MaxKey(),
]
_DOCUMENTS: Final = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("statsMonthly") | hostile.STORED,
        "params": st.just(MONTH)
        | st.fixed_dictionaries({"year": hostile.STORED, "month": hostile.STORED})
        | hostile.STORED,
        "createdBy": st.just(USER) | hostile.STORED,
        "format": st.just("csv") | hostile.STORED,
        "nextRunAt": st.sampled_from(_DUE),
        "retries": hostile.STORED,
        "maxRetries": hostile.STORED,
        "createdAt": hostile.SORTED_BY,
        "startedAt": hostile.STORED,
        "progress": hostile.STORED,
        "error": hostile.STORED,
        "audit": hostile.STORED,
        "warnings": hostile.STORED,
        "objectKey": hostile.STORED,
        "$set": hostile.STORED,
        "a.b": hostile.STORED,
    },
)


@given(documents=st.lists(_DOCUMENTS, min_size=20, max_size=20))
@examples(few, max_examples=2)  # the first is always the simplest: nothing at all
async def test_whatever_strangers_store_ends_with_a_code_and_reaches_no_pipeline(
    settings: Settings,
    temporal_address: str,
    commands: Commands,
    documents: list[dict[str, Any]],
) -> None:
    commands.sent.clear()
    async with open_service(settings, temporal_address) as service, working(service):
        if not await service.database["orders"].find_one():
            await insert_orders(service.database)
        good = await service.exported()
        assert good.status is TaskStatus.DONE
        [pipeline] = commands.pipelines("orders")
        # One deep value in a field that is sorted by, but no equal second one: see `SORTED_BY`.
        documents = [*documents, {"createdAt": hostile.deep(90, key=str(ObjectId()))}]
        stored = [await _stored(service, document) for document in documents]
        ids = [task_id for task_id in stored if task_id is not None]
        await service.client.sweep()
        for task_id in ids:
            task = await service.ended(task_id)
            assert task.status is TaskStatus.DONE or (
                task.error is not None and task.error.code in _CODES
            ), task.error
        await service.client.list(created_by=None)
        for sent in commands.pipelines("orders"):
            assert [list(stage) for stage in sent] == [list(stage) for stage in pipeline]
        for sent in commands.pipelines(TASKS_COLLECTION):
            assert sent[0] == {"$changeStream": {"fullDocument": "updateLookup"}}
        assert {command["aggregate"] for name, command in commands.sent if name == "aggregate"} <= {
            "orders",
            TASKS_COLLECTION,
        }
        # This test inserts into `orders`; a sweep stores how far it has come in the bucket.
        assert commands.written() <= {TASKS_COLLECTION, WATCH_COLLECTION, "orders"}


async def _stored(service: Service, document: dict[str, Any]) -> str | None:
    """Return the id under which a document is stored; None if this server refuses it."""
    task_id = ObjectId()
    whole = {"nextRunAt": now_ms(), **document, "_id": task_id, "status": "pending"}
    try:
        await service.database[TASKS_COLLECTION].insert_one(whole)
    except (PyMongoError, BSONError, OverflowError):
        return None
    return str(task_id)


@pytest.mark.parametrize("levels", [21, 90, 5000])
def test_a_task_of_any_depth_can_be_read(levels: int) -> None:
    document: dict[str, Any] = {"x": 1}
    for _ in range(levels):
        document = {"a": [document]}
    stored = {"_id": "deep", "status": "pending", "params": document, "error": document}
    assert ExportTask.from_document(stored).request().task_id == "deep"


_LINES: Final = {
    "collection": '"orders"',
    "time_field": '"createdAt"',
    "timezone": '"Asia/Shanghai"',
    "owner_field": '"uid"',
    "title": '"T"',
    "group_by": '{ category = { field = "category" } }',
    "filter": '{ status = "paid" }',
    "measures": '{ n = { op = "count" }, s = { op = "sum", field = "amount" } }',
    "kind": '"stats"',
    "python": '"os:system"',
    "columns": '{ a = { field = "x" } }',
}


def _toml(value: object) -> str:
    match value:
        case dict():
            pairs = ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items())
            return f"{{ {pairs} }}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case _:
            return json.dumps(str(value))


@given(
    chosen=st.lists(
        st.tuples(st.sampled_from([*_LINES]), st.none() | hostile.SENT.map(_toml) | hostile.TEXTS),
        max_size=4,
    ),
    name=st.just('"statsMonthly"') | hostile.TEXTS.map(json.dumps) | hostile.TEXTS,
)
@examples(few, max_examples=200)
def test_a_reports_file_of_anything_is_taken_or_refused_in_words(
    tmp_path: Path, chosen: list[tuple[str, str | None]], name: str
) -> None:
    lines = {key: _LINES[key] for key in ("collection", "time_field", "timezone", "measures")}
    for key, value in chosen:
        lines[key] = _LINES[key] if value is None else value
    text = f"[reports.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in lines.items())
    path = tmp_path / "reports.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_reports(path)
    except ReportsFileError:
        return
    [table] = tomllib.loads(text)["reports"].values()
    fields = json.dumps({key: table.get(key) for key in ("time_field", "owner_field", "group_by")})
    assert "$" not in fields
    assert not any("$" in path for path in table.get("filter", {}))


_ARGUMENTS: Final = st.one_of(
    st.tuples(st.just("create"), _TEXT, st.just("-p"), _TEXT),
    st.tuples(*map(st.just, ("create", "statsMonthly", "-p", "year=2026", "-p")), _TEXT),
    st.tuples(st.sampled_from(["show", "renew", "retry", "audit", "download"]), _TEXT),
    st.tuples(st.just("cancel"), _TEXT, st.just("--reason"), _TEXT),
    st.tuples(st.just("list"), st.just("--created-by"), _TEXT),
    st.lists(_TEXT, min_size=1, max_size=4).map(tuple),
)


@given(lines=st.lists(_ARGUMENTS, min_size=4, max_size=4))
@examples(few, max_examples=2)  # the first is always the simplest: nothing at all
async def test_a_command_line_of_anything_has_a_code_and_no_traceback(
    settings: Settings, temporal_address: str, lines: list[tuple[str, ...]]
) -> None:
    exports = CommandLine(environment_of(settings, temporal_address))
    for line in lines:
        # An argument of a program ends at NUL; half a character comes from a badly named file.
        arguments = [_argument(part) for part in line]
        done = (
            await exports.run("--", *arguments)
            if arguments[0].startswith("-")
            else (await exports.run(*arguments))
        )
        assert done.code in {0, 1, 2}, done
        assert "Traceback" not in done.out + done.err
        if done.code == 2 and done.err:
            assert done.err.startswith("E_") or "Usage" in done.err, done.err


def _argument(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:2000]

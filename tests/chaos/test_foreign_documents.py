"""What a document of another system can do to others: nothing, whatever is in its fields.

The table in docs/access.md has a line for each field, and each line is a case here.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import pytest
from bson import ObjectId
from pydantic.alias_generators import to_camel
from pymongo.asynchronous.collection import AsyncCollection
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from exports import names
from exports.errors import ExportError
from exports.models import ExportRequest
from exports.tasks.audit import AUDIT
from exports.tasks.collection import (
    ASKED_WITH,
    DAY_SLOTS,
    JOIN_KEY,
    OPEN_SLOTS,
    OUTBOX,
    REMIND_AT,
    REMOVE_AT,
    UNIQUE,
)
from exports.tasks.task import ExportTask
from exports.temporal.start import start_export
from tests.support import pages
from tests.support.chaos.forms import LONG
from tests.support.service import Service, insert_orders
from tests.support.stored_tasks import TASK

VICTIM, MALLORY = "ann", "mallory"
RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
OBJECTS: Final = ["invoices/2026/10.pdf", "files/2026/10/export.pdf"]
ROWS: Final = [
    pages.quoted(row[0])
    for row in next(
        pages.tables(pages.section(pages.DOCS / "access.md", "Documents of other systems"))
    )
]


@dataclass(frozen=True)
class Others:
    """What belongs to others."""

    service: Service
    done: str
    running: str
    key: str
    export: WorkflowHandle[Any, Any]
    payment: WorkflowHandle[Any, Any]

    @property
    def tasks(self) -> AsyncCollection[dict[str, Any]]:
        return self.service.database["ExportTasks"]

    @property
    def objects(self) -> list[str]:
        return [self.key, *OBJECTS]

    async def everything(self) -> object:
        """Return all that a document of another system must not change."""
        ids = [ObjectId(self.done), ObjectId(self.running)]
        return (
            await self.tasks.find({"_id": {"$in": ids}}).to_list(),
            [key for key in self.objects if self.service.store.size(key) is not None],
            [(await run.describe()).history_length for run in (self.export, self.payment)],
        )


@pytest.fixture
async def others(service: Service) -> Others:
    await insert_orders(service.database)
    nobody = f"{service.settings.task_queue}-nobody"
    done, running = ObjectId(), ObjectId()
    key = names.file_key(str(done), RUN, attempt="3-1", extension="csv")
    for name in (key, *OBJECTS):
        service.store.put(name, b"of somebody else")
    mine = {**TASK, "createdBy": VICTIM}
    file = {"status": "done", "objectKey": key, "fileName": "a.csv", "downloadUrl": "https://1"}
    await service.database["ExportTasks"].insert_many(
        [{**mine, "_id": done, **file, "runId": RUN}, {**mine, "_id": running}]
    )
    request = ExportRequest(type="t", created_by=VICTIM, task_id=str(running))
    await start_export(service.temporal, request, task_queue=nobody)
    payment = await service.temporal.start_workflow(
        "PaymentWorkflow", id=f"payment-{nobody}", task_queue=nobody
    )
    return Others(service, str(done), str(running), key, service.run_of(str(running)), payment)


REQUEST: Final[Any] = {
    "created_by": VICTIM,
    "type": "statsMonthly",
    "params": TASK["params"],
    "format": "csv",
    "definition": "0",
}
_NUMBERS: Final = [-1, 1e300, float("nan")]
_NO_TEXTS: Final = [["a"], {"$gt": ""}]
_TEXTS: Final = ["", "x" * 5000, "../../etc/passwd\r\nb: c"]
_TIMES: Final[list[object]] = [0, 9e15, [0], "soon", datetime(9999, 12, 31, tzinfo=UTC), *_NUMBERS]

# Values for each field: constants, and what is known of the others.
VALUES: Final[dict[str, Callable[[Others], list[object]]]] = {
    "_id": lambda others: [others.done, others.running, others.done.upper(), others.payment.id, 7],
    "status": lambda _: ["rubbish", ["done"], ["pending"], 7, None],
    "createdBy": lambda _: [[VICTIM, MALLORY], {"$ne": ""}, None, f"{VICTIM} ", *_NO_TEXTS],
    "type": lambda _: [*_NO_TEXTS, *_TEXTS],
    "params": lambda _: [*_NO_TEXTS, *_TEXTS, {"year": {"$gt": 0}, "month": 1}],
    "format": lambda _: [*_NO_TEXTS, *_TEXTS],
    "retries": lambda _: [*_NUMBERS, *_NO_TEXTS],
    "maxRetries": lambda _: [*_NUMBERS, *_NO_TEXTS],
    "nextRunAt": lambda _: [9e15, [0], "soon", *_NUMBERS],
    "runStartedAt": lambda _: _TIMES,
    "runId": lambda others: [RUN, *_NO_TEXTS, "../..", others.done, float("nan")],
    "workflowId": lambda others: [
        others.export.id,
        names.workflow_id(others.done),
        others.payment.id,
        *_NO_TEXTS,
        *_TEXTS,
    ],
    "sweepStarts": lambda _: [*_NUMBERS, *_NO_TEXTS],
    "objectKey": lambda others: [others.key, *OBJECTS, [others.key], *_NO_TEXTS, *_TEXTS],
    "store": lambda _: [*_NO_TEXTS, *_TEXTS, {"EXPORTS_S3_BUCKET": "0"}, {"a": 7}],
    "fileName": lambda _: [*_NO_TEXTS, *_TEXTS, "\u202efdp.exe", "..", "a/b", "a\\b"],
    "purgeAt": lambda _: _TIMES,
    "downloadUrl": lambda _: ["javascript:alert(1)", "file:///etc/passwd", *_NO_TEXTS, *_TEXTS],
    "error": lambda _: [7, ["a"], {"code": 7, "msg": [VICTIM]}],
    "progress": lambda _: [
        7,
        ["a"],
        {"stage": "done", "rows": float("inf"), "total": "all", "waitingFor": {"$gt": ""}},
    ],
    "warnings": lambda _: [7, "a", [{"$gt": ""}]],
    AUDIT: lambda _: [7, [{"at": 1}], {"499": 1}],
    "notify": lambda _: [7, [7], "email", ["pigeon"], {"$gt": ""}],
    OUTBOX: lambda _: [
        7,
        ["a", {"id": {"$gt": ""}}],
        [{"id": "1", "event": "export.done", "at": "now"}],
        [{"id": "2", "event": "webhook.disabled", "at": 1}],
    ],
    REMIND_AT: lambda _: _TIMES,
    REMOVE_AT: lambda _: _TIMES,
    # Texts are unique, like ids.
    JOIN_KEY: lambda _: [names.join_key(**REQUEST), [names.join_key(**REQUEST) + "?"], 7, {}],
    ASKED_WITH: lambda others: [others.done, [others.running], 7, {"a": 1}],
    **dict.fromkeys(
        (OPEN_SLOTS, DAY_SLOTS),
        lambda _: [names.slot(names.slots_prefix(VICTIM), None, 0), ["a"], 7, {"a": 1}],
    ),
    **dict.fromkeys(("cancelReason", "sha256"), lambda _: [7, ["a"], "x" * 5000]),
    "recurring": lambda _: ["0" * 24, ["a"], 7, {"$gt": ""}],
    **dict.fromkeys(("rows", "bytes"), lambda _: [1e300, float("nan"), ["a"]]),
    **dict.fromkeys(
        ("createdAt", "startedAt", "finishedAt", "updatedAt", "expiresAt", "dataUntil"),
        lambda _: [-1e300, float("nan"), ["a"]],
    ),
}


def test_the_table_has_a_line_for_each_field_that_is_read_and_no_other() -> None:
    read = {to_camel(name) for name in ExportTask.model_fields} - {"id", "joined"}
    listed = [field for row in ROWS for field in row]
    assert sorted(listed) == sorted(VALUES)
    assert set(listed) == {
        *read,
        "_id",
        "runStartedAt",
        AUDIT,
        OUTBOX,
        REMIND_AT,
        REMOVE_AT,
        *UNIQUE,
    }


def _documents(
    others: Others, fields: list[str], statuses: list[str], turn: int
) -> Iterator[dict[str, Any]]:
    """Yield tasks of another system that are right but for the fields of one line.

    Each value has another status in each turn. If a line has several fields, they are only shown:
    none is refused, and hides the others.
    """
    for index, values in enumerate(zip(*(VALUES[name](others) for name in fields), strict=True)):
        status = statuses[(index + turn) % len(statuses)]
        odd = {"_id": ObjectId(), **dict(zip(fields, values, strict=True))}
        key = names.file_key(str(odd["_id"]), RUN, attempt="3-1", extension="csv")
        others.service.store.put(key, b"its own")
        file = {"runId": RUN, "objectKey": key, "fileName": "a.csv"}
        yield {
            **TASK,
            "status": status,
            "createdBy": MALLORY,
            # That of a workflow that was started directly, under an id of its own.
            **({"workflowId": values[0]} if "_id" in fields else {}),
            **({} if status == "pending" else file),
            **odd,
        }


async def _sweep(others: Others, ids: list[object]) -> None:
    """Let the sweep handle the documents, at most twice: then each of them has ended."""
    of_ids = {"_id": {"$in": ids}}
    await others.tasks.update_many(
        {**of_ids, "purgeAt": {"$exists": False}}, {"$set": {"purgeAt": 0}}
    )
    open_ones: list[str] = ["not looked at yet"]
    for _ in range(2):
        if open_ones:
            await others.service.client.sweep()
            for stored_id in ids:
                await _closed(others, stored_id)
            statuses = [task["status"] async for task in others.tasks.find(of_ids)]
            open_ones = [status for status in statuses if status in ("pending", "running")]
    assert open_ones == []


async def _ask(others: Others, ids: list[object]) -> None:
    """Ask for everything that a person can ask for: every refusal has a code."""
    client = others.service.client
    codes: set[str] = set()
    for stored_id in ids:
        for ask in (
            *(client.get, client.audit, client.renew, client.cancel, client.retry),
            client.preview,
        ):
            try:
                await ask(str(stored_id), created_by=MALLORY)
            except ExportError as refused:
                codes.add(refused.code)
        await _closed(others, stored_id)
    await client.list(created_by=MALLORY)
    assert codes <= {"E_NOT_FOUND", "E_STATE", "E_TASK", "E_EXPIRED", "E_PREVIEW"}


ACTS: Final = {
    _sweep: ["pending", "running", "done"],
    _ask: ["pending", "done", "failed"],
}
"""What is done, and the statuses in which something may come of it."""


async def _closed(others: Others, stored_id: object) -> None:
    if str(stored_id) not in (others.done, others.running):
        with suppress(RPCError, WorkflowFailureError):  # it has no run, or one that failed
            await others.service.run_of(str(stored_id)).result()


def _is_shared(fields: list[str]) -> bool:
    # Two documents have never the same `_id`, or the same text in these fields.
    return {"_id", *UNIQUE}.isdisjoint(fields)


_SHARED: Final = list(filter(_is_shared, ROWS))
# Several together, because a sweep for each row would take minutes.
_TOGETHER: Final = [
    *([fields] for fields in ROWS if not _is_shared(fields)),
    *(_SHARED[start : start + 4] for start in range(0, len(_SHARED), 4)),
]


@pytest.mark.parametrize("rows", _TOGETHER, ids=lambda rows: "-".join(chain.from_iterable(rows)))
async def test_a_document_of_another_system_reaches_nothing_of_others(
    others: Others, rows: list[list[str]]
) -> None:
    before = await others.everything()
    for act, statuses in ACTS.items():
        # In the short form of the fault suite, not each value has each status.
        for turn in range(len(statuses) if LONG else 1):
            documents = [
                document
                for fields in rows
                for document in _documents(others, fields, statuses, turn)
            ]
            ids = [document["_id"] for document in documents]
            await others.tasks.insert_many(documents)
            await act(others, ids)
            assert await others.everything() == before
            stored = await others.tasks.find({"_id": {"$in": ids}}).to_list()
            links = [str(document.get("downloadUrl")) for document in stored]
            assert [link for link in links for key in others.objects if key in link] == []
            await others.tasks.delete_many({"_id": {"$in": ids}})

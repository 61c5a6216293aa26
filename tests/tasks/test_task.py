"""Any document of another system can be read and shown, and is run or refused with a reason."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from exports.errors import TaskInvalidError
from exports.models import ExportRequest, TaskStatus
from exports.tasks.checks import runnable
from exports.tasks.task import ExportTask

FIELDS = sorted({to_camel(name) for name in ExportTask.model_fields} - {"id", "status"})

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.integers(-5, 5).map(Int64)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 -- as MongoDB's driver reads them by default
texts = st.text(max_size=20) | st.sampled_from(["pending", "csv", "queued", "1", "NaN", ""])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    texts,
    moments,
    moments.map(lambda moment: moment.replace(tzinfo=UTC)),
    st.integers(-(2**62), 2**62).map(DatetimeMS),
    st.binary(max_size=8),
    st.sampled_from(
        [
            *(Decimal128("NaN"), Decimal128("Infinity"), Decimal128("1E+6144"), Decimal128("1.5")),
            *(ObjectId(), Timestamp(1, 1), Regex("a"), Code("x"), MinKey(), MaxKey()),
            *(Binary(b"a", 128), DBRef("a", 1)),
        ]
    ),
)
keys = st.sampled_from([*FIELDS, "code", "msg", "stage", "rows", "id", "$gt", "a.b", ""]) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
# Also the Python names, which a document does not have.
names = st.sampled_from([*FIELDS, *ExportTask.model_fields]).filter(lambda name: name != "status")


def _document(fields: dict[str, Any], task_id: object, status: TaskStatus) -> dict[str, Any]:
    return {**fields, "_id": task_id, "status": status.value}


documents = st.builds(
    _document,
    st.dictionaries(names, values, max_size=8),
    scalars | st.dictionaries(texts, scalars, max_size=2),
    st.sampled_from(TaskStatus),
)


@given(documents)
@example({"_id": 1, "status": "done", "retries": float("inf"), "expiresAt": float("-inf")})
@example({"_id": 1, "status": "done", "maxRetries": "x", "max_retries": "x", "error": {}})
def test_any_document_with_a_known_status_can_be_read_and_shown(document: dict[str, Any]) -> None:
    task = ExportTask.from_document(document)
    assert task.id == str(document["_id"])
    assert task.status.value == document["status"]
    json.loads(task.model_dump_json())
    assert task.result().status is task.status


@given(documents)
@example({"_id": 1, "status": "pending", "params": {"year": float("inf"), "month": float("nan")}})
def test_any_document_can_be_started_and_is_then_run_or_refused(document: dict[str, Any]) -> None:
    request = ExportTask.from_document(document).request()
    assert ExportRequest.model_validate_json(request.model_dump_json()) == request
    assert request.task_id == str(document["_id"])
    with suppress(TaskInvalidError):
        found, max_retries = runnable(document)
        assert (found.type, found.created_by) == (document["type"], document["createdBy"])
        assert max_retries >= 1


@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=8))
def test_a_field_that_is_not_valid_does_not_hide_the_others(fields: dict[str, Any]) -> None:
    good = {"type": "statsMonthly", "createdBy": "u1", "createdAt": 5, "rows": 7, "fileName": "a"}
    fields = {name: value for name, value in fields.items() if name not in good}
    task = ExportTask.from_document({**fields, **good, "_id": "t1", "status": "failed"})
    assert (task.type, task.created_by, task.created_at) == ("statsMonthly", "u1", 5)
    assert (task.rows, task.file_name) == (7, "a")


@given(moments)
def test_a_time_is_the_same_as_a_date_and_as_a_number(moment: datetime) -> None:
    millis = (moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)  # noqa: DTZ001 -- both UTC
    for stored in (moment, moment.replace(tzinfo=UTC), millis, float(millis), Int64(millis)):
        task = ExportTask.from_document({"_id": 1, "status": "done", "expiresAt": stored})
        assert task.expires_at == millis


def test_missing_fields_have_the_defaults_of_the_old_function() -> None:
    task = ExportTask.from_document({"_id": "t1", "status": "pending"})
    assert (task.retries, task.max_retries, task.format) == (0, 3, "csv")
    assert (task.params, task.progress.rows, task.error) == ({}, 0, None)


def test_a_link_is_not_part_of_the_repr_of_a_task() -> None:
    task = ExportTask.from_document(
        {"_id": "t1", "status": "done", "downloadUrl": "https://s3cr3t", "objectKey": "files/k3y"}
    )
    assert "s3cr3t" not in f"{task!r} {task}"
    assert json.loads(task.model_dump_json())["downloadUrl"] == "https://s3cr3t"
    assert "k3y" not in task.model_dump_json(), "the key in the bucket is not for clients"


@pytest.mark.parametrize("max_retries", [0, 1, 100])
def test_at_least_one_attempt_is_made(max_retries: int) -> None:
    document = {"_id": 1, "type": "a", "createdBy": "u1", "maxRetries": max_retries}
    assert runnable(document)[1] == max(1, max_retries)

"""Many staged parts are listed in the bucket, not in Temporal's history."""

import hashlib
import tracemalloc
from typing import Any

import pyarrow as pa
import pytest

from exports import names
from exports.errors import StagingError
from exports.models import PartList, StagedPart
from exports.staging.cache import PartCache
from exports.staging.parts import encode_part
from exports.staging.reader import StagedParts
from exports.tables.warnings import WarningCounts
from tests.support.bucket_in_memory import BucketInMemory
from tests.support.rows import batch, measure, table

_OF = table(measure("n", pa.int64()))
_ROW = encode_part(_OF, [batch(_OF, (1,))])


def _listed(store: BucketInMemory, name: str, parts: int) -> StagedPart:
    """Stage parts of one row, and their list."""
    staged: list[StagedPart] = []
    for index in range(parts):
        key = names.staged_part_key("t", "r", unit=name, attempt="5-1", index=index)
        store.put(key, _ROW.data)
        staged.append(_part(key, _ROW.data, schema_id=_ROW.schema_id))
    data = PartList(parts=staged).model_dump_json().encode()
    key = names.part_list_key("t", "r", unit=name, attempt="5-1")
    store.put(key, data)
    return _part(key, data, rows=parts, lists=parts)


def _part(key: str, data: bytes, **given: Any) -> StagedPart:
    digest = hashlib.sha256(data).hexdigest()
    given = {"rows": 1, "schema_id": ""} | given
    return StagedPart(key=key, bytes=len(data), sha256=digest, **given)


def _rows(store: BucketInMemory, parts: list[StagedPart]) -> int:
    with StagedParts(store, parts, PartCache(), WarningCounts()) as rows:
        return sum(found.num_rows for found in rows)


def test_listed_parts_are_read_in_a_memory_that_does_not_grow_with_them() -> None:
    store = BucketInMemory()
    lists = [_listed(store, f"unit-{number}", 128) for number in range(12)]
    _rows(store, lists[:1])  # what is loaded once
    peaks: list[int] = []
    for parts in (lists[:1], lists):
        tracemalloc.start()
        assert _rows(store, parts) == 128 * len(parts)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("damage", ["missing", "another list", "cut off"])
def test_a_list_that_is_not_what_the_workflow_accepted_is_refused(damage: str) -> None:
    store = BucketInMemory()
    accepted = _listed(store, "accepted", 3)
    data = store.staged.pop(accepted.key)
    if damage == "another list":  # that of a zombie, by chance under the same key
        store.put(accepted.key, store.get(_listed(store, "zombie", 3).key))
    elif damage == "cut off":
        store.put(accepted.key, data[:-10])
    with pytest.raises(StagingError):
        _rows(store, [accepted])


def test_an_older_worker_takes_a_list_for_a_damaged_part_and_never_for_an_empty_file() -> None:
    store = BucketInMemory()
    listed = _listed(store, "unit", 3)
    # An older worker does not know the field.
    as_read = StagedPart.model_validate(listed.model_dump(exclude={"lists"}))
    with pytest.raises(StagingError):
        _rows(store, [as_read])


def test_a_list_belongs_to_the_run_and_to_one_attempt() -> None:
    keys = {
        names.part_list_key("t/1", "r", unit="2026-10", attempt=attempt)
        for attempt in ("5-1", "5-2", "5-2")
    }
    assert len(keys) == 3
    # So the sweep finds out whose it is, and removes what a lost worker has left.
    assert {names.owner_of_key(key) for key in keys} == {("t/1", "r")}
    assert all(key.startswith(names.run_prefix(names.STAGING, "t/1", "r")) for key in keys)


def test_a_part_alone_says_nothing_of_lists() -> None:
    assert "lists" not in _part("k", b"").model_dump(by_alias=True)

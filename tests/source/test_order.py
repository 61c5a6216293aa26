"""Rows of one instant come in the same order each time, wherever the database cut its batches."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
from bson import Binary, Code, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from exports.source.order import Chunk, RowSorter, keys_of, keys_of_object_ids
from exports.tables.arrow import record_batch
from tests.support.rows import ABOUT, group, measure, table

ROWS = table(measure("time", pa.int64()), measure("id", pa.int64()), about=ABOUT)
TEXT = table(measure("time", pa.int64()), group("id"), about=ABOUT)


def _chunk(rows: list[tuple[int, int]], schema: pa.Schema = ROWS) -> Chunk:
    times, ids = [time for time, _ in rows], [number for _, number in rows]
    cells = ids if schema is ROWS else [str(number) for number in ids]
    return Chunk(
        record_batch([pa.array(times), pa.array(cells)], schema),
        np.array(times, np.int64),
        keys_of(ids),
    )


def _keys(ids: Sequence[object]) -> list[bytes]:
    return cast("list[bytes]", keys_of(ids).to_pylist())


def _out(chunks: list[Chunk]) -> list[dict[str, Any]]:
    ordered = RowSorter()
    ready = [*(ordered.push(chunk) for chunk in chunks), ordered.finish()]
    return [row for batch in ready if batch is not None for row in batch.to_pylist()]


@given(st.data())
def test_rows_come_in_order_of_time_and_id_wherever_the_batches_were_cut(
    data: st.DataObject,
) -> None:
    rows = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers()), min_size=1, unique=True))
    rows = [(time, number % 2**63) for time, number in rows]
    by_time = sorted(rows, key=lambda row: row[0])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)))) | {0, len(rows)})
    chunks = [_chunk(by_time[first:end]) for first, end in pairwise(cuts)]

    assert [(row["time"], row["id"]) for row in _out(chunks)] == sorted(rows)


def test_rows_of_one_instant_are_kept_until_there_are_no_more_of_them() -> None:
    ordered = RowSorter()

    assert ordered.push(_chunk([(1, 5)])) is None
    assert ordered.push(_chunk([(1, 4), (1, 3)])) is None
    assert ordered.held_since == 1
    ready = ordered.push(_chunk([(1, 2), (2, 1)]))
    assert ready is not None
    assert ready.to_pylist() == [{"time": 1, "id": number} for number in (2, 3, 4, 5)]
    assert ordered.held_since == 2


def test_a_column_may_turn_into_text_in_the_middle_of_an_instant() -> None:
    chunks = [_chunk([(1, 2)]), _chunk([(1, 1)], TEXT)]

    assert _out(chunks) == [{"time": 1, "id": "1"}, {"time": 1, "id": "2"}]


def test_ids_of_one_type_are_ordered_as_people_expect() -> None:
    numbers = [-5, 2, 10, Int64(2**40)]
    ids = [ObjectId(f"{index:024x}") for index in (1, 2, 255, 256)]

    assert sorted(keys := _keys(numbers)) == keys
    assert sorted(keys := _keys(["10", "2", "a", "图"])) == keys
    assert sorted(keys := _keys(ids)) == keys


def test_ids_of_different_types_never_count_as_the_same() -> None:
    ids = [None, 1, "1", True, Binary(b"1", 4), Code("1"), {"a": 1}, ObjectId(b"1" * 12), "1" * 12]

    assert len(set(_keys(ids))) == len(ids)


def test_object_ids_have_the_same_keys_however_they_were_decoded() -> None:
    ids = [ObjectId() for _ in range(4)]
    rows = np.frombuffer(b"".join(item.binary for item in ids), np.uint8).reshape(4, 12)

    assert keys_of_object_ids(rows).equals(keys_of(ids))

"""A value that does not have the type of its column is never left out, or made text, in silence."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, ObjectId, Regex

from exports.errors import MismatchError
from exports.tables.warnings import MISMATCH_NULL, MISMATCH_TEXT, TaskWarning
from tests.support.stats_reports import (
    OCTOBER,
    Database,
    insert_orders,
    make_report,
    read_rows,
    read_warnings,
)

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
NO_NUMBERS: list[Any] = ["n/a", "7", True, [1, 2], {"a": 1}, ObjectId(), Regex("a"), MOMENT, b"x"]
OPS = ("sum", "avg", "min", "max")


def _by_group(**measure: object) -> dict[str, object]:
    return {"group_by": {"c": "c"}, "measures": {"m": {"field": "a"} | measure}}


@pytest.mark.parametrize("distinct", [[], ["c"], ["c", "a"]], ids=["0", "1", "2"])
@pytest.mark.parametrize("op", OPS)
async def test_a_measure_leaves_out_what_is_no_number_and_counts_it(
    mongo_database: Database, op: str, distinct: list[str]
) -> None:
    await insert_orders(
        mongo_database,
        *({"c": 1, "a": value} for value in [-3, Decimal128("-3"), None, *NO_NUMBERS]),
        {"c": 1},
        {"c": 2, "a": "n/a"},
    )
    counts = {f"d{field}": {"op": "count_distinct", "field": field} for field in distinct}
    measures: dict[str, object] = {"m": {"op": op, "field": "a"}, **counts}
    report = make_report(group_by={"c": "c"}, measures=measures)

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [row["m"] for row in rows] == ([-6, 0] if op == "sum" else [-3, None])
    assert await read_warnings(mongo_database, report, OCTOBER) == [
        TaskWarning(code=MISMATCH_NULL, column="m", count=len(NO_NUMBERS) + 1)
    ]


async def test_missing_values_and_nulls_are_no_mismatch(mongo_database: Database) -> None:
    await insert_orders(mongo_database, {"a": None}, {}, {"a": 1})
    for on_mismatch in ("null", "fail"):
        report = make_report(**_by_group(op="sum", on_mismatch=on_mismatch))
        assert [row["m"] for row in await read_rows(mongo_database, report, OCTOBER)] == [1]
        assert await read_warnings(mongo_database, report, OCTOBER) == []


@pytest.mark.parametrize("op", OPS)
async def test_a_measure_that_shall_fail_names_the_column_and_the_types_but_no_value(
    mongo_database: Database, op: str
) -> None:
    await insert_orders(mongo_database, {"c": 1, "a": 1}, {"c": 2, "a": "secret"}, {"c": 3})
    report = make_report(**_by_group(op=op, on_mismatch="fail"))

    with pytest.raises(MismatchError) as raised:
        await read_rows(mongo_database, report, OCTOBER)

    assert raised.value.msg == (
        "The column 'm' has the type number, but a document has a value of BSON type string; "
        'correct the document, or set `on_mismatch` to "null".'
    )
    other = OCTOBER | {"columns": "day,c"}
    assert len(await read_rows(mongo_database, report, other)) == 3


async def test_a_minimum_of_values_of_all_types_is_text_if_they_have_no_type_in_common(
    mongo_database: Database,
) -> None:
    await insert_orders(
        mongo_database, {"c": 1, "a": -3}, {"c": 2, "a": "n/a"}, {"c": 3, "a": MOMENT}, {"c": 4}
    )
    report = make_report(**_by_group(op="min", on_mismatch="text"))

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [row["m"] for row in rows] == ["-3", "n/a", "2026-01-01T00:00:00.000+00:00", None]
    assert await read_warnings(mongo_database, report, OCTOBER) == [
        TaskWarning(code=MISMATCH_TEXT, column="m", count=2)
    ]


async def test_the_first_and_the_last_date_leave_out_what_is_no_date(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"a": MOMENT}, {"a": 5}, {"a": "2026"})
    for op in ("min", "max"):
        report = make_report(**_by_group(op=op, type="datetime"))
        assert [row["m"] for row in await read_rows(mongo_database, report, OCTOBER)] == [MOMENT]
        assert await read_warnings(mongo_database, report, OCTOBER) == [
            TaskWarning(code=MISMATCH_NULL, column="m", count=2)
        ]


@pytest.mark.parametrize(
    ("kind", "fitting"),
    [
        ("text", {str}),
        ("number", {int, float, Decimal128}),
        ("datetime", {datetime}),
        ("boolean", {bool}),
        ("id", {ObjectId, str}),
    ],
)
async def test_groups_of_other_types_are_one_group_without_a_value_if_the_report_says_so(
    mongo_database: Database, kind: str, fitting: set[type]
) -> None:
    values = ["a", 1, 2.5, Decimal128("3.5"), MOMENT, False, ObjectId(), [1], {"a": 1}]
    others = [value for value in values if type(value) not in fitting]
    await insert_orders(mongo_database, {}, *({"c": value} for value in [None, *values]))
    report = make_report(group_by={"c": {"field": "c", "type": kind, "on_mismatch": "null"}})

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [row["n"] for row in rows if row["c"] is None] == [2 + len(others)]
    assert len(rows) == 1 + len(values) - len(others)
    assert await read_warnings(mongo_database, report, OCTOBER) == [
        TaskWarning(code=MISMATCH_NULL, column="c", count=len(others))
    ]


async def test_a_group_that_shall_fail_names_the_column_and_the_types_but_no_value(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"c": "a"}, {}, {"c": None})
    group_by = {"c": {"field": "c", "type": "text", "on_mismatch": "fail"}}
    report = make_report(group_by=group_by)
    assert len(await read_rows(mongo_database, report, OCTOBER)) == 2

    await insert_orders(mongo_database, {"c": 987654321})
    with pytest.raises(MismatchError) as raised:
        await read_rows(mongo_database, report, OCTOBER)

    assert raised.value.msg.startswith("The column 'c' has the type text, but")
    assert "BSON type int;" in raised.value.msg
    assert "987654321" not in raised.value.msg


async def test_a_group_of_several_types_is_text_and_counts_what_would_be_a_number_or_a_date(
    mongo_database: Database,
) -> None:
    oid = ObjectId()
    values = [7, Decimal128("7.50"), "7", MOMENT, True, oid]
    await insert_orders(mongo_database, *({"c": value} for value in values))
    report = make_report(group_by={"c": "c"})

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert {row["c"] for row in rows} == {
        *("7", "7.5", "true", "2026-01-01T00:00:00.000+00:00", str(oid))
    }
    assert await read_warnings(mongo_database, report, OCTOBER) == [
        TaskWarning(code=MISMATCH_TEXT, column="c", count=3)
    ]

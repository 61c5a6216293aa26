"""Equal numbers are one group under one name, and each group shows what it is."""

import csv
import io
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from exports.models import TaskStatus
from exports.settings import Settings
from exports.source.inferred import group_column
from exports.staging.parts import decode_part, encode_part
from exports.tables.plain import plain
from exports.tables.unify import conform, unify
from exports.tables.warnings import MISMATCH_TEXT, TaskWarning
from tests.support.rows import batch, group, table
from tests.support.service import downloaded, open_service, working
from tests.support.stats_reports import (
    OCTOBER,
    Database,
    insert_orders,
    make_report,
    read_rows,
    read_warnings,
)

YEAR = """
[reports.groups]
collection = "orders"
time_field = "at"
period = "year"
group_by = { c = "c" }
measures.n = { op = "count" }
"""


@pytest.mark.parametrize(
    ("months", "names", "as_text"),
    [
        ([[7], [7.0], [Decimal128("7.00")]], [["7"], ["7"], ["7"]], 0),
        ([[7], [7.0, 7.5], [Decimal128("7.00")]], [["7"], ["7", "7.5"], ["7"]], 0),
        # The column is text because of a value in another month, or in the same one.
        (
            [[7, -3], [7.0, 0.5], [Decimal128("7.00"), Decimal128("0.50")], ["n/a"]],
            [["-3", "7"], ["0.5", "7"], ["0.5", "7"], ["n/a"]],
            6,
        ),
        ([[7, "x"], [7.0, "x"], [Decimal128("7.00"), "x"]], [["7", "x"]] * 3, 3),
        ([[0], [-0.0], [Decimal128("-0.00")]], [["0"]] * 3, 0),
        (
            [[2**60], [2.0**60], [Decimal128(str(2**60)), 0.5]],
            [
                ["1152921504606846976.0"],
                ["1152921504606846976.0"],
                ["0.5", "1152921504606846976.0"],
            ],
            0,
        ),
    ],
)
async def test_equal_numbers_of_several_months_have_one_name(
    settings: Settings,
    temporal_address: str,
    tmp_path: Path,
    months: list[list[Any]],
    names: list[list[str]],
    as_text: int,
) -> None:
    reports = tmp_path / "reports.toml"
    reports.write_text(YEAR, encoding="utf-8")
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        await service.database["orders"].insert_many(
            [
                {"at": datetime(2026, month, 5, tzinfo=UTC), "c": value}
                for month, values in enumerate(months, start=1)
                for value in values
            ]
        )
        task = await service.exported("groups", params={"year": 2026})
    assert task.status is TaskStatus.DONE, task.error
    rows = csv.DictReader(io.StringIO(downloaded(task.download_url).decode("utf-8-sig")))
    found = [(row["month"], row["c"]) for row in rows]
    assert found == [
        (f"2026-{month:02}", name)
        for month, group_names in enumerate(names, start=1)
        for name in group_names
    ]
    expected = [TaskWarning(code=MISMATCH_TEXT, column="c", count=as_text)] if as_text else []
    assert task.warnings == expected


async def test_groups_that_are_not_finite_or_missing_are_told_apart(
    mongo_database: Database,
) -> None:
    values = [math.nan, Decimal128("NaN"), math.inf, Decimal128("Infinity"), -math.inf, None, 1.5]
    await insert_orders(mongo_database, {}, *({"c": value} for value in values))
    report = make_report(group_by={"c": "c"})

    rows = await read_rows(mongo_database, report, OCTOBER)
    await insert_orders(mongo_database, {"c": "n/a"})
    with_a_text = await read_rows(mongo_database, report, OCTOBER)

    assert [(str(row["c"]), row["n"]) for row in rows] == [
        ("None", 2),
        ("nan", 2),
        ("-inf", 1),
        ("1.5", 1),
        ("inf", 2),
    ]
    assert [row["c"] for row in with_a_text] == [None, "NaN", "-Infinity", "1.5", "Infinity", "n/a"]
    assert await read_warnings(mongo_database, report, OCTOBER) == [
        TaskWarning(code=MISMATCH_TEXT, column="c", count=4)
    ]


def _spelled(value: object) -> list[str | None]:
    """A group in a month of its own, and in months with others, where the column is text."""
    return [
        text
        for others in ([], [0.5], [2**63 - 1], [Decimal128("0.1")], [1e300], [math.nan])
        for text in _as_text(value, *others)
    ]


def _as_text(*values: object) -> list[str | None]:
    """The first value in an export that has a text in another month."""
    numbers = group_column(values, "UTC").values
    of = table(group("c", numbers.type))
    part = encode_part(of, [batch(of, *((value,) for value in numbers.to_pylist()))]).data
    schema, (rows,) = decode_part(part)
    unified = unify([schema, table(group("c"))])
    (mixed, *_) = group_column([*values, "text"], "UTC").values.to_pylist()
    (alone, *_) = conform(rows, unified).to_pydict()["c"]
    return [alone, mixed]


_numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-300, 300).map(lambda power: 2.0**power),
    st.integers(-22, 40).map(lambda power: 10.0**power),
    st.decimals(-(10**20), 10**20, places=3).map(Decimal128),
    st.tuples(st.integers(-(10**34) + 1, 10**34 - 1), st.integers(-6000, 6000)).map(
        lambda number: Decimal128(Decimal(number[0]).scaleb(number[1]))
    ),
)


@given(_numbers)
def test_a_number_has_one_name_whatever_else_is_in_its_column(value: object) -> None:
    names = _spelled(value)

    assert len(set(names)) == 1
    assert len(str(names[0])) < 100


def _forms(value: Any) -> list[object]:
    """The numbers of BSON that MongoDB finds equal to a number."""
    exact = value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)
    forms: list[object] = [value]
    if exact == exact.to_integral_value() and abs(exact) < 2**63:
        forms.append(Int64(int(exact)))
    if Decimal(float(exact)) == exact:
        forms.append(float(exact))
    if len(exact.normalize().as_tuple().digits) <= 34 and exact.normalize() == exact:
        forms.append(Decimal128(exact))
    return forms


@given(_numbers)
def test_numbers_that_are_equal_to_the_database_have_one_name(value: object) -> None:
    names = [name for form in _forms(value) for name in _spelled(form)]

    assert len(set(names)) == 1


@given(_numbers)
def test_a_name_is_the_number(value: Any) -> None:
    name = str(_spelled(value)[0])

    exact = value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)
    assert Decimal(name) == exact or float(name) == float(exact)
    assert "E" not in name or plain(Decimal(name)) == name

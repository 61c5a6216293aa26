"""The figures of a row are those that a person would compute by hand from the documents."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from bson import Decimal128

from exports.models import Unit
from exports.reports.definition import StatsDefinition
from exports.reports.stats.pipeline import build
from tests.support.stats_reports import (
    COUNT,
    OCTOBER,
    Database,
    insert_orders,
    make_report,
    read_rows,
)


async def test_sums_of_amounts_are_exact_and_averages_as_exact_as_a_float(
    mongo_database: Database,
) -> None:
    amounts = ["0.10", "0.20", "-0.05", "12345678901234567890.01", "99.99"]
    await insert_orders(mongo_database, *({"a": Decimal128(amount)} for amount in amounts))
    report = make_report(
        group_by={"c": "c"},
        measures={"sum": {"op": "sum", "field": "a"}, "avg": {"op": "avg", "field": "a"}},
    )

    (row,) = await read_rows(mongo_database, report, OCTOBER)

    total = sum(Decimal(amount) for amount in amounts)
    assert row["sum"] == total == Decimal("12345678901234567990.25")
    assert row["avg"] == float(total / 5)


async def test_an_average_ignores_values_that_are_not_numbers(mongo_database: Database) -> None:
    await insert_orders(mongo_database, {"a": 1}, {"a": 2}, {"a": "3"}, {"a": None}, {}, {"c": 1})
    report = make_report(
        group_by={"c": "c"},
        measures={"avg": {"op": "avg", "field": "a"}, "sum": {"op": "sum", "field": "a"}},
    )

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [(row["c"], row["avg"], row["sum"]) for row in rows] == [(None, 1.5, 3), (1, None, 0)]


async def test_minimum_and_maximum_may_be_dates_or_text(mongo_database: Database) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    await insert_orders(mongo_database, {"d": late, "s": "乙"}, {"d": early, "s": "a"}, {"d": None})
    report = make_report(
        timezone="Asia/Shanghai",
        group_by={"c": "c"},
        measures={
            "first": {"op": "min", "field": "d", "type": "datetime"},
            "last": {"op": "max", "field": "d", "type": "datetime"},
            "text": {"op": "max", "field": "s", "on_mismatch": "text"},
        },
    )

    (row,) = await read_rows(mongo_database, report, OCTOBER)

    assert (row["first"], row["last"], row["text"]) == (early, late, "乙")
    assert row["first"].isoformat() == "2026-01-01T08:00:00+08:00"


def _by_hand(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: defaultdict[tuple[date, str], list[dict[str, Any]]] = defaultdict(list)
    for document in documents:
        groups[document["at"].date(), document["c"]].append(document)
    return [
        {
            "day": day,
            "c": category,
            "n": len(group),
            "sum": sum(item["a"].to_decimal() for item in group),
            "avg": sum(item["a"].to_decimal() for item in group) / len(group),
            "min": min(item["q"] for item in group),
            "max": max(item["q"] for item in group),
            "users": len({item["u"] for item in group if item.get("u") is not None}),
            "amounts": len({item["a"].to_decimal() for item in group}),
            "quantities": len({item["q"] for item in group}),
        }
        for (day, category), group in sorted(groups.items())
    ]


@pytest.mark.parametrize(
    "distinct",
    [
        {},
        {"users": "u"},
        {"users": "u", "amounts": "a"},
        {"users": "u", "amounts": "a", "quantities": "q"},
    ],
)
async def test_any_number_of_distinct_counts_goes_with_all_the_other_measures(
    mongo_database: Database, distinct: dict[str, str]
) -> None:
    random = Random(7)  # noqa: S311 -- sample data is no secret
    documents: list[dict[str, Any]] = [
        {
            "at": datetime(2026, 10, random.randint(1, 4), tzinfo=UTC),
            "c": random.choice("ab"),
            "a": Decimal128(f"{random.randint(-9, 9)}.25"),
            "q": random.randint(1, 5),
        }
        # A missing value and a null are not counted.
        | random.choice([{"u": f"u{random.randint(1, 9)}"}, {"u": None}, {}])
        for _ in range(300)
    ]
    await insert_orders(mongo_database, *documents)
    # The distinct counts stand between the others, as they may in a file.
    measures: dict[str, object] = {
        "n": {"op": "count"},
        "sum": {"op": "sum", "field": "a"},
        **{name: {"op": "count_distinct", "field": field} for name, field in distinct.items()},
        "avg": {"op": "avg", "field": "a"},
        "min": {"op": "min", "field": "q"},
        "max": {"op": "max", "field": "q"},
    }

    rows = await read_rows(
        mongo_database, make_report(group_by={"c": "c"}, measures=measures), OCTOBER
    )

    expected = [{name: row[name] for name in rows[0]} for row in _by_hand(documents)]
    for row in expected:
        row["avg"] = float(row["avg"])
    assert rows == expected


async def test_without_groups_distinct_counts_cover_the_whole_month(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"u": 1, "v": 1}, {"u": 1, "v": 2}, {"u": 2, "v": 3}, {})
    report = make_report(
        period="year",
        measures={
            "users": {"op": "count_distinct", "field": "u"},
            "visits": {"op": "count_distinct", "field": "v"},
            **COUNT,
        },
    )

    row = (await read_rows(mongo_database, report, {"year": 2026}))[9]

    assert (row["users"], row["visits"], row["n"]) == (2, 3, 4)


@pytest.mark.parametrize("distinct", [0, 1, 2, 3])
def test_no_pipeline_collects_values_into_one_document(distinct: int) -> None:
    measures = {f"d{index}": {"op": "count_distinct", "field": "u"} for index in range(distinct)}
    definition = StatsDefinition.model_validate(
        {
            "collection": "orders",
            "time_field": "at",
            "period": "year",
            "measures": COUNT | measures,
        }
    )
    unit = Unit(key="2026-10", start=0, end=1)

    stages = build(definition, unit, labels=("2026-10-01", "2026-10-01"), created_by="u1")

    text = json.dumps(stages, default=str)
    assert not any(operator in text for operator in ("$addToSet", "$push", "$facet", "$lookup"))
    assert sum("$group" in stage for stage in stages) == (2 if distinct else 1)
    assert sum("$unwind" in stage for stage in stages) == (1 if distinct > 1 else 0)

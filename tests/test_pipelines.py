"""The rows of a report are those that a person would work out by hand from the documents."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from bson import Decimal128, ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from exports.columns import Column, columns_of, sheet_of
from exports.models import Unit
from exports.pipelines import build
from exports.report_definition import StatsDefinition
from exports.stats_report import StatsReport

Database = AsyncDatabase[dict[str, Any]]

OCTOBER: dict[str, object] = {"year": 2026, "month": 10}
COUNT: dict[str, object] = {"n": {"op": "count"}}


def _report(**table: object) -> StatsReport:
    definition: dict[str, object] = {
        "collection": "orders",
        "time_field": "at",
        "period": "month",
        "measures": COUNT,
    }
    name = "statsAnnual" if table.get("period") == "year" else "statsMonthly"
    return StatsReport(name, StatsDefinition.model_validate(definition | table))


async def _batches(
    database: Database, report: StatsReport, params: dict[str, object], created_by: str = "u1"
) -> list[list[pa.RecordBatch]]:
    return [
        [
            batch
            async for batch in report.read(
                database, unit, created_by=created_by, query_timeout=timedelta(minutes=1)
            )
        ]
        for unit in report.units(report.check_params(params))
    ]


async def _rows(
    database: Database, report: StatsReport, params: dict[str, object], created_by: str = "u1"
) -> list[dict[str, Any]]:
    units = await _batches(database, report, params, created_by)
    return [row for batches in units for batch in batches for row in batch.to_pylist()]


async def _insert(database: Database, *documents: dict[str, Any]) -> None:
    noon = datetime(2026, 10, 5, 12, tzinfo=UTC)
    await database["orders"].insert_many([{"at": noon} | document for document in documents])


async def test_every_day_of_a_month_has_a_row_when_there_are_no_groups(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {"a": 3, "u": "x"}, {"a": 4, "u": "x"})
    report = _report(
        measures={
            "n": {"op": "count"},
            "total": {"op": "sum", "field": "a"},
            "mean": {"op": "avg", "field": "a"},
            "least": {"op": "min", "field": "a"},
            "most": {"op": "max", "field": "a"},
            "people": {"op": "count_distinct", "field": "u"},
        }
    )

    rows = await _rows(mongo_database, report, OCTOBER)

    assert [row["day"] for row in rows] == [date(2026, 10, day) for day in range(1, 32)]
    full = {"n": 2, "total": 7, "mean": 3.5, "least": 3, "most": 4, "people": 1}
    empty = {"n": 0, "total": 0, "mean": None, "least": None, "most": None, "people": 0}
    assert rows[4] == {"day": date(2026, 10, 5), **full}
    assert all(
        row == {"day": row["day"], **empty} for row in rows if row["day"] != date(2026, 10, 5)
    )


async def test_every_month_of_a_year_is_one_unit_with_one_row_when_there_are_no_groups(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {}, {}, {"at": datetime(2026, 2, 28, tzinfo=UTC)})

    units = await _batches(mongo_database, _report(period="year"), {"year": 2026})

    rows = [batch.to_pylist() for batches in units for batch in batches]
    assert rows == [
        [{"month": date(2026, number, 1), "n": {2: 1, 10: 2}.get(number, 0)}]
        for number in range(1, 13)
    ]


async def test_only_days_and_groups_where_there_is_something_have_rows(
    mongo_database: Database,
) -> None:
    await _insert(
        mongo_database,
        {"c": "图书", "r": {"name": "华东"}},
        {"c": "图书", "r": {"name": "华东"}},
        {"c": "Books", "r": {"name": "华东"}},
        {"c": "Books", "r": {"name": "华东"}, "at": datetime(2026, 10, 4, tzinfo=UTC)},
    )
    report = _report(group_by={"category": "c", "region": {"field": "r.name", "title": "地区"}})

    assert await _rows(mongo_database, report, OCTOBER) == [
        {"day": date(2026, 10, 4), "category": "Books", "region": "华东", "n": 1},
        {"day": date(2026, 10, 5), "category": "Books", "region": "华东", "n": 1},
        {"day": date(2026, 10, 5), "category": "图书", "region": "华东", "n": 2},
    ]


async def test_a_missing_group_and_a_null_are_one_group(mongo_database: Database) -> None:
    await _insert(mongo_database, {"c": None}, {}, {"c": "a"})

    rows = await _rows(mongo_database, _report(group_by={"c": "c"}), OCTOBER)

    assert [(row["c"], row["n"]) for row in rows] == [(None, 2), ("a", 1)]


async def test_a_report_of_nothing_still_has_its_columns(mongo_database: Database) -> None:
    await mongo_database.create_collection("orders")
    report = _report(group_by={"c": "c"}, measures={**COUNT, "total": {"op": "sum", "field": "a"}})

    ((batch,),) = await _batches(mongo_database, report, OCTOBER)

    assert batch.num_rows == 0
    assert batch.schema.names == ["day", "c", "n", "total"]
    assert batch.schema.types == [pa.date32(), pa.null(), pa.int64(), pa.null()]


async def test_the_schema_tells_a_file_format_what_the_columns_are(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {"c": "a", "a": 1})
    report = _report(
        title="月度订单",
        period="year",
        period_title="月份",
        group_by={"c": {"field": "c", "title": "类别"}},
        measures={
            op: {"op": op, "field": "a"} for op in ("sum", "avg", "min", "max", "count_distinct")
        }
        | {"count": {"op": "count", "title": "订单数"}},
    )

    units = await _batches(mongo_database, report, {"year": 2026})

    schema = units[9][0].schema
    assert sheet_of(schema).title == "月度订单"
    assert {sheet_of(batch.schema).summary for (batch,) in units} == {"statsAnnual 2026"}
    assert columns_of(schema) == [
        Column(name="month", title="月份", role="period", period="month"),
        Column(name="c", title="类别", role="group"),
        Column(name="sum", title="sum", role="measure", total="sum"),
        Column(name="avg", title="avg", role="measure"),
        Column(name="min", title="min", role="measure", total="min"),
        Column(name="max", title="max", role="measure", total="max"),
        Column(name="count_distinct", title="count_distinct", role="measure"),
        Column(name="count", title="订单数", role="measure", total="sum"),
    ]


async def test_a_month_has_its_first_instant_and_not_that_of_the_next(
    mongo_database: Database,
) -> None:
    start = datetime(2026, 10, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    end = datetime(2026, 11, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    tick = timedelta(milliseconds=1)
    await _insert(
        mongo_database, {"at": start - tick}, {"at": start}, {"at": end - tick}, {"at": end}
    )

    rows = await _rows(mongo_database, _report(timezone="Asia/Shanghai"), OCTOBER)

    assert {row["day"].day: row["n"] for row in rows if row["n"]} == {1: 1, 31: 1}


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        # No midnight on that day, and the last instant of the day before.
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z", date(2018, 11, 4)),
        ("America/Sao_Paulo", "2018-11-04T02:59:59Z", date(2018, 11, 3)),
        # 01:30 of a night in which that time came twice: both times.
        ("America/New_York", "2026-11-01T05:30:00Z", date(2026, 11, 1)),
        ("America/New_York", "2026-11-01T06:30:00Z", date(2026, 11, 1)),
        # The day after one that was skipped.
        ("Pacific/Apia", "2011-12-30T10:00:00Z", date(2011, 12, 31)),
        ("Pacific/Apia", "2011-12-30T09:59:59Z", date(2011, 12, 29)),
        # The clock went from 00:01 on the first of November back to 23:01: half a minute of a
        # new month, then an hour of the old one again.
        ("America/St_Johns", "2009-11-01T02:30:30Z", date(2009, 10, 31)),
        ("America/St_Johns", "2009-11-01T03:00:00Z", date(2009, 10, 31)),
        ("America/St_Johns", "2009-11-01T03:30:00Z", date(2009, 11, 1)),
        ("Asia/Shanghai", "2024-02-29T12:00:00Z", date(2024, 2, 29)),
    ],
)
async def test_a_document_counts_on_the_day_that_people_there_saw(
    mongo_database: Database, zone: str, moment: str, day: date
) -> None:
    await _insert(mongo_database, {"at": datetime.fromisoformat(moment)})
    params: dict[str, object] = {"year": day.year, "month": day.month}

    rows = await _rows(mongo_database, _report(timezone=zone), params)
    grouped = await _rows(mongo_database, _report(timezone=zone, group_by={"c": "c"}), params)

    assert [row["day"] for row in rows if row["n"]] == [day]
    assert grouped == [{"day": day, "c": None, "n": 1}]


async def test_sums_and_averages_of_amounts_are_exact(mongo_database: Database) -> None:
    amounts = ["0.10", "0.20", "-0.05", "12345678901234567890.01", "99.99"]
    await _insert(mongo_database, *({"a": Decimal128(amount)} for amount in amounts))
    report = _report(
        group_by={"c": "c"},
        measures={"sum": {"op": "sum", "field": "a"}, "avg": {"op": "avg", "field": "a"}},
    )

    (row,) = await _rows(mongo_database, report, OCTOBER)

    total = sum(Decimal(amount) for amount in amounts)
    assert row["sum"] == total == Decimal("12345678901234567990.25")
    assert row["avg"] == total / 5 == Decimal("2469135780246913598.05")


async def test_an_average_is_of_the_numbers_only(mongo_database: Database) -> None:
    await _insert(mongo_database, {"a": 1}, {"a": 2}, {"a": "3"}, {"a": None}, {}, {"c": 1})
    report = _report(
        group_by={"c": "c"},
        measures={"avg": {"op": "avg", "field": "a"}, "sum": {"op": "sum", "field": "a"}},
    )

    rows = await _rows(mongo_database, report, OCTOBER)

    assert [(row["c"], row["avg"], row["sum"]) for row in rows] == [(None, 1.5, 3), (1, None, 0)]


async def test_least_and_greatest_may_be_dates_or_text(mongo_database: Database) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    await _insert(mongo_database, {"d": late, "s": "乙"}, {"d": early, "s": "a"}, {"d": None})
    report = _report(
        timezone="Asia/Shanghai",
        group_by={"c": "c"},
        measures={
            "first": {"op": "min", "field": "d"},
            "last": {"op": "max", "field": "d"},
            "text": {"op": "max", "field": "s"},
        },
    )

    (row,) = await _rows(mongo_database, report, OCTOBER)

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
    await _insert(mongo_database, *documents)
    # The distinct counts stand between the others, as they may in a file.
    measures: dict[str, object] = {
        "n": {"op": "count"},
        "sum": {"op": "sum", "field": "a"},
        **{name: {"op": "count_distinct", "field": field} for name, field in distinct.items()},
        "avg": {"op": "avg", "field": "a"},
        "min": {"op": "min", "field": "q"},
        "max": {"op": "max", "field": "q"},
    }

    rows = await _rows(mongo_database, _report(group_by={"c": "c"}, measures=measures), OCTOBER)

    digits = Decimal("1e-25")
    expected = [{name: row[name] for name in rows[0]} for row in _by_hand(documents)]
    for row in rows + expected:
        row["avg"] = row["avg"].quantize(digits)
    assert rows == expected


async def test_without_groups_distinct_counts_cover_the_whole_month(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {"u": 1, "v": 1}, {"u": 1, "v": 2}, {"u": 2, "v": 3}, {})
    report = _report(
        period="year",
        measures={
            "users": {"op": "count_distinct", "field": "u"},
            "visits": {"op": "count_distinct", "field": "v"},
            **COUNT,
        },
    )

    row = (await _rows(mongo_database, report, {"year": 2026}))[9]

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

    stages = build(definition, unit, days=None, created_by="u1")

    text = json.dumps(stages, default=str)
    assert not any(operator in text for operator in ("$addToSet", "$push", "$facet", "$lookup"))
    assert sum("$group" in stage for stage in stages) == (2 if distinct else 1)
    assert sum("$unwind" in stage for stage in stages) == (1 if distinct > 1 else 0)


async def test_everyone_gets_only_their_own_documents(mongo_database: Database) -> None:
    person = ObjectId()
    await _insert(
        mongo_database, {"uid": "u1"}, {"uid": "u2"}, {"uid": person}, {"uid": str(person)}, {}
    )
    report = _report(owner_field="uid", group_by={"uid": "uid"})

    async def seen_by(created_by: str) -> set[str]:
        rows = await _rows(mongo_database, report, OCTOBER, created_by)
        return {row["uid"] for row in rows}

    assert await seen_by("u1") == {"u1"}
    assert await seen_by(str(person)) == {str(person)}
    assert len(await _rows(mongo_database, report, OCTOBER, str(person))) == 2
    for stranger in ('{"$ne": null}', "$uid", "", ".*", "null"):
        assert await seen_by(stranger) == set()


async def test_a_fixed_filter_keeps_documents_that_are_equal_and_no_others(
    mongo_database: Database,
) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    match = {"kind": "$sale", "paid": True, "buyer": {"level": 3}, "since": moment}
    await _insert(
        mongo_database,
        match,
        match | {"kind": "sale"},
        match | {"paid": False},
        match | {"buyer": {"level": 4}},
        match | {"since": moment + timedelta(seconds=1)},
    )
    fixed: dict[str, object] = {
        "kind": "$sale",
        "paid": True,
        "buyer.level": 3,
        "since": datetime(2026, 1, 1, 8, tzinfo=ZoneInfo("Asia/Shanghai")),
    }

    rows = await _rows(mongo_database, _report(filter=fixed), OCTOBER)

    assert sum(row["n"] for row in rows) == 1


async def test_names_and_values_that_look_like_operators_are_only_text(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {"c": "$a", "a": 5}, {"c": "$$ROOT", "a": 7})
    report = _report(
        group_by={"$c.x": "c"}, measures={"_id": {"op": "sum", "field": "a"}, "p": COUNT["n"]}
    )

    rows = await _rows(mongo_database, report, OCTOBER)

    assert [list(row.values())[1:] for row in rows] == [["$$ROOT", 7, 1], ["$a", 5, 1]]
    assert list(rows[0]) == ["day", "$c.x", "_id", "p"]


async def test_fields_of_the_documents_never_mix_with_those_of_the_pipeline(
    mongo_database: Database,
) -> None:
    clash = {"p": [1], "d": [{"n": 9}, {"n": 8}], "g0": {"x": 1}, "m0": "text", "m1n": 5}
    await _insert(mongo_database, clash | {"c": "a", "a": 1}, clash | {"c": "a", "a": 2})
    report = _report(
        group_by={"c": "c"},
        measures={
            "n": {"op": "count"},
            "avg": {"op": "avg", "field": "a"},
            "x": {"op": "count_distinct", "field": "a"},
        },
    )

    (row,) = await _rows(mongo_database, report, OCTOBER)

    assert (row["c"], row["n"], row["avg"], row["x"]) == ("a", 2, 1.5, 2)


async def test_a_second_read_gives_the_same_rows_in_the_same_order(
    mongo_database: Database,
) -> None:
    values: list[Any] = [None, True, 3, 2.5, "b", "a", "乙", ObjectId(), [2, 1], {"k": 1}]
    documents = [{"c": value, "e": other} for value in values for other in values]
    await _insert(mongo_database, *documents)
    report = _report(group_by={"c": "c", "e": "e"})
    first = await _rows(mongo_database, report, OCTOBER)
    await mongo_database["orders"].delete_many({})
    await _insert(mongo_database, *reversed(documents))

    assert await _rows(mongo_database, report, OCTOBER) == first
    assert len(first) == len(documents)


async def test_many_rows_come_in_batches_of_one_schema(mongo_database: Database) -> None:
    # The one decimal stands in the last row: the first batch has to know of it.
    documents: list[dict[str, Any]] = [{"c": f"{index:05}", "a": index} for index in range(2500)]
    documents[-1]["a"] = Decimal128("0.5")
    await _insert(mongo_database, *documents)
    report = _report(group_by={"c": "c"}, measures={"sum": {"op": "sum", "field": "a"}})

    (batches,) = await _batches(mongo_database, report, OCTOBER)

    assert [batch.num_rows for batch in batches] == [1000, 1000, 500]
    assert all(batch.schema.equals(batches[0].schema, check_metadata=True) for batch in batches)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["c"] for row in rows] == [f"{index:05}" for index in range(2500)]
    assert rows[-1]["sum"] == Decimal("0.5")


async def test_a_figure_that_is_no_number_is_an_empty_cell(mongo_database: Database) -> None:
    await _insert(
        mongo_database,
        {"c": 1, "a": float("nan"), "b": Decimal128("NaN")},
        {"c": 2, "a": float("inf"), "b": Decimal128("Infinity")},
        {"c": 3, "a": 1.5, "b": Decimal128("1.5")},
    )
    report = _report(
        group_by={"c": "c"},
        measures={"a": {"op": "sum", "field": "a"}, "b": {"op": "sum", "field": "b"}},
    )

    rows = await _rows(mongo_database, report, OCTOBER)

    assert [(row["a"], row["b"]) for row in rows] == [
        (None, None),
        (None, None),
        (1.5, Decimal("1.5")),
    ]

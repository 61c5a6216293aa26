"""Each document counts in the row where a person would look for it, and in no other."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from bson import Decimal128, ObjectId

from exports.errors import MismatchError
from exports.tables.columns import Column, columns_of, sheet_of
from tests.support.stats_reports import (
    COUNT,
    OCTOBER,
    Database,
    insert_orders,
    make_report,
    read_batches,
    read_rows,
)

OCTOBER_5 = datetime(2026, 10, 5, tzinfo=UTC)


async def test_every_day_of_a_month_has_a_row_when_there_are_no_groups(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"a": 3, "u": "x"}, {"a": 4, "u": "x"})
    report = make_report(
        measures={
            "n": {"op": "count"},
            "total": {"op": "sum", "field": "a"},
            "mean": {"op": "avg", "field": "a"},
            "least": {"op": "min", "field": "a"},
            "most": {"op": "max", "field": "a"},
            "people": {"op": "count_distinct", "field": "u"},
        }
    )

    rows = await read_rows(mongo_database, report, OCTOBER)

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
    await insert_orders(mongo_database, {}, {}, {"at": datetime(2026, 2, 28, tzinfo=UTC)})

    units = await read_batches(mongo_database, make_report(period="year"), {"year": 2026})

    rows = [batch.to_pylist() for batches in units for batch in batches]
    assert rows == [
        [{"month": date(2026, number, 1), "n": {2: 1, 10: 2}.get(number, 0)}]
        for number in range(1, 13)
    ]


async def test_only_days_and_groups_with_documents_have_rows(
    mongo_database: Database,
) -> None:
    await insert_orders(
        mongo_database,
        {"c": "图书", "r": {"name": "华东"}},
        {"c": "图书", "r": {"name": "华东"}},
        {"c": "Books", "r": {"name": "华东"}},
        {"c": "Books", "r": {"name": "华东"}, "at": datetime(2026, 10, 4, tzinfo=UTC)},
    )
    report = make_report(group_by={"category": "c", "region": {"field": "r.name", "title": "地区"}})

    assert await read_rows(mongo_database, report, OCTOBER) == [
        {"day": date(2026, 10, 4), "category": "Books", "region": "华东", "n": 1},
        {"day": date(2026, 10, 5), "category": "Books", "region": "华东", "n": 1},
        {"day": date(2026, 10, 5), "category": "图书", "region": "华东", "n": 2},
    ]


async def test_a_missing_group_and_a_null_are_one_group(mongo_database: Database) -> None:
    await insert_orders(mongo_database, {"c": None}, {}, {"c": "a"})

    rows = await read_rows(mongo_database, make_report(group_by={"c": "c"}), OCTOBER)

    assert [(row["c"], row["n"]) for row in rows] == [(None, 2), ("a", 1)]


async def test_a_report_without_documents_has_its_columns(mongo_database: Database) -> None:
    await mongo_database.create_collection("orders")
    report = make_report(
        group_by={"c": "c"}, measures={**COUNT, "total": {"op": "sum", "field": "a"}}
    )

    ((batch,),) = await read_batches(mongo_database, report, OCTOBER)

    assert batch.num_rows == 0
    assert batch.schema.names == ["day", "c", "n", "total"]
    assert batch.schema.types == [pa.date32(), pa.null(), pa.int64(), pa.null()]


async def test_the_schema_tells_a_file_format_what_the_columns_are(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"c": "a", "a": 1})
    report = make_report(
        title="月度订单",
        period="year",
        period_title="月份",
        group_by={"c": {"field": "c", "title": "类别"}},
        measures={
            op: {"op": op, "field": "a"} for op in ("sum", "avg", "min", "max", "count_distinct")
        }
        | {"count": {"op": "count", "title": "订单数"}},
    )

    units = await read_batches(mongo_database, report, {"year": 2026})

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
    await insert_orders(
        mongo_database, {"at": start - tick}, {"at": start}, {"at": end - tick}, {"at": end}
    )

    rows = await read_rows(mongo_database, make_report(timezone="Asia/Shanghai"), OCTOBER)

    assert {row["day"].day: row["n"] for row in rows if row["n"]} == {1: 1, 31: 1}


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        # That day has no midnight; and the last second of the day before.
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
    await insert_orders(mongo_database, {"at": datetime.fromisoformat(moment)})
    params: dict[str, object] = {"year": day.year, "month": day.month}

    rows = await read_rows(mongo_database, make_report(timezone=zone), params)
    grouped = await read_rows(
        mongo_database, make_report(timezone=zone, group_by={"c": "c"}), params
    )

    assert [row["day"] for row in rows if row["n"]] == [day]
    assert grouped == [{"day": day, "c": None, "n": 1}]


async def test_everyone_gets_only_their_own_documents(mongo_database: Database) -> None:
    person = ObjectId()
    await insert_orders(
        mongo_database, {"uid": "u1"}, {"uid": "u2"}, {"uid": person}, {"uid": str(person)}, {}
    )
    report = make_report(owner_field="uid", group_by={"uid": "uid"})

    async def seen_by(created_by: str) -> set[str]:
        rows = await read_rows(mongo_database, report, OCTOBER, created_by)
        return {row["uid"] for row in rows}

    assert await seen_by("u1") == {"u1"}
    assert await seen_by(str(person)) == {str(person)}
    assert len(await read_rows(mongo_database, report, OCTOBER, str(person))) == 2
    for stranger in ('{"$ne": null}', "$uid", "", ".*", "null"):
        assert await seen_by(stranger) == set()


async def test_a_fixed_filter_keeps_documents_that_are_equal_and_no_others(
    mongo_database: Database,
) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    match = {"kind": "$sale", "paid": True, "buyer": {"level": 3}, "since": moment}
    await insert_orders(
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

    rows = await read_rows(mongo_database, make_report(filter=fixed), OCTOBER)

    assert sum(row["n"] for row in rows) == 1


async def test_names_and_values_that_look_like_operators_are_only_text(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"c": "$a", "a": 5}, {"c": "$$ROOT", "a": 7})
    report = make_report(
        group_by={"$c.x": "c"}, measures={"_id": {"op": "sum", "field": "a"}, "p": COUNT["n"]}
    )

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [list(row.values())[1:] for row in rows] == [["$$ROOT", 7, 1], ["$a", 5, 1]]
    assert list(rows[0]) == ["day", "$c.x", "_id", "p"]


async def test_fields_of_the_documents_never_mix_with_those_of_the_pipeline(
    mongo_database: Database,
) -> None:
    clash = {"p": [1], "d": [{"n": 9}, {"n": 8}], "g0": {"x": 1}, "m0": "text", "m1n": 5}
    await insert_orders(mongo_database, clash | {"c": "a", "a": 1}, clash | {"c": "a", "a": 2})
    report = make_report(
        group_by={"c": "c"},
        measures={
            "n": {"op": "count"},
            "avg": {"op": "avg", "field": "a"},
            "x": {"op": "count_distinct", "field": "a"},
        },
    )

    (row,) = await read_rows(mongo_database, report, OCTOBER)

    assert (row["c"], row["n"], row["avg"], row["x"]) == ("a", 2, 1.5, 2)


@pytest.mark.parametrize("period", ["month", "year"])
@pytest.mark.parametrize("time_field", ["at", "visit.at"])
@pytest.mark.parametrize("distinct", [0, 1, 2])
async def test_a_document_with_several_dates_fails_the_export_and_the_field_is_named(
    mongo_database: Database, period: str, time_field: str, distinct: int
) -> None:
    # Two dates of October, and one before and one after it: a query for October finds both.
    around = (OCTOBER_5 - timedelta(days=60), OCTOBER_5 + timedelta(days=60))
    for dates in ((OCTOBER_5, OCTOBER_5), around):
        await mongo_database["orders"].delete_many({})
        await insert_orders(
            mongo_database,
            {"visit": {"at": OCTOBER_5}},
            {"at": list(dates), "visit": [{"at": moment} for moment in dates], "a": "secret"},
        )
        report = make_report(
            period=period,
            time_field=time_field,
            measures={
                str(number): {"op": "count_distinct", "field": "a"} for number in range(distinct)
            }
            | COUNT,
        )

        params: dict[str, object] = {"year": 2026} if period == "year" else OCTOBER
        with pytest.raises(MismatchError) as raised:
            await read_rows(mongo_database, report, params)

        assert f"time field '{time_field}' of a document is not one date" in raised.value.msg
        assert "secret" not in raised.value.msg


async def test_a_second_read_gives_the_same_rows_in_the_same_order(
    mongo_database: Database,
) -> None:
    values: list[Any] = [None, True, 3, 2.5, "b", "a", "乙", ObjectId(), [2, 1], {"k": 1}]
    documents = [{"c": value, "e": other} for value in values for other in values]
    await insert_orders(mongo_database, *documents)
    report = make_report(group_by={"c": "c", "e": "e"})
    first = await read_rows(mongo_database, report, OCTOBER)
    await mongo_database["orders"].delete_many({})
    await insert_orders(mongo_database, *reversed(documents))

    assert await read_rows(mongo_database, report, OCTOBER) == first
    assert len(first) == len(documents)


async def test_many_rows_come_in_batches_of_one_schema(mongo_database: Database) -> None:
    # The only decimal is in the last row, and the type of the first batch depends on it.
    documents: list[dict[str, Any]] = [{"c": f"{index:05}", "a": index} for index in range(2500)]
    documents[-1]["a"] = Decimal128("0.5")
    await insert_orders(mongo_database, *documents)
    report = make_report(group_by={"c": "c"}, measures={"sum": {"op": "sum", "field": "a"}})

    (batches,) = await read_batches(mongo_database, report, OCTOBER)

    assert [batch.num_rows for batch in batches] == [1000, 1000, 500]
    assert all(batch.schema.equals(batches[0].schema, check_metadata=True) for batch in batches)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["c"] for row in rows] == [f"{index:05}" for index in range(2500)]
    assert rows[-1]["sum"] == Decimal("0.5")

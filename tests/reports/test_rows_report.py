"""A row-level report gives exactly the documents of its period, in the same order each time."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pyarrow as pa
import pytest
from bson import Decimal128, ObjectId
from pydantic import ValidationError

from exports.clock import from_epoch_ms
from exports.errors import CollectionMissingError, MismatchError, ParamsError
from exports.source.database import RowQuery, Source
from exports.tables.columns import columns_of, sheet_of
from tests.support.row_reports import (
    OCTOBER,
    START,
    Database,
    insert,
    read_all,
    read_unit,
    row_report,
    rows_of,
    source_of,
)


async def test_a_row_has_the_columns_of_the_definition(mongo_database: Database) -> None:
    await insert(
        mongo_database,
        {"_id": ObjectId("0" * 24), "buyer": {"city": "上海"}, "tags": ["a", 1], "p": 0.5},
        {"_id": ObjectId("1" * 24), "buyer": "walk-in", "p": 2, "at": START + timedelta(hours=1)},
    )
    report = row_report(
        title="订单",
        timezone="Asia/Shanghai",
        long_text="cut",
        columns={
            "id": {"field": "_id", "type": "id"},
            "city": "buyer.city",
            "tags": {"field": "tags", "title": "标签", "type": "json"},
            "when": {"field": "at", "type": "datetime"},
            "price": {"field": "p", "type": "decimal", "scale": 1, "number_format": "0.0"},
        },
    )
    units = await read_all(source_of(mongo_database), report)
    found = units[0][0].batch.schema

    assert [list(row.values())[:3] for row in rows_of(units)] == [
        ["0" * 24, "上海", '["a", 1]'],
        ["1" * 24, None, None],
    ]
    assert found.types == [
        *(pa.string(), pa.string(), pa.string()),
        *(pa.timestamp("ms", tz="Asia/Shanghai"), pa.decimal128(38, 1)),
    ]
    assert [(item.name, item.title, item.role) for item in columns_of(found)][1:3] == [
        ("city", "city", "field"),
        ("tags", "标签", "field"),
    ]
    assert columns_of(found)[4].number_format == "0.0"
    sheet = sheet_of(found)
    assert (sheet.title, sheet.layout, sheet.long_text) == ("订单", "rows", "cut")
    assert sheet.summary == "detail 2026-10-01_2026-11-01"


async def test_only_documents_of_the_period_the_filter_and_the_owner_are_given(
    mongo_database: Database,
) -> None:
    mine = {"kind": "sale", "who": {"id": "0" * 24}}
    end = START + timedelta(days=31)
    await insert(
        mongo_database,
        mine,
        mine | {"who": {"id": ObjectId("0" * 24)}, "at": end - timedelta(milliseconds=1)},
        mine | {"who": {"id": "u2"}},
        mine | {"kind": "refund"},
        mine | {"at": end},
        mine | {"at": START - timedelta(milliseconds=1)},
        mine | {"at": "2026-10-05"},
    )
    report = row_report(owner_field="who.id", filter={"kind": "sale"})

    assert [
        row["id"] for row in rows_of(await read_all(source_of(mongo_database), report, "0" * 24))
    ] == [
        "0",
        "1",
    ]
    assert rows_of(await read_all(source_of(mongo_database), report, "u3")) == []


async def test_only_documents_with_the_values_that_are_asked_for_are_given(
    mongo_database: Database,
) -> None:
    await insert(mongo_database, {"shop": "a"}, {"shop": "b", "n": 7}, {"shop": "c"}, {"shop": "b"})
    params = {"shops": {"field": "shop", "many": True}, "n": {"field": "n", "type": "integer"}}
    report, source = row_report(params=params), source_of(mongo_database)
    summary = "detail 2026-10-01_2026-11-01 · shops: b, c"

    two = await read_all(source, report, shops=["b", "c"])
    assert [row["id"] for row in rows_of(two)] == ["1", "2", "3"]
    assert sheet_of(two[0][0].batch.schema).summary == summary
    assert [row["id"] for row in rows_of(await read_all(source, report, shops="b", n="7"))] == ["1"]
    with pytest.raises(ValidationError, match="is not a text"):
        await read_unit(source, report, report.units(OCTOBER)[0], shops=[{"$ne": "b"}])


async def test_a_period_without_documents_gives_the_columns(mongo_database: Database) -> None:
    await insert(mongo_database, {"at": START - timedelta(days=1)})

    ((found,),) = await read_all(source_of(mongo_database), row_report())

    assert found.batch.num_rows == 0
    assert found.batch.schema.names == ["id", "n"]
    assert found.rest == []


async def test_a_missing_collection_is_named(mongo_database: Database) -> None:
    with pytest.raises(CollectionMissingError, match="no collection 'orders'"):
        await read_all(source_of(mongo_database), row_report())


async def test_columns_can_be_chosen_and_ordered(mongo_database: Database) -> None:
    # A column that was not chosen is not read: `x` would not fit.
    await insert(mongo_database, {"n": "many"})
    report = row_report(columns={"a": "_id", "x": {"field": "n", "type": "integer"}, "b": "at"})

    (row,) = rows_of(await read_all(source_of(mongo_database), report, columns=["b", "a"]))

    assert list(row.items()) == [("b", "2026-10-01T00:00:00.000+00:00"), ("a", "0")]


async def test_a_value_of_another_type_fails_the_export_unless_the_report_says_otherwise(
    mongo_database: Database,
) -> None:
    await insert(mongo_database, {"n": "secret"})

    with pytest.raises(MismatchError, match="column 'n' has the type integer") as raised:
        await read_all(source_of(mongo_database), row_report())
    assert "secret" not in raised.value.msg


@pytest.mark.parametrize("on_mismatch", ["fail", "text", "null"])
@pytest.mark.parametrize("time_field", ["at", "visits.at"])
@pytest.mark.usefixtures("small_units")
async def test_a_document_with_several_dates_fails_the_export_and_the_field_is_named(
    mongo_database: Database, on_mismatch: str, time_field: str
) -> None:
    # A query for a day finds it if one of its dates is before and another is after that day.
    dates = [START - timedelta(days=1), START + timedelta(days=40)]
    await insert(
        mongo_database,
        *(
            {"at": moment, "visits": {"at": moment}}
            for moment in (START + timedelta(hours=hour) for hour in range(9))
        ),
        {"_id": "secret", "at": dates, "visits": [{"at": moment} for moment in dates]},
    )
    report = row_report(on_mismatch=on_mismatch, time_field=time_field)

    with pytest.raises(MismatchError) as raised:
        await read_all(source_of(mongo_database), report)

    assert f"time field '{time_field}' of a document is not one date" in raised.value.msg
    assert "secret" not in raised.value.msg


class _AnyOrder(Source):
    """Returns documents of one instant in any order, as a database may."""

    backwards = False

    async def raw_batches(self, collection: str, query: RowQuery) -> AsyncGenerator[bytes]:
        query.sort.append(("_id", -1 if self.backwards else 1))
        async for batch in super().raw_batches(collection, query):
            yield batch


async def test_documents_of_one_instant_come_in_order_of_their_ids(
    mongo_database: Database,
) -> None:
    source = _AnyOrder(mongo_database, timedelta(minutes=1))
    await insert(mongo_database, *({"n": 1} for _ in range(12)))
    forwards = rows_of(await read_all(source, row_report()))
    source.backwards = True

    assert rows_of(await read_all(source, row_report())) == forwards
    assert [int(row["id"]) for row in forwards] == list(range(12))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "from: Field required; to: Field required"),
        ({"from": "2026-10-01"}, "to: Field required"),
        ({"from": "2026-10-01", "to": "2026-10-01"}, "`to` is not after `from`"),
        ({"from": "2026-10-02", "to": "2026-10-01"}, "`to` is not after `from`"),
        ({"from": "2026-02-29", "to": "2026-10-01"}, "from: is not a day of the calendar"),
        ({"from": "1.10.2026", "to": "2026-10-01"}, "from: is not a date such as 2026-10-31"),
        ({"from": "20261001", "to": "2026-10-01"}, "from: is not a date such as 2026-10-31"),
        ({"from": 20261001, "to": "2026-10-01"}, "from: is not a date such as 2026-10-31"),
        ({"from": "2026-10-01T00:00:00Z", "to": "2026-10-01"}, "from: is not a date such as"),
        ({"from": "٢٠٢٦-10-01", "to": "2026-10-01"}, "from: is not a date such as 2026-10-31"),
        ({"from": "1969-12-31", "to": "2026-10-01"}, "from: is not between 1970-01-01 and 9999"),
        ({"from": "2026-10-01", "to": "9999-01-02"}, "to: is not between 1970-01-01 and 9999"),
        ({"from": {"$gt": ""}, "to": "2026-10-01"}, "from: is not a date such as 2026-10-31"),
        ({**OCTOBER, "year": 2026}, "year: is not known here"),
        ({**OCTOBER, "columns": []}, "columns: is not a list of column names"),
        ({**OCTOBER, "columns": [1]}, "columns: is not a list of column names"),
        ({**OCTOBER, "columns": {"id": 1}}, "columns: is not a list of column names"),
        ({**OCTOBER, "columns": ["id", "id"]}, "columns: names a column twice"),
        ({**OCTOBER, "columns": "id,secret"}, "no column of that name; use some of: id, n."),
        ({**OCTOBER, "columns": ""}, "no column of that name; use some of: id, n."),
        ([], "are an object with: from, to."),
    ],
)
def test_wrong_parameters_are_refused_with_what_would_be_right(params: object, reason: str) -> None:
    with pytest.raises(ParamsError) as raised:
        row_report().check_params(params)

    assert reason in raised.value.msg
    assert "secret" not in raised.value.msg


def test_columns_may_come_from_json_or_a_command_line() -> None:
    report = row_report()

    assert report.check_params({**OCTOBER, "columns": "n,id"}) == {
        **OCTOBER,
        "columns": ["n", "id"],
    }
    assert report.check_params(OCTOBER) == OCTOBER
    assert report.check_params({**OCTOBER, "columns": None}) == OCTOBER


def test_days_begin_at_midnight_in_the_time_zone_of_the_report() -> None:
    (unit,) = row_report(timezone="Asia/Shanghai").units(OCTOBER)

    assert from_epoch_ms(unit.start) == START - timedelta(hours=8)
    assert unit.end - unit.start == 31 * 86_400_000


async def test_decimals_are_exact(mongo_database: Database) -> None:
    await insert(mongo_database, {"n": Decimal128("0.10")}, {"n": Decimal128("-0.30")}, {"n": 7})
    report = row_report(columns={"amount": {"field": "n", "type": "decimal"}})

    found = [
        str(row["amount"]) for row in rows_of(await read_all(source_of(mongo_database), report))
    ]

    assert found == ["0.10", "-0.30", "7.00"]

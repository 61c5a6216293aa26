"""A row-level report gives exactly the documents of its period, in the same order each time."""

import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from bson import Decimal128, ObjectId
from pydantic import JsonValue, ValidationError
from pymongo.asynchronous.database import AsyncDatabase

from exports.clock import from_epoch_ms
from exports.errors import CollectionMissingError, MismatchError, ParamsError
from exports.models import Unit
from exports.reports.report import Rows
from exports.reports.rows import reading
from exports.reports.rows.definition import RowsDefinition
from exports.reports.rows.report import RowsReport
from exports.runtime.outages import Patience
from exports.server_errors.mongo import PASSING
from exports.source.database import RowQuery, Source
from exports.tables.columns import columns_of, sheet_of
from exports.tables.warnings import MISMATCH_NULL, MISMATCH_TEXT, NOT_FROZEN, TaskWarning

Database = AsyncDatabase[dict[str, Any]]

OCTOBER: dict[str, JsonValue] = {"from": "2026-10-01", "to": "2026-11-01"}
START = datetime(2026, 10, 1, tzinfo=UTC)


def _report(**table: object) -> RowsReport:
    definition: dict[str, object] = {
        "kind": "rows",
        "collection": "orders",
        "time_field": "at",
        "columns": {"id": {"field": "_id"}, "n": {"field": "n", "type": "integer"}},
    }
    return RowsReport("detail", RowsDefinition.model_validate(definition | table))


def _source(database: Database) -> Source:
    return Source(database, timedelta(minutes=1))


async def _unit(
    source: Source, report: RowsReport, unit: Unit, created_by: str = "u1", **params: JsonValue
) -> list[Rows]:
    return [
        rows
        async for rows in report.read(source, unit, params=OCTOBER | params, created_by=created_by)
    ]


async def _all(
    source: Source, report: RowsReport, created_by: str = "u1", **params: JsonValue
) -> list[list[Rows]]:
    """Read every unit, and after each the rest of it, as the workflow does."""
    units = report.units(report.check_params(OCTOBER | params))
    return await _with_rest(source, report, units, created_by, **params)


async def _with_rest(
    source: Source,
    report: RowsReport,
    units: Sequence[Unit],
    created_by: str = "u1",
    **params: JsonValue,
) -> list[list[Rows]]:
    waiting = list(units)
    done: list[list[Rows]] = []
    while waiting:
        found = await _unit(source, report, waiting.pop(0), created_by, **params)
        waiting[:0] = found[-1].rest
        done.append(found)
    return done


def _warnings(units: list[list[Rows]]) -> list[TaskWarning]:
    return [warning for unit in units for rows in unit for warning in rows.warnings]


def _rows(units: list[list[Rows]]) -> list[dict[str, Any]]:
    return [row for unit in units for rows in unit for row in rows.batch.to_pylist()]


async def _insert(database: Database, *documents: dict[str, Any]) -> None:
    await database["orders"].insert_many(
        [{"_id": index, "at": START, "n": 1} | item for index, item in enumerate(documents)]
    )


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 3)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 4)


async def test_a_row_has_the_columns_of_the_definition(mongo_database: Database) -> None:
    await _insert(
        mongo_database,
        {"_id": ObjectId("0" * 24), "buyer": {"city": "上海"}, "tags": ["a", 1], "p": 0.5},
        {"_id": ObjectId("1" * 24), "buyer": "walk-in", "p": 2, "at": START + timedelta(hours=1)},
    )
    report = _report(
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
    units = await _all(_source(mongo_database), report)
    found = units[0][0].batch.schema

    assert [list(row.values())[:3] for row in _rows(units)] == [
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
    await _insert(
        mongo_database,
        mine,
        mine | {"who": {"id": ObjectId("0" * 24)}, "at": end - timedelta(milliseconds=1)},
        mine | {"who": {"id": "u2"}},
        mine | {"kind": "refund"},
        mine | {"at": end},
        mine | {"at": START - timedelta(milliseconds=1)},
        mine | {"at": "2026-10-05"},
    )
    report = _report(owner_field="who.id", filter={"kind": "sale"})

    assert [row["id"] for row in _rows(await _all(_source(mongo_database), report, "0" * 24))] == [
        "0",
        "1",
    ]
    assert _rows(await _all(_source(mongo_database), report, "u3")) == []


async def test_only_documents_with_the_values_that_are_asked_for_are_given(
    mongo_database: Database,
) -> None:
    await _insert(
        mongo_database, {"shop": "a"}, {"shop": "b", "n": 7}, {"shop": "c"}, {"shop": "b"}
    )
    params = {"shops": {"field": "shop", "many": True}, "n": {"field": "n", "type": "integer"}}
    report, source = _report(params=params), _source(mongo_database)
    summary = "detail 2026-10-01_2026-11-01 · shops: b, c"

    two = await _all(source, report, shops=["b", "c"])
    assert [row["id"] for row in _rows(two)] == ["1", "2", "3"]
    assert sheet_of(two[0][0].batch.schema).summary == summary
    assert [row["id"] for row in _rows(await _all(source, report, shops="b", n="7"))] == ["1"]
    with pytest.raises(ValidationError, match="is not a text"):
        await _unit(source, report, report.units(OCTOBER)[0], shops=[{"$ne": "b"}])


async def test_a_period_without_documents_gives_the_columns(mongo_database: Database) -> None:
    await _insert(mongo_database, {"at": START - timedelta(days=1)})

    ((found,),) = await _all(_source(mongo_database), _report())

    assert found.batch.num_rows == 0
    assert found.batch.schema.names == ["id", "n"]
    assert found.rest == []


async def test_a_missing_collection_is_named(mongo_database: Database) -> None:
    with pytest.raises(CollectionMissingError, match="no collection 'orders'"):
        await _all(_source(mongo_database), _report())


async def test_columns_can_be_chosen_and_ordered(mongo_database: Database) -> None:
    # A column that was not chosen is not read: `x` would not fit.
    await _insert(mongo_database, {"n": "many"})
    report = _report(columns={"a": "_id", "x": {"field": "n", "type": "integer"}, "b": "at"})

    (row,) = _rows(await _all(_source(mongo_database), report, columns=["b", "a"]))

    assert list(row.items()) == [("b", "2026-10-01T00:00:00.000+00:00"), ("a", "0")]


@pytest.mark.usefixtures("small_units")
async def test_a_large_period_is_divided_into_units_and_no_row_is_lost_or_doubled(
    mongo_database: Database,
) -> None:
    # Unevenly, as in real collections: first seven documents in an instant, later one.
    moments = [0] * 7 + [1] * 5 + [5, 5, 9, 40, 41, 41, 41, 90_000, 90_001, 2_000_000_000]
    numbers = [(index * 37) % len(moments) for index in range(len(moments))]
    await _insert(
        mongo_database,
        *(
            {"_id": number, "n": moment, "at": START + timedelta(milliseconds=moment)}
            for number, moment in sorted(zip(numbers, moments, strict=True))
        ),
    )
    units = await _all(_source(mongo_database), _report())

    assert [(row["n"], int(row["id"])) for row in _rows(units)] == sorted(
        zip(moments, numbers, strict=True)
    )
    assert len(units) > 3


@pytest.mark.usefixtures("small_units")
async def test_units_do_not_overlap_and_have_keys_of_their_own(mongo_database: Database) -> None:
    report = _report()
    await _insert(mongo_database, *({"at": START + timedelta(hours=hour)} for hour in range(300)))
    (whole,) = report.units(OCTOBER)

    (*_, last) = await _unit(_source(mongo_database), report, whole)
    rest = last.rest

    # From the fourth document on, a document an hour and four in a unit: the limit of 64 units.
    assert len(rest) == 64
    assert rest[0].start == whole.start + 3 * 3_600_000
    assert [unit.start for unit in rest[1:]] == [unit.end for unit in rest[:-1]]
    assert rest[-1].end == whole.end
    assert len({unit.key for unit in (whole, *rest)}) == 65
    assert (whole.key, rest[0].key) == ("20261001T000000.000Z", "20261001T030000.000Z")
    assert {unit.limit for unit in rest} == {4}


@pytest.mark.usefixtures("small_units")
async def test_units_grow_so_that_a_huge_export_needs_no_more_than_thousands_of_them(
    mongo_database: Database,
) -> None:
    source, report = _source(mongo_database), _report()
    await _insert(mongo_database, *({"at": START + timedelta(hours=hour)} for hour in range(100)))
    (whole,) = report.units(OCTOBER)
    for limit, of_rest in ((3, 4), (4, 16), (16, 64), (64, 64)):
        unit = whole.model_copy(update={"limit": limit})
        (*_, last) = await _unit(source, report, unit)
        assert {found.limit for found in last.rest} == {of_rest}


@pytest.mark.parametrize("far", [[], [datetime(9000, 1, 1, tzinfo=UTC)]])
async def test_a_period_without_end_needs_hardly_more_units_than_the_one_that_has_the_rows(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch, far: list[datetime]
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 25)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 50)
    source, report = _source(mongo_database), _report()
    await _insert(
        mongo_database,
        *({"at": START + timedelta(days=day)} for day in range(500)),
        *({"at": moment} for moment in far),
    )
    exact = await _all(source, report, to="2028-02-13")
    open_ended = await _all(source, report, **{"from": "1970-01-01", "to": "9999-01-01"})

    assert _rows(open_ended)[:500] == _rows(exact)
    assert len(_rows(open_ended)) == 500 + len(far)
    # It may need fewer, because what is divided once more is divided into larger units.
    assert len(exact) >= 10
    assert 5 <= len(open_ended) <= len(exact) + 3


async def test_a_damaged_document_that_is_not_in_the_report_does_not_stop_a_period_without_end(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 10)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 20)
    dates = [START + timedelta(days=day) for day in (1, 40_000)]
    await _insert(
        mongo_database,
        *({"at": START + timedelta(hours=hour), "uid": "u1"} for hour in range(300)),
        {"at": dates, "uid": "u2"},
    )
    found = await _all(_source(mongo_database), _report(owner_field="uid"), to="9999-01-01")

    assert [row["id"] for row in _rows(found)] == [str(number) for number in range(300)]


async def test_rows_that_are_inserted_after_the_last_one_are_found(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 10)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 20)
    source, report = _source(mongo_database), _report()
    await _insert(mongo_database, *({"at": START + timedelta(hours=hour)} for hour in range(300)))
    whole = {"from": "1970-01-01", "to": "9999-01-01"}
    (unit,) = report.units(report.check_params(whole))
    first = await _unit(source, report, unit, **whole)
    await mongo_database["orders"].insert_one({"_id": 300, "at": START + timedelta(days=9999)})
    others = await _with_rest(source, report, first[-1].rest, **whole)

    assert [row["id"] for row in _rows([first, *others])] == [str(number) for number in range(301)]


async def test_a_small_export_is_one_unit(mongo_database: Database) -> None:
    await _insert(mongo_database, {}, {})

    assert len(await _all(_source(mongo_database), _report())) == 1


@pytest.mark.usefixtures("small_units")
async def test_documents_that_are_inserted_after_the_start_are_left_out_of_all_units(
    mongo_database: Database,
) -> None:
    def documents() -> list[dict[str, Any]]:
        return [
            {"_id": ObjectId(), "at": START + timedelta(hours=hour), "n": hour} for hour in range(6)
        ]

    source, report = _source(mongo_database), _report()
    await mongo_database["orders"].insert_many(documents())
    first = await _unit(source, report, report.units(OCTOBER)[0])
    await mongo_database["orders"].insert_many(documents())
    others = [await _unit(source, report, unit) for unit in first[-1].rest]

    assert [row["n"] for row in _rows([first, *others])] == list(range(6))


@pytest.mark.usefixtures("small_units")
async def test_documents_whose_id_is_not_an_object_id_are_all_exported(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {"_id": "a"}, {"_id": 7}, {"_id": ObjectId()}, {"_id": {"x": 1}})

    units = await _all(_source(mongo_database), _report())

    assert len(_rows(units)) == 4


def _object_id(index: int) -> ObjectId:
    return ObjectId(f"{index:024x}")


@pytest.mark.parametrize(
    ("rows", "ids", "table", "column"),
    [
        (9, int, {}, "_id"),
        (9, int, {"collection": "seen"}, "a view"),
        (9, int, {"consistency": "snapshot"}, None),
        (9, _object_id, {}, None),
        (3, int, {}, None),  # one query reads them all
    ],
)
@pytest.mark.usefixtures("small_units")
async def test_a_person_is_told_that_rows_were_inserted_between_the_units_of_an_export(
    mongo_database: Database,
    rows: int,
    ids: Callable[[int], object],
    table: dict[str, str],
    column: str | None,
) -> None:
    await _insert(
        mongo_database,
        *({"_id": ids(hour), "at": START + timedelta(hours=hour)} for hour in range(rows)),
    )
    await mongo_database.command({"create": "seen", "viewOn": "orders", "pipeline": []})
    units = await _all(_source(mongo_database), _report(**table))
    assert len(_rows(units)) == rows
    assert {(item.code, item.column) for item in _warnings(units)} == (
        {(NOT_FROZEN, column)} if column else set()
    )
    assert sum(item.count for item in _warnings(units)) == (len(units) - 1 if column else 0)


@pytest.mark.parametrize(
    ("on_mismatch", "code", "value"),
    [("text", MISMATCH_TEXT, "1.5"), ("null", MISMATCH_NULL, None)],
)
@pytest.mark.usefixtures("small_units")
async def test_values_that_were_replaced_are_counted_once_however_the_period_was_divided(
    mongo_database: Database, on_mismatch: str, code: str, value: object
) -> None:
    # The first unit reads the fourth document to see that there are more, and leaves it to the
    # next unit.
    await _insert(
        mongo_database,
        *({"at": START + timedelta(hours=hour), "n": 1.5} for hour in range(4)),
    )
    report = _report(on_mismatch=on_mismatch)
    units = await _all(_source(mongo_database), report)

    counts = [warning for warning in _warnings(units) if warning.code != NOT_FROZEN]
    assert {warning.code for warning in counts} == {code}
    assert sum(warning.count for warning in counts) == 4
    assert counts[0] == TaskWarning(code=code, column="n", count=3)
    assert [row["n"] for row in _rows(units)] == [value] * 4


@pytest.mark.usefixtures("small_units")
async def test_values_that_were_replaced_in_an_instant_with_many_rows_are_counted_once(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, *({"n": 1.5} for _ in range(6)))
    units = await _all(_source(mongo_database), _report(on_mismatch="null"))

    counts = [item.count for item in _warnings(units) if item.code != NOT_FROZEN]
    assert counts == [6]


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("batches", range(5))
async def test_a_cursor_that_breaks_is_gone_on_with_and_no_row_or_warning_is_lost_or_doubled(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 8)
    monkeypatch.setattr("exports.source.database.ROWS_PER_BATCH", 2)
    monkeypatch.setattr("exports.runtime.outages.SHORTEST_WAIT", 0)
    monkeypatch.setattr("exports.runtime.outages.FIRST_WAIT", 0)
    raw_batches, queries = Source.raw_batches, itertools.count()
    asked: list[dict[str, Any]] = []

    async def breaks(self: Source, collection: str, query: RowQuery) -> AsyncGenerator[bytes]:
        asked.append(query.filter)
        left = batches if next(queries) % 2 == 0 else 1000
        async with aclosing(raw_batches(self, collection, query)) as found:
            async for batch in found:
                if left == 0:
                    raise PASSING.source.to_error(what="code 43", where="orders")
                yield batch
                left -= 1

    monkeypatch.setattr(Source, "raw_batches", breaks)
    moments = [0] * 3 + [1] * 5 + [5, 5, 9, 40, 41, 41, 41, 90_000, 90_001, 2_000_000_000]
    await _insert(
        mongo_database,
        *({"at": START + timedelta(milliseconds=at), "n": 1.5} for at in moments),
    )
    with Patience(60).in_use():
        units = await _all(_source(mongo_database), _report(on_mismatch="null"))
    assert [int(row["id"]) for row in _rows(units)] == list(range(len(moments)))
    counts = [item.count for item in _warnings(units) if item.code != NOT_FROZEN]
    assert sum(counts) == len(moments)
    if batches == 4:  # what was read before is not read again
        assert asked[0] != asked[1]


async def test_a_value_of_another_type_fails_the_export_unless_the_report_says_otherwise(
    mongo_database: Database,
) -> None:
    await _insert(mongo_database, {"n": "secret"})

    with pytest.raises(MismatchError, match="column 'n' has the type integer") as raised:
        await _all(_source(mongo_database), _report())
    assert "secret" not in raised.value.msg


@pytest.mark.parametrize("on_mismatch", ["fail", "text", "null"])
@pytest.mark.parametrize("time_field", ["at", "visits.at"])
@pytest.mark.usefixtures("small_units")
async def test_a_document_with_several_dates_fails_the_export_and_the_field_is_named(
    mongo_database: Database, on_mismatch: str, time_field: str
) -> None:
    # A query for a day finds it if one of its dates is before and another is after that day.
    dates = [START - timedelta(days=1), START + timedelta(days=40)]
    await _insert(
        mongo_database,
        *(
            {"at": moment, "visits": {"at": moment}}
            for moment in (START + timedelta(hours=hour) for hour in range(9))
        ),
        {"_id": "secret", "at": dates, "visits": [{"at": moment} for moment in dates]},
    )
    report = _report(on_mismatch=on_mismatch, time_field=time_field)

    with pytest.raises(MismatchError) as raised:
        await _all(_source(mongo_database), report)

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
    await _insert(mongo_database, *({"n": 1} for _ in range(12)))
    forwards = _rows(await _all(source, _report()))
    source.backwards = True

    assert _rows(await _all(source, _report())) == forwards
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
        _report().check_params(params)

    assert reason in raised.value.msg
    assert "secret" not in raised.value.msg


def test_columns_may_come_from_json_or_a_command_line() -> None:
    report = _report()

    assert report.check_params({**OCTOBER, "columns": "n,id"}) == {
        **OCTOBER,
        "columns": ["n", "id"],
    }
    assert report.check_params(OCTOBER) == OCTOBER
    assert report.check_params({**OCTOBER, "columns": None}) == OCTOBER


def test_days_begin_at_midnight_in_the_time_zone_of_the_report() -> None:
    (unit,) = _report(timezone="Asia/Shanghai").units(OCTOBER)

    assert from_epoch_ms(unit.start) == START - timedelta(hours=8)
    assert unit.end - unit.start == 31 * 86_400_000


async def test_decimals_are_exact(mongo_database: Database) -> None:
    await _insert(mongo_database, {"n": Decimal128("0.10")}, {"n": Decimal128("-0.30")}, {"n": 7})
    report = _report(columns={"amount": {"field": "n", "type": "decimal"}})

    found = [str(row["amount"]) for row in _rows(await _all(_source(mongo_database), report))]

    assert found == ["0.10", "-0.30", "7.00"]

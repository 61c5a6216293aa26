"""However a period is divided, its rows and their warnings are all there, and each once."""

import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from exports.reports.rows import reading
from exports.runtime.outages import Patience
from exports.server_errors.mongo import PASSING
from exports.source.database import RowQuery, Source
from exports.tables.warnings import MISMATCH_NULL, MISMATCH_TEXT, NOT_FROZEN, TaskWarning
from tests.support.row_reports import (
    OCTOBER,
    START,
    Database,
    insert,
    read_all,
    read_unit,
    read_with_rest,
    row_report,
    rows_of,
    source_of,
    warnings_of,
)


@pytest.mark.usefixtures("small_units")
async def test_a_large_period_is_divided_into_units_and_no_row_is_lost_or_doubled(
    mongo_database: Database,
) -> None:
    # Unevenly, as in real collections: first seven documents in an instant, later one.
    moments = [0] * 7 + [1] * 5 + [5, 5, 9, 40, 41, 41, 41, 90_000, 90_001, 2_000_000_000]
    numbers = [(index * 37) % len(moments) for index in range(len(moments))]
    await insert(
        mongo_database,
        *(
            {"_id": number, "n": moment, "at": START + timedelta(milliseconds=moment)}
            for number, moment in sorted(zip(numbers, moments, strict=True))
        ),
    )
    units = await read_all(source_of(mongo_database), row_report())

    assert [(row["n"], int(row["id"])) for row in rows_of(units)] == sorted(
        zip(moments, numbers, strict=True)
    )
    assert len(units) > 3


@pytest.mark.usefixtures("small_units")
async def test_units_do_not_overlap_and_have_keys_of_their_own(mongo_database: Database) -> None:
    report = row_report()
    await insert(mongo_database, *({"at": START + timedelta(hours=hour)} for hour in range(300)))
    (whole,) = report.units(OCTOBER)

    (*_, last) = await read_unit(source_of(mongo_database), report, whole)
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
    source, report = source_of(mongo_database), row_report()
    await insert(mongo_database, *({"at": START + timedelta(hours=hour)} for hour in range(100)))
    (whole,) = report.units(OCTOBER)
    for limit, of_rest in ((3, 4), (4, 16), (16, 64), (64, 64)):
        unit = whole.model_copy(update={"limit": limit})
        (*_, last) = await read_unit(source, report, unit)
        assert {found.limit for found in last.rest} == {of_rest}


@pytest.mark.parametrize("far", [[], [datetime(9000, 1, 1, tzinfo=UTC)]])
async def test_a_period_without_end_needs_hardly_more_units_than_the_one_that_has_the_rows(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch, far: list[datetime]
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 25)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 50)
    source, report = source_of(mongo_database), row_report()
    await insert(
        mongo_database,
        *({"at": START + timedelta(days=day)} for day in range(500)),
        *({"at": moment} for moment in far),
    )
    exact = await read_all(source, report, to="2028-02-13")
    open_ended = await read_all(source, report, **{"from": "1970-01-01", "to": "9999-01-01"})

    assert rows_of(open_ended)[:500] == rows_of(exact)
    assert len(rows_of(open_ended)) == 500 + len(far)
    # It may need fewer, because what is divided once more is divided into larger units.
    assert len(exact) >= 10
    assert 5 <= len(open_ended) <= len(exact) + 3


async def test_a_damaged_document_that_is_not_in_the_report_does_not_stop_a_period_without_end(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 10)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 20)
    dates = [START + timedelta(days=day) for day in (1, 40_000)]
    await insert(
        mongo_database,
        *({"at": START + timedelta(hours=hour), "uid": "u1"} for hour in range(300)),
        {"at": dates, "uid": "u2"},
    )
    found = await read_all(
        source_of(mongo_database), row_report(owner_field="uid"), to="9999-01-01"
    )

    assert [row["id"] for row in rows_of(found)] == [str(number) for number in range(300)]


async def test_rows_that_are_inserted_after_the_last_one_are_found(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_TO_LEARN_FROM", 10)
    monkeypatch.setattr(reading, "ROWS_PER_UNIT", 20)
    source, report = source_of(mongo_database), row_report()
    await insert(mongo_database, *({"at": START + timedelta(hours=hour)} for hour in range(300)))
    whole = {"from": "1970-01-01", "to": "9999-01-01"}
    (unit,) = report.units(report.check_params(whole))
    first = await read_unit(source, report, unit, **whole)
    await mongo_database["orders"].insert_one({"_id": 300, "at": START + timedelta(days=9999)})
    others = await read_with_rest(source, report, first[-1].rest, **whole)

    assert [row["id"] for row in rows_of([first, *others])] == [
        str(number) for number in range(301)
    ]


async def test_a_small_export_is_one_unit(mongo_database: Database) -> None:
    await insert(mongo_database, {}, {})

    assert len(await read_all(source_of(mongo_database), row_report())) == 1


@pytest.mark.usefixtures("small_units")
async def test_documents_that_are_inserted_after_the_start_are_left_out_of_all_units(
    mongo_database: Database,
) -> None:
    def documents() -> list[dict[str, Any]]:
        return [
            {"_id": ObjectId(), "at": START + timedelta(hours=hour), "n": hour} for hour in range(6)
        ]

    source, report = source_of(mongo_database), row_report()
    await mongo_database["orders"].insert_many(documents())
    first = await read_unit(source, report, report.units(OCTOBER)[0])
    await mongo_database["orders"].insert_many(documents())
    others = [await read_unit(source, report, unit) for unit in first[-1].rest]

    assert [row["n"] for row in rows_of([first, *others])] == list(range(6))


@pytest.mark.usefixtures("small_units")
async def test_documents_whose_id_is_not_an_object_id_are_all_exported(
    mongo_database: Database,
) -> None:
    await insert(mongo_database, {"_id": "a"}, {"_id": 7}, {"_id": ObjectId()}, {"_id": {"x": 1}})

    units = await read_all(source_of(mongo_database), row_report())

    assert len(rows_of(units)) == 4


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
    await insert(
        mongo_database,
        *({"_id": ids(hour), "at": START + timedelta(hours=hour)} for hour in range(rows)),
    )
    await mongo_database.command({"create": "seen", "viewOn": "orders", "pipeline": []})
    units = await read_all(source_of(mongo_database), row_report(**table))
    assert len(rows_of(units)) == rows
    assert {(item.code, item.column) for item in warnings_of(units)} == (
        {(NOT_FROZEN, column)} if column else set()
    )
    assert sum(item.count for item in warnings_of(units)) == (len(units) - 1 if column else 0)


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
    await insert(
        mongo_database,
        *({"at": START + timedelta(hours=hour), "n": 1.5} for hour in range(4)),
    )
    report = row_report(on_mismatch=on_mismatch)
    units = await read_all(source_of(mongo_database), report)

    counts = [warning for warning in warnings_of(units) if warning.code != NOT_FROZEN]
    assert {warning.code for warning in counts} == {code}
    assert sum(warning.count for warning in counts) == 4
    assert counts[0] == TaskWarning(code=code, column="n", count=3)
    assert [row["n"] for row in rows_of(units)] == [value] * 4


@pytest.mark.usefixtures("small_units")
async def test_values_that_were_replaced_in_an_instant_with_many_rows_are_counted_once(
    mongo_database: Database,
) -> None:
    await insert(mongo_database, *({"n": 1.5} for _ in range(6)))
    units = await read_all(source_of(mongo_database), row_report(on_mismatch="null"))

    counts = [item.count for item in warnings_of(units) if item.code != NOT_FROZEN]
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
    await insert(
        mongo_database,
        *({"at": START + timedelta(milliseconds=at), "n": 1.5} for at in moments),
    )
    with Patience(60).in_use():
        units = await read_all(source_of(mongo_database), row_report(on_mismatch="null"))
    assert [int(row["id"]) for row in rows_of(units)] == list(range(len(moments)))
    counts = [item.count for item in warnings_of(units) if item.code != NOT_FROZEN]
    assert sum(counts) == len(moments)
    if batches == 4:  # what was read before is not read again
        assert asked[0] != asked[1]

"""What `make load` promises to people who try the service with their own data."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import Collection

from dev import load, orders
from dev.endpoints import Endpoints
from exports.errors import RequestError
from tests.support.paths import DATA

SALES = """\
[reports.sales]
collection = "orders"
time_field = "createdAt"
period = "month"
timezone = "Asia/Shanghai"
owner_field = "uid"
filter = { kind = "1" }
measures.amount = { op = "sum", field = "amount" }
[reports.rows]
kind = "rows"
collection = "orders"
time_field = "createdAt"
[reports.rows.columns]
order = { field = "_id", type = "id" }
quantity = { field = "quantity", type = "integer" }
weight = { field = "weight", type = "number" }
price = { field = "price", type = "decimal" }
paid = { field = "paid", type = "boolean" }
born = { field = "buyer.born", type = "date" }
city = "buyer.city"
tags = { field = "tags", type = "json" }
"""
COLUMNS = "_id,createdAt,uid,kind,amount,quantity,weight,price,paid,buyer.born,buyer.city,tags"
ID = "65a000000000000000000001"
LINE = f'{ID},2026-10-31T08:00:00,007,1,12.50,3,1e2,9.90,true,1990-02-01,"上海, 浦东","[1, ""a""]"'


@pytest.fixture
def collection(
    endpoints: Endpoints, mongo_database: AsyncDatabase[dict[str, Any]]
) -> Iterator[Collection[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](endpoints.mongo_uri, tz_aware=True) as client:
        yield client[mongo_database.name]["orders"]


@pytest.fixture
def untouched() -> Iterator[Collection[dict[str, Any]]]:
    """A collection of a server that does not exist: what a check does not need."""
    with MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1", connect=False) as client:
        yield client["shop"]["orders"]


def loading(
    file: Path,
    collection: Collection[dict[str, Any]],
    reports: str = "",
    time_format: str | None = None,
) -> load.Loading:
    definitions = {}
    if reports:
        toml = file.with_name("reports.toml")
        toml.write_text(reports, encoding="utf-8")
        definitions = load.definitions(toml)
    return load.Loading(file, collection, definitions, time_format)


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_values_have_the_types_that_the_reports_need(
    tmp_path: Path, collection: Collection[dict[str, Any]]
) -> None:
    one = loading(written(tmp_path / "o.csv", COLUMNS, LINE), collection, SALES)
    one.check()
    assert one.load() == 1
    assert collection.find_one() == {
        "_id": ObjectId(ID),
        "createdAt": datetime(2026, 10, 31, tzinfo=UTC),  # 08:00 in Shanghai
        "uid": "007",
        "kind": "1",
        "amount": Decimal128("12.50"),
        "quantity": 3,
        "weight": 100.0,
        "price": Decimal128("9.90"),
        "paid": True,
        "buyer": {"born": datetime(1990, 1, 31, 16, tzinfo=UTC), "city": "上海, 浦东"},
        "tags": [1, "a"],
    }
    assert "createdAt_1" in collection.index_information()
    assert one.types.fields["price"].chosen_by == "report rows"
    assert one.types.fields["amount"].chosen_by == "report sales"


@pytest.mark.parametrize(
    ("values", "guessed", "stored"),
    [
        (["1", "-20", "", "3"], "integer", [1, -20, 3]),
        (["1", "2.50"], "decimal", [Decimal128("1"), Decimal128("2.50")]),
        (["1", "x"], "text", ["1", "x"]),
        (["01234", "5"], "text", ["01234", "5"]),
        (["+49301234567"], "text", ["+49301234567"]),
        (["true", "False"], "boolean", [True, False]),
        ([ID], "objectId", [ObjectId(ID)]),
        (
            ["2026-10-31", "2026-10-31T15:04:05+08:00", "2026-10-31T07:04:05.123Z"],
            "datetime",
            [
                datetime(2026, 10, 31, tzinfo=UTC),
                datetime(2026, 10, 31, 7, 4, 5, tzinfo=UTC),
                datetime(2026, 10, 31, 7, 4, 5, 123_000, tzinfo=UTC),
            ],
        ),
    ],
)
def test_a_field_that_no_report_reads_has_the_first_type_that_fits_all_values(
    tmp_path: Path,
    collection: Collection[dict[str, Any]],
    values: list[str],
    guessed: str,
    stored: list[object],
) -> None:
    lines = [f'{number},"{value}"' for number, value in enumerate(values)]
    one = loading(written(tmp_path / "o.csv", "_id,field", *lines), collection)
    one.check()
    assert one.types.fields["field"].type == guessed
    one.load()
    found = list(collection.find({}, sort=[("_id", 1)]))
    assert len(found) == len(values)
    assert [row["field"] for row in found if "field" in row] == stored
    assert ("field_1" in collection.index_information()) == (guessed == "datetime")


def test_json_lines_keep_the_types_of_extended_json(
    tmp_path: Path, collection: Collection[dict[str, Any]]
) -> None:
    file = tmp_path / "o.jsonl.gz"
    lines = [
        f'{{"_id": {{"$oid": "{ID}"}}, "at": {{"$date": "2026-10-31T00:00:00Z"}}, "n": 5000000}}',
        '{"_id": 2, "buyer": {"city": "上海", "none": null}, "tags": [{"a": 1.5}], "empty": {}}',
    ]
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    one = loading(file, collection)
    one.check()
    assert one.load() == 2
    first, second = sorted(collection.find(), key=lambda found: "n" not in found)
    assert first == {
        "_id": ObjectId(ID),
        "at": datetime(2026, 10, 31, tzinfo=UTC),
        "n": 5_000_000,
    }
    assert second == {"_id": 2, "buyer": {"city": "上海"}, "tags": [{"a": 1.5}], "empty": {}}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_may_have_commas_semicolons_or_tabs(
    tmp_path: Path, collection: Collection[dict[str, Any]], delimiter: str
) -> None:
    lines = [delimiter.join(cells) for cells in (["\ufeffa", "b"], ["1", '"x,;\ty"'])]
    one = loading(written(tmp_path / "o.csv", *lines), collection)
    one.check()
    one.load()
    assert collection.find_one({}, {"_id": False}) == {"a": 1, "b": "x,;\ty"}


def test_rows_that_cannot_be_loaded_are_named_by_their_lines(
    tmp_path: Path, untouched: Collection[dict[str, Any]]
) -> None:
    good = "2026-10-31,1,u1,1.5"
    file = written(
        tmp_path / "o.csv",
        "createdAt,kind,uid,amount",
        good,
        '2026-10-31,1,"u\n1",1.5',
        "2026-10-31,1",
        "31.10.2026,1,u1,1.5",
        *["2026-10-31,1,u1,secret"] * 7,
        '2026-10-31,1,"u1,1.5',
    )
    reports = SALES.partition("[reports.rows]")[0]
    with pytest.raises(RequestError) as refused:
        loading(file, untouched, reports).check()
    assert refused.value.msg.splitlines() == [
        "o.csv cannot be loaded. Nothing was loaded.",
        "line 5: has 2 cells; the heading has 4.",
        (
            "line 6: createdAt is not a time such as 2026-10-31T15:04:05+08:00; for other times, "
            "give their format, for example TIME_FORMAT=%d/%m/%Y."
        ),
        "lines 7, 8, 9, 10, 11 and 2 more: amount is not a number.",
        "line 14: is not valid csv (unexpected end of data).",
    ]


def test_times_may_have_a_format_of_their_own(
    tmp_path: Path, untouched: Collection[dict[str, Any]]
) -> None:
    file = written(tmp_path / "o.csv", "at", "31/10/2026")
    one = loading(file, untouched, time_format="%d/%m/%Y")
    one.check()
    assert one.types.fields["at"].type == "datetime"


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("o.csv", [], "o.csv has no rows."),
        ("o.csv", ["a,b"], "o.csv has no rows."),
        ("o.csv", ["12,2026-10-31", "13,2026-11-01"], "but column 1 is a value, not a name."),
        ("o.csv", ["a,,c", "1,2,3"], "but column 2 has an empty part"),
        ("o.csv", ["a,$b", "1,2"], "but column 2 has a `$`"),
        ("o.csv", ["a,a", "1,2"], "but the name a occurs twice."),
        ("o.csv", ["a,a.b", "1,2"], "but a is a column, and also the document of another column."),
        ("o.jsonl", ['{"a": 1}', "{"], "line 2: is not valid JSON."),
        ("o.jsonl", ["[1]"], "line 1: is not a JSON object; each line must contain one object."),
        ("o.jsonl", ['{"a": {"$oid": "x"}}'], "line 1: is not valid JSON."),
        ("o.csv.gz", ["a", "1"], "o.csv.gz is not a complete gzip file."),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused(
    tmp_path: Path,
    untouched: Collection[dict[str, Any]],
    name: str,
    lines: list[str],
    said: str,
) -> None:
    with pytest.raises(RequestError) as refused:
        loading(written(tmp_path / name, *lines), untouched).check()
    assert said in refused.value.msg


def test_a_file_that_is_not_utf8_is_refused_with_its_line(
    tmp_path: Path, untouched: Collection[dict[str, Any]]
) -> None:
    file = tmp_path / "o.csv"
    file.write_bytes("a\nx\nä\n".encode("latin-1"))
    with pytest.raises(RequestError, match="line 3: is not UTF-8; save the file as UTF-8"):
        loading(file, untouched).check()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("o.csv", ["createdOn,kind,uid,amount", "2026-10-31,1,u1,1.5"]),
        ("o.jsonl", ['{"createdOn": "2026-10-31", "amount": 1.5}']),
    ],
)
def test_a_file_without_the_field_that_a_report_reads_is_refused(
    tmp_path: Path, untouched: Collection[dict[str, Any]], name: str, lines: list[str]
) -> None:
    reports = SALES.partition("[reports.rows]")[0]
    with pytest.raises(RequestError) as refused:
        loading(written(tmp_path / name, *lines), untouched, reports).check()
    assert f"{name} has no field createdAt (read by report sales)" in refused.value.msg
    assert "It has: createdOn" in refused.value.msg


def test_a_load_that_the_database_refuses_leaves_what_was_there(
    tmp_path: Path, collection: Collection[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_BATCH", 2)
    collection.insert_one({"_id": "before"})
    one = loading(written(tmp_path / "o.csv", "_id", "a", "b", "c", "a"), collection)
    one.check()
    with pytest.raises(RequestError, match="line 5: its _id is that of another row"):
        one.load()
    assert list(collection.find()) == [{"_id": "before"}]
    assert collection.database.list_collection_names() == ["orders"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["", "orders"], 2, "E_REQUEST: FILE and COLLECTION are required: make load FILE="),
        (["orders.csv", ""], 2, "E_REQUEST: FILE and COLLECTION are required: make load FILE="),
        (["orders.xlsx", "orders"], 2, "E_REQUEST: orders.xlsx must end with .csv, .jsonl or"),
        (["orders.csv", "orders"], 2, "E_REQUEST: There is no file orders.csv."),
        (
            [str(DATA / "uber-daily-2015.csv"), "trips"],
            3,
            "E_UNREACHABLE: `make dev` is not running. Start it in another shell",
        ),
    ],
)
def test_a_command_that_cannot_work_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert load.main(["--data-dir", str(tmp_path), *arguments]) == code
    assert capsys.readouterr().err.startswith(said)


async def test_sample_orders_are_not_mixed_with_data_of_ones_own(
    mongo_database: AsyncDatabase[dict[str, Any]],
) -> None:
    await mongo_database["orders"].insert_one({"_id": "mine"})
    assert await orders.load(mongo_database) == 0
    assert await mongo_database["orders"].count_documents({}) == 1

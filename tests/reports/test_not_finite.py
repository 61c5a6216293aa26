"""A figure that is not a number, or infinite, is shown as what it is, and no total hides it."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from bson import Decimal128

from exports.models import TaskStatus
from exports.settings import Settings
from exports.tables.warnings import NOT_FINITE, TaskWarning
from tests.support.parquet_files import parquet_table
from tests.support.service import downloaded, open_service, working
from tests.support.stats_reports import (
    OCTOBER,
    Database,
    insert_orders,
    make_report,
    read_rows,
    read_warnings,
)
from tests.support.workbooks import cells, opened

NAN, INFINITY = float("nan"), float("inf")
OPS = ("sum", "min", "max", "avg")
MEASURES: dict[str, object] = {op: {"op": op, "field": "a"} for op in OPS}
TABLE = """
[reports.figures]
collection = "orders"
time_field = "at"
period = "year"
group_by = { c = "c" }

[reports.figures.measures]
n = { op = "count" }
""" + "".join(f'{op} = {{ op = "{op}", field = "a" }}\n' for op in OPS)


@pytest.mark.parametrize("nan", [NAN, Decimal128("NaN")], ids=["double", "decimal"])
@pytest.mark.parametrize("distinct", [[], ["u"], ["u", "a"]], ids=["0", "1", "2"])
async def test_every_figure_over_a_nan_is_nan_and_the_others_are_not_changed(
    mongo_database: Database, nan: object, distinct: list[str]
) -> None:
    await insert_orders(
        mongo_database, {"c": 1, "a": 10.0}, {"c": 2, "a": 20.0}, {"c": 2, "a": nan}, {"c": 3}
    )
    counts = {f"d{field}": {"op": "count_distinct", "field": field} for field in distinct}
    report = make_report(group_by={"c": "c"}, measures=MEASURES | counts)

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [[row[op] for op in OPS] for row in rows] == [
        [10.0, 10.0, 10.0, 10.0],
        [pytest.approx(NAN, nan_ok=True)] * 4,
        [0, None, None, None],
    ]


@pytest.mark.parametrize("kind", [float, Decimal128], ids=["double", "decimal"])
async def test_infinities_are_shown(mongo_database: Database, kind: type) -> None:
    await insert_orders(
        mongo_database,
        *({"c": 1, "a": kind(text)} for text in ("1.5", "Infinity")),
        *({"c": 2, "a": kind(text)} for text in ("1.5", "-Infinity")),
    )
    report = make_report(group_by={"c": "c"}, measures=MEASURES)

    rows = await read_rows(mongo_database, report, OCTOBER)

    assert [[row[op] for op in OPS] for row in rows] == [
        [INFINITY, 1.5, INFINITY, INFINITY],
        [-INFINITY, -INFINITY, 1.5, -INFINITY],
    ]


async def test_the_average_of_huge_numbers_is_not_shown_as_infinite(
    mongo_database: Database,
) -> None:
    await insert_orders(mongo_database, {"a": Decimal128("1E+6000")})
    report = make_report(period="year", measures=MEASURES)

    rows = await read_rows(mongo_database, report, {"year": 2026})

    assert Decimal(rows[9]["avg"]) == Decimal("1E+6000")


async def test_a_figure_that_is_not_finite_is_counted_for_its_column(
    mongo_database: Database,
) -> None:
    await insert_orders(
        mongo_database,
        {"c": 1, "a": NAN, "b": 1},
        {"c": 1, "a": NAN, "b": 1},
        {"c": 2, "a": INFINITY, "b": NAN},
        {"c": NAN, "a": 1, "b": 1},
    )
    report = make_report(
        group_by={"c": "c"},
        measures={"a": {"op": "sum", "field": "a"}, "b": {"op": "avg", "field": "b"}},
    )

    every = await read_warnings(mongo_database, report, OCTOBER)
    chosen = await read_warnings(mongo_database, report, OCTOBER | {"columns": "day,b"})

    assert every == [
        TaskWarning(code=NOT_FINITE, column="a", count=2),
        TaskWarning(code=NOT_FINITE, column="b", count=1),
    ]
    assert chosen == every[1:]


def _whole(text: str) -> int:
    return int(float(text))


@pytest.mark.parametrize(
    ("amount", "nan"),
    [(float, NAN), (_whole, NAN), (Decimal128, NAN), (Decimal128, Decimal128("NaN"))],
    ids=["doubles", "integers", "decimals and a double", "decimals"],
)
@pytest.mark.parametrize("months", [(10, 10, 10), (9, 10, 11)], ids=["one month", "three months"])
async def test_no_total_is_a_number_if_one_of_its_figures_is_none(
    settings: Settings,
    temporal_address: str,
    tmp_path: Path,
    amount: Callable[[str], object],
    nan: object,
    months: tuple[int, int, int],
) -> None:
    reports = tmp_path / "reports.toml"
    reports.write_text(TABLE, encoding="utf-8")
    values = [amount("10.0"), amount("20.0"), nan, amount("5.0")]
    first, second, third = months
    moments = [datetime(2026, month, 5, tzinfo=UTC) for month in (first, second, second, third)]
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        await service.database["orders"].insert_many(
            [
                {"at": at, "c": c, "a": value}
                for at, c, value in zip(moments, "abbc", values, strict=True)
            ]
        )
        task = await service.exported("figures", params={"year": 2026}, format="xlsx")
    assert task.status is TaskStatus.DONE, task.error
    data = downloaded(task.download_url)
    assert [row[2:] for row in cells(data)[1:]] == [
        [1, 10, 10, 10, 10],
        [2, "NaN", "NaN", "NaN", "NaN"],
        [1, 5, 5, 5, 5],
        [4, "NaN", "NaN", "NaN", None],
    ]
    assert task.warnings == [TaskWarning(code=NOT_FINITE, column=op, count=1) for op in sorted(OPS)]
    # A chart would draw a text as zero.
    drawn = [row[1:] for row in opened(data).worksheets[1].iter_rows(min_row=5, values_only=True)]
    assert None in [figure for _, figure in drawn]
    assert "NaN" not in [figure for _, figure in drawn]


async def test_every_format_shows_what_the_export_of_rows_shows(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    reports = tmp_path / "reports.toml"
    reports.write_text(
        TABLE
        + '[reports.rows]\nkind = "rows"\ncollection = "orders"\ntime_field = "at"\n'
        + 'columns.sum = { field = "a", type = "number" }\n',
        encoding="utf-8",
    )
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        await service.database["orders"].insert_many(
            [
                {"at": datetime(2026, 10, day, tzinfo=UTC), "c": day, "a": value}
                for day, value in enumerate([NAN, INFINITY, -INFINITY, 1.5], start=1)
            ]
        )
        for name in ("csv", "ndjson", "xlsx", "parquet"):
            figures = await service.exported("figures", params={"year": 2026}, format=name)
            rows = await service.exported(
                "rows", params={"from": "2026-10-01", "to": "2026-11-01"}, format=name
            )
            shown, expected = (
                _sums(name, downloaded(task.download_url)) for task in (figures, rows)
            )
            assert shown[:4] == expected
            assert expected[:3] == ["NaN", "Infinity", "-Infinity"]


def _sums(name: str, data: bytes) -> list[str]:
    match name:
        case "csv":
            rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
            return [row["sum"] for row in rows]
        case "ndjson":
            return [str(json.loads(line)["sum"]) for line in data.splitlines()]
        case "xlsx":
            heading, *found = cells(data)
            return [str(row[heading.index("sum")]) for row in found]
        case _:
            words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
            values = parquet_table(data).column("sum").to_pylist()
            return [words.get(str(value), str(value)) for value in values]

"""A client can choose which columns of a statistics report it gets."""

import io
from datetime import date
from typing import Any

import openpyxl
import pytest

from exports.errors import ParamsError
from exports.tables.columns import columns_of, sheet_of
from tests.support.service import MONTH, Service, downloaded
from tests.support.service import insert_orders as insert_sample_orders
from tests.support.stats_reports import OCTOBER, Database, insert_orders, make_report, read_batches

MEASURES: dict[str, object] = {
    "n": {"op": "count"},
    "total": {"op": "sum", "field": "a"},
}


async def test_columns_are_chosen_and_ordered(mongo_database: Database) -> None:
    await insert_orders(mongo_database, {"a": 3, "c": "x"}, {"a": 4, "c": "y"})
    report = make_report(measures=MEASURES, group_by={"category": "c"})
    chosen = OCTOBER | {"columns": ["total", "day"]}
    ((batch,),) = await read_batches(mongo_database, report, chosen)

    # The rows are still one per day and category.
    assert batch.to_pylist() == [
        {"total": 3, "day": date(2026, 10, 5)},
        {"total": 4, "day": date(2026, 10, 5)},
    ]
    assert [column.role for column in columns_of(batch.schema)] == ["measure", "period"]
    assert sheet_of(batch.schema).grouped


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("total,$where", "There is no column of that name; use some of: day, n, total."),
        (["month"], "There is no column of that name; use some of: day, n, total."),
        (["n", "n"], "columns: names a column twice"),
        ([], "columns: is not a list of column names"),
    ],
)
def test_a_wrong_choice_is_refused_with_what_would_be_right(columns: object, reason: str) -> None:
    with pytest.raises(ParamsError) as raised:
        make_report(measures=MEASURES).check_params(OCTOBER | {"columns": columns})

    assert reason in raised.value.msg


@pytest.mark.parametrize(
    ("columns", "sheets", "heading", "totals"),
    [
        ("day,revenue", 2, ["日期 Day", "销售额 Revenue"], [["Total", 30]]),
        ("orders,day", 2, ["订单数 Orders", "日期 Day"], [["Total", None], [3, None]]),
        ("category,orders", 1, ["类别 Category", "订单数 Orders"], [["Total", 3]]),
        ("orders,category", 1, ["订单数 Orders", "类别 Category"], [["Total", None], [3, None]]),
        ("revenue,orders", 1, ["销售额 Revenue", "订单数 Orders"], [["Total", None], [30, 3]]),
        ("day,category", 1, ["日期 Day", "类别 Category"], []),
        ("day,average", 1, ["日期 Day", "平均金额 Average"], []),
    ],
)
async def test_a_workbook_of_some_columns_has_the_totals_and_the_chart_that_they_allow(
    service: Service, columns: str, sheets: int, heading: list[str], totals: list[list[Any]]
) -> None:
    await insert_sample_orders(service.database)
    task = await service.exported(params=MONTH | {"columns": columns}, format="xlsx")
    book = openpyxl.load_workbook(io.BytesIO(downloaded(task.download_url)))
    rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]

    assert len(book.worksheets) == sheets + 1  # the last one says what it is
    assert rows[0] == heading
    assert rows[4:] == totals

"""A person sees what is in a file without downloading it: a preview, which is always small."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from exports.formats.preview import MOST_BYTES, Preview, PreviewMaker
from tests.support.rows import DAY, MONTH, ROWS, batch, group, measure, numbered, table


def _preview(of: pa.Schema, *batches: pa.RecordBatch) -> Preview:
    maker = PreviewMaker(of)
    assert list(maker.watching(batches)) == list(batches)
    return Preview.model_validate_json(maker.preview.model_dump_json())


def test_columns_have_types_and_values_are_those_of_json_lines() -> None:
    of = table(
        DAY,
        group("Text"),
        measure("Whole", pa.int64()),
        measure("Exact", pa.decimal128(38, 2)),
        measure("Float", pa.float64()),
        measure("Flag", pa.bool_()),
        measure("Time", pa.timestamp("ms", "Asia/Shanghai")),
        measure("None", pa.null()),
    )
    row = (date(2026, 10, 5), "=1+1", 2**60, Decimal("0.10"), float("nan"), True)
    preview = _preview(of, batch(of, (*row, datetime(2026, 10, 5, tzinfo=UTC), None)))
    assert [(item.name, item.title, item.type) for item in preview.columns] == [
        ("day", "Day", "date"),
        ("Text", "Text", "text"),
        ("Whole", "Whole", "integer"),
        ("Exact", "Exact", "decimal"),
        ("Float", "Float", "number"),
        ("Flag", "Flag", "boolean"),
        ("Time", "Time", "datetime"),
        ("None", "None", "text"),
    ]
    assert preview.rows == [
        {
            "day": "2026-10-05",
            "Text": "=1+1",
            "Whole": "1152921504606846976",
            "Exact": "0.10",
            "Float": "NaN",
            "Flag": True,
            "Time": "2026-10-05T08:00:00.000+08:00",
            "None": None,
        }
    ]
    assert preview.cut == []


def test_it_has_the_first_fifty_rows_whatever_the_batches() -> None:
    of = table(group("name"), measure("n", pa.int64()), about=ROWS)
    small = _preview(of, *(numbered(of, first, first + 7) for first in range(0, 105, 7)))
    assert small == _preview(of, numbered(of, 0, 1000))
    assert [row["n"] for row in small.rows] == list(range(50))
    assert small.chart is None


def test_a_long_text_is_cut_and_marked() -> None:
    of = table(group("a"), group("b"), about=ROWS)
    preview = _preview(of, batch(of, ("销" * 501, "x" * 500), (None, "y")))
    assert preview.rows == [{"a": "销" * 500 + "…", "b": "x" * 500}, {"a": None, "b": "y"}]
    assert preview.cut == ["a"]


def test_it_is_never_large() -> None:
    wide = table(*(group(str(index)) for index in range(60)), about=ROWS)
    huge = batch(wide, *(["\x01" * 10_000] * 60 for _ in range(50)))
    preview = _preview(wide, huge)
    assert 0 < len(preview.rows) < 50
    assert len(preview.model_dump_json()) < MOST_BYTES + 10_000


def test_statistics_have_the_series_of_the_chart() -> None:
    of = table(
        MONTH,
        group(),
        measure("Average", pa.float64()),
        measure("Orders", pa.int64(), "sum"),
        measure("Revenue", pa.decimal128(38, 2), "sum"),
    )
    rows = [
        (date(2026, month, 1), name, 1.5, 1, Decimal("0.10"))
        for month, name in ((2, "a"), (2, "b"), (1, "a"))
    ]
    chart = _preview(of, batch(of, *rows[:1]), batch(of, *rows[1:])).chart
    assert chart is not None
    assert (chart.title, chart.labels) == ("Month", ["2026-01", "2026-02"])
    assert [(line.name, line.title, line.values) for line in chart.series] == [
        ("Orders", "Orders", [1, 2]),
        ("Revenue", "Revenue", [0.1, 0.2]),
    ]


def test_without_rows_it_has_columns() -> None:
    of = table(DAY, measure("n", pa.int64(), "sum"))
    preview: Any = _preview(of, batch(of))
    assert (len(preview.columns), preview.rows, preview.chart) == (2, [], None)


def test_it_keeps_no_batch_in_memory() -> None:
    of = table(group(), measure("n", pa.int64()))
    before = pa.total_allocated_bytes()

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, 100_000, 20_000):
            yield numbered(of, first, first + 20_000)

    maker = PreviewMaker(of)
    for rows in maker.watching(batches()):
        del rows
    assert pa.total_allocated_bytes() - before < 100_000

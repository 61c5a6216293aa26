"""Who was sent a workbook finds out in its last sheet which export it is."""

from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.formats.xlsx.book import Xlsx
from exports.formats.xlsx.rows import Limits, encode_rows
from exports.tables.columns import with_about
from exports.tables.warnings import TEXT_CUT, TaskWarning, WarningCounts
from tests.support.protections import protected_by
from tests.support.rows import ABOUT, DAY, ROWS, batch, group, measure, numbered, table
from tests.support.workbooks import assert_inert, opened

LINES = [("Report", "Sales 销售"), ("Region", "north, south"), ("Asked by", "u1")]
STATS = table(DAY, measure("n", pa.int64(), "sum"))
OCTOBER_5 = (date(2026, 10, 5), 7)


def _encoded(of: pa.Schema, *batches: pa.RecordBatch, warn: WarningCounts | None = None) -> bytes:
    return b"".join(Xlsx().encode(of, batches, warn or WarningCounts()))


def _last_sheet(data: bytes) -> list[tuple[Any, ...]]:
    assert_inert(data)
    sheet = opened(data).worksheets[-1]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "inlineStr", "n"}
    return list(sheet.iter_rows(values_only=True))


def test_it_says_what_was_asked_for_how_many_rows_there_are_and_what_was_changed() -> None:
    warn = WarningCounts([TaskWarning(code=TEXT_CUT, column="note", count=1234)])
    data = _encoded(with_about(STATS, LINES), batch(STATS, OCTOBER_5), warn=warn)
    assert opened(data).sheetnames == ["Sales 销售", "Chart", "About"]
    assert _last_sheet(data) == [
        *LINES,
        ("Rows", "1"),
        ("Warning", "W_TEXT_CUT: 1,234 in note"),
    ]


def test_it_is_the_last_of_several_sheets_and_counts_the_rows_of_all() -> None:
    of = table(group(), measure("n", pa.int64()), about=ROWS)
    batches = [numbered(of, first, first + 20) for first in range(0, 120, 20)]
    limits = Limits(rows=50)
    data = b"".join(encode_rows(with_about(of, LINES), batches, WarningCounts(), limits))
    book = opened(data)
    assert book.sheetnames == ["Orders 订单 1", "Orders 订单 2", "Orders 订单 3", "About"]
    assert [sheet.max_row for sheet in book.worksheets[:-1]] == [50, 50, 23]
    assert _last_sheet(data) == [*LINES, ("Rows", "120")]


@pytest.mark.parametrize("layout", ["stats", "rows"])
def test_without_anything_to_say_there_is_no_such_sheet(layout: Any) -> None:
    of = table(group(), about=ABOUT.model_copy(update={"layout": layout}))
    assert _encoded(with_about(of, []), batch(of, ("a",))) == _encoded(of, batch(of, ("a",)))


@pytest.mark.parametrize("layout", ["stats", "rows"])
@pytest.mark.parametrize(
    ("title", "names"),
    [("About", ["About", "About 2"]), ("ABOUT 2", ["ABOUT 2", "About"])],
)
def test_its_name_differs_from_those_of_the_other_sheets(
    layout: Any, title: str, names: list[str]
) -> None:
    about = ABOUT.model_copy(update={"layout": layout, "title": title})
    of = table(group(), about=about)
    assert opened(_encoded(with_about(of, LINES), batch(of, ("a",)))).sheetnames == names


HOSTILE = st.text(max_size=20) | st.sampled_from(
    [
        "=1+1",
        '=HYPERLINK("http://evil.test")',
        "https://a.b",
        "<r><t>x</t></r>",
        "<r></si><si><f>1</f></r>",
        "_x003C_r>",
        "\x00=1",
    ]
)


@given(text=HOSTILE)
@settings(max_examples=30)
@pytest.mark.parametrize("layout", ["stats", "rows"])
@protected_by("exports/formats/xlsx/about.py", "_not_xml(text)", instead="text")
def test_a_text_of_a_stranger_is_only_text(layout: Any, text: str) -> None:
    of = table(group(), about=ABOUT.model_copy(update={"layout": layout}))
    data = _encoded(with_about(of, [("By", text), (text, "x")]), batch(of, ("a",)))
    [(label, by), (_, value), rows] = _last_sheet(data)
    assert (label, value, rows) == ("By", "x", ("Rows", "1"))
    if text.isprintable() and not text.startswith(("<r>", "_x")):
        assert (by or "") == text
    assert _encoded(with_about(of, [("By", text), (text, "x")]), batch(of, ("a",))) == data

import gc
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, cast
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.cell.cell import Cell
from openpyxl.worksheet.worksheet import Worksheet

from exports.formats.xlsx.book import Xlsx
from exports.formats.xlsx.rows import Limits, encode_rows
from exports.tables.columns import Column, Sheet
from exports.tables.warnings import WarningCounts
from tests.support.rows import ROWS, batch, group, measure, numbered, table
from tests.support.workbooks import (
    assert_inert,
    cells,
    encoded,
    encoded_rows,
    first_sheet,
    opened,
    xml_files,
)

STATS: Final = ROWS.model_copy(update={"layout": "stats"})
TEXTS: Final = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("=+-@＝＋－＠'\"\t\r\n\x00\x0b\x1f,;<>&_x0aF\ufffe\uffff"),
    ),
    max_size=30,
) | st.sampled_from(
    [
        "<r><t>x</t></r>",
        "<r></is></c><c><f>1+1</f></c></r>",
        "]]>",
        "_x0041_x0042_",
        "_x005F_x0041_",
        "https://a.b",
        "mailto:a@b.c",
        "internal:A1",
        "file://a",
    ]
)
VALUES: Final[dict[pa.DataType, st.SearchStrategy[Any]]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**16), 10**16),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float64(): st.floats(),
    pa.decimal128(38, 2): st.decimals(
        -(10**30), 10**30, places=2, allow_nan=False, allow_infinity=False
    ),
    pa.decimal128(38, 20): st.decimals(-1, 1, places=20, allow_nan=False, allow_infinity=False),
    pa.decimal256(76, 30): st.decimals(
        -(10**40), 10**40, places=30, allow_nan=False, allow_infinity=False
    ),
    pa.date32(): st.dates() | st.dates(date(1900, 2, 25), date(1900, 3, 5)),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
}


def column_of_cells(kind: pa.DataType, values: Sequence[object], about: Sheet) -> list[Cell]:
    """The cells of the values of a column."""
    of = table(measure("m", kind), about=about)
    sheet = first_sheet(encoded(of, [batch(of, *((value,) for value in values))]))
    found = [sheet.cell(row, 1) for row in range(2, len(values) + 2)]
    assert all(isinstance(cell, Cell) for cell in found)
    return [cell for cell in found if isinstance(cell, Cell)]


class TestCells:
    @given(st.data())
    @settings(max_examples=60)
    def test_a_cell_is_the_same_as_in_a_file_of_statistics(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(list(VALUES)))
        values = data.draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=8))
        in_rows = column_of_cells(kind, values, ROWS)
        in_stats = column_of_cells(kind, values, STATS)
        for one, other in zip(in_rows, in_stats, strict=True):
            assert (one.value, one.data_type) == (other.value, other.data_type)
            if one.value is not None:
                assert one.number_format == other.number_format
                assert (
                    cast("Any", one.alignment).horizontal == cast("Any", other.alignment).horizontal
                )

    @pytest.mark.parametrize(
        ("text", "kind", "is_number"),
        [
            ("-123456789012345", pa.int64(), True),
            ("1234567890123456", pa.int64(), False),
            ("123456789012345000", pa.int64(), True),
            ("-1234567890123.45", pa.decimal128(38, 2), True),
            ("12345678901234.56", pa.decimal128(38, 2), False),
            ("0.000000000000000123456789012345", pa.decimal128(38, 30), True),
            ("0.000000000000001234567890123456", pa.decimal128(38, 30), False),
        ],
    )
    def test_a_number_of_more_than_15_digits_is_text_with_all_digits(
        self, text: str, kind: pa.DataType, *, is_number: bool
    ) -> None:
        value = int(text) if pa.types.is_integer(kind) else Decimal(text)
        [found] = column_of_cells(kind, [value], ROWS)
        assert found.data_type == ("n" if is_number else "s")
        assert Decimal(str(found.value)) == Decimal(text)

    @given(
        st.datetimes(datetime(1890, 1, 1), datetime(2300, 1, 1)),  # noqa: DTZ001 -- any zone
        st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC"]),
    )
    @settings(max_examples=60)
    def test_a_time_is_the_local_time_in_its_zone(self, moment: datetime, zone: str) -> None:
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
        kind = pa.timestamp("ms", zone)
        [found] = column_of_cells(kind, [moment], ROWS)
        local = moment.astimezone(ZoneInfo(zone))
        if isinstance(found.value, datetime):
            assert local.date() >= date(1900, 3, 1)
            assert found.number_format == "yyyy-mm-dd hh:mm:ss"
            assert abs(found.value - local.replace(tzinfo=None)) < timedelta(milliseconds=1)
        else:
            assert local.date() < date(1900, 3, 1)
            assert datetime.fromisoformat(str(found.value)) == moment

    def test_a_time_after_the_year_9999_is_text(self) -> None:
        of = table(measure("m", pa.timestamp("ms", "UTC")), about=ROWS)
        far = pa.RecordBatch.from_arrays(
            [pa.array([253_402_300_800_000, None, 0], of.types[0])], schema=of
        )
        _, [after], [nothing], [epoch] = cells(encoded_rows(of, far))
        assert str(after).startswith("10000-01-01T00:00:00")
        assert nothing is None
        assert epoch == datetime(1970, 1, 1)  # noqa: DTZ001 -- a cell has no zone

    def test_a_column_has_the_number_format_of_the_report(self) -> None:
        column = Column(name="m", title="Amount", role="field", number_format='0.0 "€" & <x>')
        of = table((column, pa.decimal128(38, 2)), about=ROWS)
        assert first_sheet(encoded_rows(of, batch(of, (Decimal("1.5"),))))["A2"].number_format == (
            '0.0 "€" & <x>'
        )

    @given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
    @settings(max_examples=150)
    def test_text_is_not_changed_and_is_never_a_formula_or_a_link(
        self, texts: list[str], title: str
    ) -> None:
        of = table(group(title), about=Sheet(title=title, summary=title, layout="rows"))
        data = encoded_rows(of, batch(of, *((text,) for text in texts)))
        assert_inert(data)
        assert [row[0] or "" for row in cells(data)] == [title, *texts]
        assert all(cell.data_type in "sn" for row in first_sheet(data).iter_rows() for cell in row)

    def test_no_value_has_no_cell_and_an_empty_text_has_one(self) -> None:
        of = table(group(), measure("m", pa.int64()), about=ROWS)
        xml = xml_files(encoded_rows(of, batch(of, ("", None))))["xl/worksheets/sheet1.xml"]
        assert 'r="A2"' in xml
        assert 'r="B2"' not in xml

    def test_a_type_that_exports_do_not_have_is_refused(self) -> None:
        of = table(measure("m", pa.binary()), about=ROWS)
        with pytest.raises(TypeError, match="binary"):
            encoded_rows(of, batch(of, (b"x",)))


class TestSheets:
    of = table(group(), measure("n", pa.int64()), about=ROWS)

    @pytest.mark.parametrize(
        ("rows", "in_each"),
        [(0, [0]), (49, [49]), (50, [49, 1]), (98, [49, 49]), (120, [49, 49, 22])],
    )
    @pytest.mark.parametrize("size", [7, 49, 120])
    def test_when_a_sheet_is_full_the_rows_continue_in_the_next(
        self, rows: int, in_each: list[int], size: int
    ) -> None:
        batches = [
            numbered(self.of, first, min(first + size, rows)) for first in range(0, rows, size)
        ]
        sheets = opened(encoded_rows(self.of, *batches, limits=Limits(rows=50))).worksheets
        assert [sheet.max_row - 1 for sheet in sheets] == in_each
        found = [row for sheet in sheets for row in sheet.iter_rows(min_row=2, values_only=True)]
        assert found == [(f"row {number}", number) for number in range(rows)]

    def test_each_sheet_has_its_heading_its_filter_and_a_name(self) -> None:
        data = encoded_rows(self.of, numbered(self.of, 0, 60), limits=Limits(rows=50))
        book = opened(data)
        assert book.sheetnames == ["Orders 订单 1", "Orders 订单 2"]
        for sheet, rows in zip(book.worksheets, (50, 12), strict=True):
            assert [sheet["A1"].value, sheet["B1"].value] == ["Category", "n"]
            assert sheet["A1"].font.bold
            assert sheet.freeze_panes == "A2"
            assert sheet.auto_filter.ref == f"A1:B{rows}"
            assert sheet.print_title_rows == "$1:$1"
        assert_inert(data)

    def test_a_single_sheet_has_the_name_of_the_report(self) -> None:
        assert opened(encoded_rows(self.of, numbered(self.of, 0, 3))).sheetnames == ["Orders 订单"]

    def test_names_are_as_long_as_excel_allows(self) -> None:
        about = ROWS.model_copy(update={"title": "🚀" * 40})
        of = table(group(), measure("n", pa.int64()), about=about)
        names = opened(encoded_rows(of, numbered(of, 0, 24), limits=Limits(rows=3))).sheetnames
        assert len(set(names)) == len(names) == 12
        assert all(len(name.encode("utf-16-le")) // 2 <= 31 for name in names)

    def test_a_sheet_holds_as_many_rows_as_excel_allows(self) -> None:
        assert Limits().rows == 1_048_576

    def test_when_a_sheet_is_too_large_the_rows_continue_in_the_next(self) -> None:
        limits = Limits(sheet_bytes=3000)
        batches = [numbered(self.of, first, first + 10) for first in range(0, 60, 10)]
        sheets = opened(encoded_rows(self.of, *batches, limits=limits)).worksheets
        assert len(sheets) > 2
        assert sum(sheet.max_row - 1 for sheet in sheets) == 60

    def test_programs_that_read_row_by_row_find_all_rows(self) -> None:
        data = encoded_rows(self.of, numbered(self.of, 0, 60))
        sheet = load_workbook(io.BytesIO(data), read_only=True).worksheets[0]
        assert isinstance(sheet, Worksheet) or sheet.max_row is None
        assert len(list(sheet.iter_rows(values_only=True))) == 61


class TestFile:
    of = table(group(), measure("n", pa.int64()), measure("t", pa.date32()), about=ROWS)

    def batches(self, *sizes: int) -> list[pa.RecordBatch]:
        rows = [(f"🚀 {n} & <b>", n or None, date(2026, 1, 1) + timedelta(n)) for n in range(2000)]
        ends = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        return [batch(self.of, *rows[a:b]) for a, b in pairwise(ends)]

    @pytest.mark.parametrize("sizes", [(2000,), (1, 999, 0, 1000), (300,) * 6 + (200,)])
    def test_the_same_rows_give_the_same_sheets_whatever_the_batches(
        self, sizes: tuple[int, ...]
    ) -> None:
        limits = Limits(rows=700)
        assert xml_files(encoded_rows(self.of, *self.batches(*sizes), limits=limits)) == xml_files(
            encoded_rows(self.of, *self.batches(1000, 1000), limits=limits)
        )

    def test_the_file_holds_no_time_of_its_creation(self) -> None:
        data = encoded_rows(self.of, *self.batches(10))
        with ZipFile(io.BytesIO(data)) as file:
            assert {item.date_time for item in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        properties = opened(data).properties
        assert (properties.title, properties.subject) == (ROWS.title, ROWS.summary)
        assert properties.created == properties.modified == datetime(2000, 1, 1)  # noqa: DTZ001

    def test_pieces_are_handed_on_before_all_rows_were_read(self) -> None:
        read: list[int] = []

        def batches() -> Iterable[pa.RecordBatch]:
            for number, rows in enumerate(self.batches(*[200] * 10)):
                read.append(number)
                yield rows

        pieces = encode_rows(self.of, batches(), WarningCounts())
        assert next(iter(pieces))
        assert len(read) < 10

    def test_a_file_that_is_not_finished_leaves_nothing_open(self) -> None:
        pieces = encode_rows(self.of, self.batches(1000, 1000), WarningCounts())
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        del pieces
        gc.collect()  # a file that is still open warns when it is collected: an error here

    def test_the_layout_of_the_report_decides_how_it_is_written(self) -> None:
        assert b"".join(Xlsx().encode(self.of, self.batches(5), WarningCounts())) == encoded_rows(
            self.of, *self.batches(5)
        )

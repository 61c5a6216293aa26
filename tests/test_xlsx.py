import math
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import Cell

from exports.columns import Sheet
from exports.errors import FormatLimitError
from exports.formats.arrow import record_batch
from exports.formats.xlsx import Xlsx
from exports.formats.xlsx_names import sheet_name
from tests.rows import ABOUT, DAY, MONTH, Described, batch, group, measure, table
from tests.workbooks import assert_inert, cells, encoded, first_sheet, opened, parts

OCTOBER_5 = date(2026, 10, 5)
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("=+-@＝＋－＠'\"\t\r\n\x00,;<>&_x\ufffe\uffff"),
    ),
    max_size=30,
) | st.sampled_from(
    [
        "<r><t>x</t></r>",
        "<r></is></c><c><f>1+1</f></c></r>",
        "_x0041_",
        "https://a.b",
        "internal:A1",
    ]
)


def cell(value: object, kind: pa.DataType) -> Cell:
    """The cell that a single value becomes."""
    sheet = first_sheet(encoded(of := table(measure("m", kind)), [batch(of, (value,))]))
    found = sheet["A2"]
    assert isinstance(found, Cell)
    return found


def midnight(year: int, month: int, day: int) -> datetime:
    """A day as openpyxl reads it: a time without a zone, because Excel knows none."""
    return datetime(year, month, day, tzinfo=UTC).replace(tzinfo=None)


class TestCells:
    @pytest.mark.parametrize(
        ("value", "kind", "shown", "number_format"),
        [
            (-1234, pa.int64(), -1234, "#,##0"),
            (Decimal("1234.50"), pa.decimal128(38, 2), 1234.5, "#,##0.00"),
            (Decimal("0.1230"), pa.decimal128(38, 4), 0.123, "#,##0.0000"),
            (Decimal(7), pa.decimal256(76, 8), 7.0, "#,##0.00######"),
            (Decimal(7), pa.decimal128(38, 0), 7, "#,##0"),
            (0.1 + 0.2, pa.float64(), 0.1 + 0.2, "#,##0.00"),
            (1.2345678901234567e-300, pa.float64(), 1.2345678901234567e-300, "#,##0.00"),
            (True, pa.bool_(), True, "@"),
            ("x", pa.string(), "x", "@"),
        ],
    )
    def test_each_type_has_its_kind_of_cell_and_its_number_format(
        self, value: object, kind: pa.DataType, shown: object, number_format: str
    ) -> None:
        found = cell(value, kind)
        assert (found.value, type(found.value)) == (shown, type(shown))
        assert found.number_format == number_format

    def test_a_day_and_a_month_are_dates(self) -> None:
        of = table(DAY, MONTH)
        sheet = first_sheet(encoded(of, [batch(of, (OCTOBER_5, date(2026, 10, 1)))]))
        day, month = sheet["A2"], sheet["B2"]
        assert (day.value, day.number_format) == (midnight(2026, 10, 5), "yyyy-mm-dd")
        assert (month.value, month.number_format) == (midnight(2026, 10, 1), "yyyy-mm")

    def test_a_time_is_what_the_clock_in_its_zone_shows(self) -> None:
        found = cell(
            datetime(2026, 7, 1, 22, 5, 6, tzinfo=UTC), pa.timestamp("ms", "Europe/Berlin")
        )
        assert str(found.value) == "2026-07-02 00:05:06"
        assert found.number_format == "yyyy-mm-dd hh:mm:ss"

    def test_dates_before_excels_calendar_is_right_are_text(self) -> None:
        assert cell(date(1900, 2, 28), pa.date32()).value == "1900-02-28"
        assert cell(date(1900, 3, 1), pa.date32()).is_date

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (1_234_567_890_123_456, pa.int64()),
            (-(2**63), pa.int64()),
            (Decimal("12345678901234.56"), pa.decimal128(38, 2)),
            (Decimal("-0.1234567890123456789"), pa.decimal128(38, 19)),
        ],
    )
    def test_a_number_of_more_than_15_digits_is_text_with_all_of_them(
        self, value: object, kind: pa.DataType
    ) -> None:
        found = cell(value, kind)
        assert found.value == str(value)
        assert cast("Any", found.alignment).horizontal == "right"

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (123_456_789_012_345, pa.int64()),
            (1_000_000_000_000_000_000, pa.int64()),
            (Decimal("1234567890123.45"), pa.decimal128(38, 2)),
            (Decimal("0.000000000000000000000000012345"), pa.decimal128(38, 30)),
        ],
    )
    def test_a_number_of_15_digits_is_a_number(self, value: object, kind: pa.DataType) -> None:
        found = cell(value, kind)
        assert found.data_type == "n"
        assert Decimal(repr(found.value)) == value

    @pytest.mark.parametrize(
        ("value", "text"),
        [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (5e-324, "5e-324")],
    )
    def test_a_float_that_excel_has_no_number_for_is_text(self, value: float, text: str) -> None:
        assert cell(value, pa.float64()).value == text

    def test_no_value_is_no_cell(self) -> None:
        of = table(group(), measure("m", pa.int64()))
        data = encoded(of, [batch(of, ("a", None))])
        assert 'r="B2"' not in parts(data)["xl/worksheets/sheet1.xml"]

    @pytest.mark.parametrize("text", ["<r><t>x</t></r>", "<r></is></c><c><f>1+1</f></c></r>"])
    def test_text_that_looks_like_the_files_own_markup_is_text(self, text: str) -> None:
        of = table(group(text))
        data = encoded(of, [batch(of, (text,))])
        assert cells(data) == [[text], [text]]
        assert_inert(data)


class TestTable:
    def sheet_of(self, rows: int) -> bytes:
        of = table(DAY, group("类别类别类别"), measure("Orders", pa.int64(), "sum"))
        return encoded(of, [batch(of, *((OCTOBER_5, "电子产品电子产品", 1) for _ in range(rows)))])

    def test_the_heading_stays_in_sight_and_filters_the_rows_but_not_the_totals(self) -> None:
        sheet = first_sheet(self.sheet_of(3))
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == "A1:C4"
        assert sheet["A5"].value == "Total"

    def test_columns_are_as_wide_as_what_they_show(self) -> None:
        widths = first_sheet(self.sheet_of(1)).column_dimensions
        assert widths["A"].width >= len("2026-10-05")
        assert 16 <= widths["B"].width <= 22  # eight Chinese characters

    def test_without_rows_it_is_a_heading_and_nothing_else(self) -> None:
        data = self.sheet_of(0)
        assert len(cells(data)) == 1
        assert first_sheet(data).auto_filter.ref == "A1:C1"
        assert len(opened(data).worksheets) == 1

    def test_the_file_says_what_it_is_and_not_when_it_was_made(self) -> None:
        properties = opened(self.sheet_of(1)).properties
        assert (properties.title, properties.subject) == (ABOUT.title, ABOUT.summary)
        assert properties.created == properties.modified == midnight(2000, 1, 1)


class TestTotals:
    def test_the_totals_are_the_totals_of_the_rows_as_values(self) -> None:
        of = table(
            DAY,
            group(),
            measure("Sum", pa.int64(), "sum"),
            measure("Exact", pa.decimal128(38, 2), "sum"),
            measure("Float", pa.float64(), "sum"),
            measure("Average", pa.float64()),
            measure("Least", pa.int64(), "min"),
            measure("Last", pa.timestamp("ms", "UTC"), "max"),
        )
        early, late = (datetime(2026, 10, day, tzinfo=UTC) for day in (1, 2))
        data = encoded(
            of,
            [
                batch(of, (OCTOBER_5, "a", 1, Decimal("0.10"), 0.1, 2.0, 5, late)),
                batch(
                    of,
                    (OCTOBER_5, "b", 2, Decimal("0.20"), 0.2, 3.0, -3, early),
                    (OCTOBER_5, "c", None, None, 0.3, None, None, None),
                ),
            ],
        )
        assert cells(data)[-1] == [
            "Total", None, 3, 0.3, math.fsum([0.1, 0.2, 0.3]), None, -3, late.replace(tzinfo=None)
        ]  # fmt: skip
        assert_inert(data)

    def test_a_total_of_more_than_15_digits_is_text_with_all_of_them(self) -> None:
        of = table(group(), measure("Exact", pa.decimal128(38, 2), "sum"))
        rows = [("a", Decimal("12345678901234567890123456789012345.67")), ("b", Decimal("0.01"))]
        assert cells(encoded(of, [batch(of, *rows)]))[-1] == [
            "Total", "12345678901234567890123456789012345.68"
        ]  # fmt: skip

    def test_a_total_with_a_row_that_is_no_number_is_no_number(self) -> None:
        of = table(
            group(), measure("Sum", pa.float64(), "sum"), measure("Most", pa.float64(), "max")
        )
        rows = [("a", 1.0, 1.0), ("b", math.nan, math.nan), ("c", 2.0, 2.0)]
        assert cells(encoded(of, [batch(of, *rows)]))[-1] == ["Total", "NaN", "NaN"]

    def test_a_column_that_became_text_has_no_total(self) -> None:
        of = table(group(), measure("Sum", pa.string(), "sum"), measure("n", pa.int64(), "sum"))
        assert cells(encoded(of, [batch(of, ("a", "5", 5))]))[-1] == ["Total", None, 5]

    def test_a_table_without_totals_has_no_totals_row(self) -> None:
        of = table(group(), measure("Average", pa.float64()))
        assert len(cells(encoded(of, [batch(of, ("a", 1.0))]))) == 2


class TestChart:
    def test_days_are_a_line_of_the_first_two_measures_over_all_groups(self) -> None:
        of = table(
            DAY,
            group(),
            measure("Average", pa.float64()),
            measure("Orders", pa.int64(), "sum"),
            measure("Revenue", pa.decimal128(38, 2), "sum"),
            measure("Refunds", pa.int64(), "sum"),
        )
        rows = [
            (date(2026, 10, day), name, 1.5, orders, Decimal("0.10"), 1)
            for day, name, orders in [(2, "a", 1), (2, "b", 2), (1, "a", 4)]
        ]
        data = encoded(of, [batch(of, *rows[:1]), batch(of, *rows[1:])])
        chart = opened(data).worksheets[1]
        assert [list(row) for row in chart.iter_rows(min_row=4, values_only=True)] == [
            ["Day", "Orders", "Revenue"],
            [datetime(2026, 10, 1), 4, 0.1],  # noqa: DTZ001 -- Excel knows no zones
            [datetime(2026, 10, 2), 3, 0.2],  # noqa: DTZ001 -- same
        ]
        xml = parts(data)["xl/charts/chart1.xml"]
        assert "<c:lineChart>" in xml
        assert "<c:barChart>" not in xml
        assert re.findall(r"<c:f>([^<]*)</c:f>", xml) == [
            "Chart!$A$1",
            "Chart!$B$4", "Chart!$A$5:$A$6", "Chart!$B$5:$B$6",
            "Chart!$C$4", "Chart!$A$5:$A$6", "Chart!$C$5:$C$6",
            "Chart!$B$4", "Chart!$C$4",
        ]  # fmt: skip
        assert_inert(data)

    def test_viewers_that_do_not_calculate_find_the_values_in_the_chart(self) -> None:
        of = table(DAY, measure("Orders", pa.int64(), "sum"))
        xml = parts(encoded(of, [batch(of, (OCTOBER_5, 7))]))["xl/charts/chart1.xml"]
        assert re.findall(r"<c:v>([^<]*)</c:v>", xml) == [
            ABOUT.title,
            "Orders",
            "46300",
            "7.0",
            "Orders",
        ]

    def test_months_are_columns_with_the_second_measure_as_a_line(self) -> None:
        of = table(MONTH, measure("Orders", pa.int64(), "sum"), measure("Average", pa.float64()))
        data = encoded(of, [batch(of, (date(2026, 10, 1), 7, 0.5))])
        xml = parts(data)["xl/charts/chart1.xml"]
        assert "<c:barChart>" in xml
        assert "<c:lineChart>" in xml
        assert opened(data).worksheets[1]["C5"].value == 0.5

    @pytest.mark.parametrize(
        "columns",
        [
            (DAY, group()),
            (DAY, group(), measure("Average", pa.float64())),
            (group(), measure("Orders", pa.int64(), "sum")),
            (DAY, measure("Orders", pa.string(), "sum")),
        ],
    )
    def test_where_there_is_nothing_to_draw_there_is_no_second_sheet(
        self, columns: tuple[Described, ...]
    ) -> None:
        of = table(*columns)
        values: dict[pa.DataType, object] = {
            pa.date32(): OCTOBER_5,
            pa.string(): "a",
            pa.int64(): 1,
            pa.float64(): 1.0,
        }
        data = encoded(of, [batch(of, [values[kind] for kind in of.types])])
        assert len(opened(data).worksheets) == 1

    def test_titles_that_look_like_references_or_markup_are_text(self) -> None:
        about = Sheet(title="=Sheet!A1 <b>\x00", summary="=1")
        of = table(DAY, measure("=A!B1", pa.int64(), "sum"), about=about)
        data = encoded(of, [batch(of, (OCTOBER_5, 7))])
        assert_inert(data)
        assert opened(data).worksheets[1]["B4"].value == "=A!B1"
        assert opened(data).worksheets[1]["B4"].data_type == "s"


class TestSheetName:
    @pytest.mark.parametrize(
        ("title", "name"),
        [
            ("Sales 销售", "Sales 销售"),
            ("a[b]c:d*e?f/g\\h", "a b c d e f g h"),
            ("'quoted'", "quoted"),
            ("' '", "Export"),
            ("", "Export"),
            ("///", "Export"),
            ("History", "History Export"),
            ("a\nb\x00", "a b"),
            ("x" * 40, "x" * 31),
            ("x" * 30 + "🚀", "x" * 30),
            ("x" * 30 + "' y", "x" * 30),
        ],
    )
    def test_a_title_becomes_a_name_that_excel_accepts(self, title: str, name: str) -> None:
        assert sheet_name(title) == name

    @pytest.mark.parametrize("title", ["Chart", "chart", "O'Brien & <sons>", "History"])
    def test_the_workbook_opens_and_its_chart_finds_its_sheet(self, title: str) -> None:
        of = table(DAY, measure("n", pa.int64()), about=Sheet(title=title, summary="s"))
        data = encoded(of, [batch(of, (OCTOBER_5, 7), (date(2026, 10, 6), 8))])
        names = opened(data).sheetnames
        assert names[0] == sheet_name(title)
        assert names[1].lower() != names[0].lower()
        reference = f"'{names[1]}'" if " " in names[1] else names[1]
        assert f"<c:f>{reference}!$B$5:$B$6</c:f>" in parts(data)["xl/charts/chart1.xml"]


class TestLimits:
    def test_a_text_of_32767_characters_fits(self) -> None:
        assert cell("🚀" * 16_383 + "x", pa.string()).value == "🚀" * 16_383 + "x"

    @pytest.mark.parametrize("text", ["x" * 32_768, "🚀" * 16_384])
    def test_a_longer_text_is_refused_and_not_cut(self, text: str) -> None:
        with pytest.raises(
            FormatLimitError, match=r"^Row 2 holds a text of more than 32,767"
        ) as caught:
            cell(text, pa.string())
        assert text[:10] not in caught.value.msg

    @pytest.mark.parametrize(("total", "rows"), [(None, 1_048_576), ("sum", 1_048_575)])
    def test_more_rows_than_a_sheet_has_are_refused(
        self, total: Literal["sum"] | None, rows: int
    ) -> None:
        of = table(measure("m", pa.int64(), total))
        parts_of_it = [record_batch([pa.nulls(size, pa.int64())], of) for size in (1, rows - 1)]
        with pytest.raises(FormatLimitError, match="1,048,576 rows"):
            encoded(of, parts_of_it)

    def test_as_many_rows_as_a_sheet_has_fit_with_their_totals(self) -> None:
        of = table(group(), measure("m", pa.int64(), "sum"))
        rows = record_batch([pa.nulls(1_048_573, pa.string()), pa.nulls(1_048_573, pa.int64())], of)
        data = encoded(of, [rows, batch(of, ("last", 7))])
        assert '<row r="1048575"' in (xml := parts(data)["xl/worksheets/sheet1.xml"])
        assert '<row r="1048576"' in xml

    def test_more_columns_than_a_sheet_has_are_refused(self) -> None:
        of = table(*(measure(str(index), pa.int64()) for index in range(16_385)))
        with pytest.raises(FormatLimitError, match="16,384 columns"):
            encoded(of, [])


class TestTemporaryFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return tmp_path

    def test_none_is_left_when_the_file_was_read(self, folder: Path) -> None:
        of = table(group())
        assert encoded(of, [batch(of, ("a",))])
        assert list(folder.iterdir()) == []

    def test_none_is_left_when_the_reader_stops_in_the_middle(self, folder: Path) -> None:
        of = table(group())
        pieces = Xlsx().encode(of, [batch(of, ("a",))])
        next(pieces)
        assert list(folder.iterdir()) != []
        pieces.close()  # type: ignore[attr-defined]
        assert list(folder.iterdir()) == []

    def test_none_is_left_when_the_rows_fail(self, folder: Path) -> None:
        of = table(group())

        def failing() -> Iterator[pa.RecordBatch]:
            yield batch(of, ("a",))
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            encoded(of, failing())
        assert list(folder.iterdir()) == []


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | TEXTS,
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.decimals(-(10**31), 10**31, places=6),
            st.none() | st.floats(),
            st.none() | st.dates(min_value=date(1900, 3, 1)),
        ),
        min_size=1,
        max_size=5,
    ),
    TEXTS,
)
def test_what_goes_in_is_what_another_program_reads(
    rows: list[tuple[object, ...]], title: str
) -> None:
    of = table(
        DAY,
        group(title),
        measure("whole", pa.int64(), "sum"),
        measure("exact", pa.decimal128(38, 6), "sum"),
        measure("float", pa.float64(), "max"),
        about=Sheet(title=title, summary=title),
    )
    data = encoded(of, [batch(of, (row[4], *row[:4])) for row in rows])
    assert_inert(data)
    heading, *found, totals = cells(data)
    assert heading[1] == title
    for row, (day, text, whole, exact, number) in zip(rows, found, strict=True):
        assert text == row[0]
        assert (None if whole is None else int(str(whole))) == row[1]
        assert (None if exact is None else Decimal(str(exact))) == row[2]
        assert repr(None if number is None else float(str(number))) == repr(row[3])
        assert (day.date() if isinstance(day, datetime) else None) == row[4]
    for index in (1, 2):
        values = [Fraction(str(row[index])) for row in rows if row[index] is not None]
        total = totals[index + 1]
        assert (None if total is None else Fraction(str(total))) == (
            sum(values) if values else None
        )

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.tables.columns import Sheet
from tests.support.rows import ABOUT, DAY, MONTH, batch, group, measure, table
from tests.support.workbooks import (
    assert_inert,
    cell,
    cells,
    encoded,
    first_sheet,
    midnight,
    opened,
    xml_files,
)

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
    def test_each_type_has_a_type_of_cell_and_a_number_format(
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

    def test_a_time_is_the_local_time_in_its_zone(self) -> None:
        found = cell(
            datetime(2026, 7, 1, 22, 5, 6, tzinfo=UTC), pa.timestamp("ms", "Europe/Berlin")
        )
        assert str(found.value) == "2026-07-02 00:05:06"
        assert found.number_format == "yyyy-mm-dd hh:mm:ss"

    def test_dates_before_march_1900_are_text(self) -> None:
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
    def test_a_number_of_more_than_15_digits_is_text_with_all_digits(
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
        assert 'r="B2"' not in xml_files(data)["xl/worksheets/sheet1.xml"]

    @pytest.mark.parametrize("text", ["<r><t>x</t></r>", "<r></is></c><c><f>1+1</f></c></r>"])
    def test_text_that_looks_like_xml_of_the_file_is_text(self, text: str) -> None:
        of = table(group(text))
        data = encoded(of, [batch(of, (text,))])
        assert cells(data) == [[text], [text]]
        assert_inert(data)


class TestTable:
    def sheet_of(self, rows: int) -> bytes:
        of = table(DAY, group("类别类别类别"), measure("Orders", pa.int64(), "sum"))
        return encoded(of, [batch(of, *((OCTOBER_5, "电子产品电子产品", 1) for _ in range(rows)))])

    def test_the_heading_stays_in_view_and_filters_the_rows_but_not_the_totals(self) -> None:
        sheet = first_sheet(self.sheet_of(3))
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == "A1:C4"
        assert sheet["A5"].value == "Total"

    def test_columns_are_as_wide_as_their_content(self) -> None:
        widths = first_sheet(self.sheet_of(1)).column_dimensions
        assert widths["A"].width >= len("2026-10-05")
        assert 16 <= widths["B"].width <= 22  # eight Chinese characters

    def test_without_rows_the_file_holds_only_the_heading(self) -> None:
        data = self.sheet_of(0)
        assert len(cells(data)) == 1
        assert first_sheet(data).auto_filter.ref == "A1:C1"
        assert len(opened(data).worksheets) == 1

    def test_the_properties_hold_title_and_subject_but_no_time(self) -> None:
        properties = opened(self.sheet_of(1)).properties
        assert (properties.title, properties.subject) == (ABOUT.title, ABOUT.summary)
        assert properties.created == properties.modified == midnight(2000, 1, 1)


class TestTotals:
    def test_totals_are_exact_and_are_values_not_formulas(self) -> None:
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

    def test_a_total_of_more_than_15_digits_is_text_with_all_digits(self) -> None:
        of = table(group(), measure("Exact", pa.decimal128(38, 2), "sum"))
        rows = [("a", Decimal("12345678901234567890123456789012345.67")), ("b", Decimal("0.01"))]
        assert cells(encoded(of, [batch(of, *rows)]))[-1] == [
            "Total", "12345678901234567890123456789012345.68"
        ]  # fmt: skip

    def test_a_total_over_nan_is_nan(self) -> None:
        of = table(
            group(), measure("Sum", pa.float64(), "sum"), measure("Most", pa.float64(), "max")
        )
        rows = [("a", 1.0, 1.0), ("b", math.nan, math.nan), ("c", 2.0, 2.0)]
        assert cells(encoded(of, [batch(of, *rows)]))[-1] == ["Total", "NaN", "NaN"]

    def test_the_label_is_above_the_totals_if_the_first_column_has_one(self) -> None:
        of = table(measure("Orders", pa.int64(), "sum"), group())
        data = encoded(of, [batch(of, (1, "a"), (2, "b"))])
        assert cells(data) == [
            ["Orders", "Category"],
            [1, "a"],
            [2, "b"],
            ["Total", None],
            [3, None],
        ]
        assert first_sheet(data).auto_filter.ref == "A1:B3"
        assert first_sheet(data)["A4"].font.bold

    def test_totals_have_a_label_if_every_column_has_one_and_one_of_them_is_unknown(self) -> None:
        of = table(measure("Least", pa.int64(), "min"), measure("Most", pa.int64(), "max"))
        assert cells(encoded(of, [batch(of, (None, 2), (None, 5))]))[3:] == [
            ["Total", None],
            [None, 5],
        ]

    def test_a_column_that_became_text_has_no_total(self) -> None:
        of = table(group(), measure("Sum", pa.string(), "sum"), measure("n", pa.int64(), "sum"))
        assert cells(encoded(of, [batch(of, ("a", "5", 5))]))[-1] == ["Total", None, 5]

    def test_a_table_without_totals_has_no_totals_row(self) -> None:
        of = table(group(), measure("Average", pa.float64()))
        assert len(cells(encoded(of, [batch(of, ("a", 1.0))]))) == 2


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
def test_another_program_reads_the_same_values(rows: list[tuple[object, ...]], title: str) -> None:
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

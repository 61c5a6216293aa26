import re
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from exports.formats.xlsx.names import sheet_name
from exports.tables.columns import Sheet
from tests.support.rows import ABOUT, DAY, MONTH, Described, batch, group, measure, table
from tests.support.workbooks import assert_inert, encoded, opened, xml_files

OCTOBER_5 = date(2026, 10, 5)


class TestChart:
    def test_days_are_lines_of_the_first_two_measures_over_all_groups(self) -> None:
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
            [datetime(2026, 10, 1), 4, 0.1],  # noqa: DTZ001 -- Excel has no time zones
            [datetime(2026, 10, 2), 3, 0.2],  # noqa: DTZ001 -- same
        ]
        xml = xml_files(data)["xl/charts/chart1.xml"]
        assert "<c:lineChart>" in xml
        assert "<c:barChart>" not in xml
        assert re.findall(r"<c:f>([^<]*)</c:f>", xml) == [
            "Chart!$A$1",
            "Chart!$B$4", "Chart!$A$5:$A$6", "Chart!$B$5:$B$6",
            "Chart!$C$4", "Chart!$A$5:$A$6", "Chart!$C$5:$C$6",
            "Chart!$B$4", "Chart!$C$4",
        ]  # fmt: skip
        assert_inert(data)

    def test_averages_of_groups_that_are_not_shown_are_not_added_up(self) -> None:
        average = measure("Average", pa.float64())
        about = Sheet(title="t", summary="s", grouped=True)
        orders = measure("Orders", pa.int64(), "sum")
        rows = [(OCTOBER_5, 1.5, 1), (OCTOBER_5, 2.5, 2)]
        of = table(DAY, average, orders, about=about)
        chart = opened(encoded(of, [batch(of, *rows)])).worksheets[1]
        assert [row[1:] for row in chart.iter_rows(min_row=4, values_only=True)] == [
            ("Orders",),
            (3,),
        ]
        alone = table(DAY, average, about=about)
        data = encoded(alone, [batch(alone, *(row[:2] for row in rows))])
        assert len(opened(data).worksheets) == 1

    def test_the_chart_holds_its_values_for_viewers_that_do_not_calculate(self) -> None:
        of = table(DAY, measure("Orders", pa.int64(), "sum"))
        xml = xml_files(encoded(of, [batch(of, (OCTOBER_5, 7))]))["xl/charts/chart1.xml"]
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
        xml = xml_files(data)["xl/charts/chart1.xml"]
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
    def test_without_anything_to_draw_there_is_no_second_sheet(
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
            ("گزارش\N{ZERO WIDTH NON-JOINER}ها", "گزارش\N{ZERO WIDTH NON-JOINER}ها"),
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
    def test_the_workbook_opens_and_the_chart_refers_to_its_sheet(self, title: str) -> None:
        of = table(DAY, measure("n", pa.int64()), about=Sheet(title=title, summary="s"))
        data = encoded(of, [batch(of, (OCTOBER_5, 7), (date(2026, 10, 6), 8))])
        names = opened(data).sheetnames
        assert names[0] == sheet_name(title)
        assert names[1].lower() != names[0].lower()
        reference = f"'{names[1]}'" if " " in names[1] else names[1]
        assert f"<c:f>{reference}!$B$5:$B$6</c:f>" in xml_files(data)["xl/charts/chart1.xml"]

import csv
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.csv import ConvertOptions, ParseOptions, read_csv

from exports.formats.csv import Csv
from exports.formats.formulas import safe_text
from exports.tables.columns import Column
from exports.tables.plain import plain
from exports.tables.warnings import WarningCounts
from tests.support.rows import DAY, MONTH, Described, batch, group, measure, table

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("=+-@＝＋－＠'\"\t\r\n\x00,;| \u00a0\u200b\ufeff"),
    ),
    max_size=30,
)
# Text of someone who tries to smuggle in a formula.
ATTACKS = st.lists(
    st.sampled_from(
        [
            "=1",
            "-x",
            "-1",
            ".5",
            "e-7",
            "@A1",
            "＝1",
            ";",
            "|",
            "\t",
            "\r",
            "\n",
            '"',
            "'",
            " ",
            "a",
            ",",
        ]
    ),
    max_size=8,
).map("".join)
SIGNS = "=+-@＝＋－＠"
NEGATIVE = re.compile("-[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?")


def encoded(of: pa.Schema, *rows: tuple[object, ...]) -> str:
    return b"".join(Csv().encode(of, [batch(of, *rows)], WarningCounts())).decode()


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))


def lines(*columns: Described, row: tuple[object, ...]) -> str:
    return encoded(table(*columns), row).split("\r\n")[1]


def undone(text: str) -> str:
    """Undoes `safe_text`, written independently from the documentation of it."""
    pieces = re.split(r"([;|\t\r\n])", text)
    before = ""
    for index in range(0, len(pieces), 2):
        piece = pieces[index]
        bare = piece.lstrip("'")
        blank = bare.lstrip(
            "".join(
                map(chr, [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x21), 0x7F, 0x85, 0xA0, 0xAD])
            )
            + '"\u1680\u3000\ufeff'
            + "".join(map(chr, [*range(0x2000, 0x2010), *range(0x2028, 0x2030)]))
            + "".join(map(chr, range(0x205F, 0x206A)))
        )
        follows = pieces[index + 1] if index + 1 < len(pieces) else ""
        opens = not before and (
            bare.startswith("\x00") or (not bare and follows in ("\t", "\r", "\n") and follows)
        )
        if piece.startswith("'") and (blank.startswith(tuple(SIGNS)) or opens):
            pieces[index] = piece[1:]
        before += piece + follows
    return "".join(pieces)


class TestTextIsNeverAFormula:
    @pytest.mark.parametrize(
        ("text", "safe"),
        [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-a", "'-a"),
            ("-1+1", "'-1+1"),
            ("- 1", "'- 1"),
            (" -1", "' -1"),
            ("-1\n", "'-1\n"),
            ("-1;=1", "'-1;'=1"),
            ("a;-1", "a;'-1"),
            ("'-1", "''-1"),
            ("-\u0661", "'-\u0661"),  # a digit elsewhere, not here
            ("-Infinity", "'-Infinity"),  # to a spreadsheet, a name
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\nx", "'\nx"),
            ("\x00x", "'\x00x"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("  =1", "'  =1"),
            ("\u3000=1", "'\u3000=1"),
            ("\ufeff=1", "'\ufeff=1"),
            ("\u200b-1", "'\u200b-1"),
            ('"=1"', '\'"=1"'),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("a;=cmd|x", "a;'=cmd|x"),
            ("a\n=1", "a\n'=1"),
            ('a;"=1"', 'a;\'"=1"'),
            ("a|@x", "a|'@x"),
            ("\t=1", "'\t'=1"),
        ],
    )
    def test_an_apostrophe_is_put_before_it(self, text: str, safe: str) -> None:
        assert safe_text(text) == safe

    @pytest.mark.parametrize(
        "text",
        ["", "a=1", "a-b", "O'Brien", "'quoted'", "1 + 1", "a, -b", "me@example.com", "a\nb"],
    )
    def test_other_text_is_not_changed(self, text: str) -> None:
        assert safe_text(text) == text

    @pytest.mark.parametrize("text", ["-1", "-0.50", "-12345678901234567890", "-1e-07", "-1E+6000"])
    def test_a_text_that_is_a_negative_number_and_nothing_else_is_not_changed(
        self, text: str
    ) -> None:
        assert safe_text(text) == text
        assert lines(group(), measure("n", pa.int64()), row=(text, 1)) == f'"{text}",1'

    @given(TEXTS | ATTACKS)
    def test_no_cell_begins_with_a_sign_whatever_the_list_separator(self, text: str) -> None:
        of = table(measure("n", pa.int64()), group(), measure("m", pa.int64()))
        written = encoded(of, (1, text, 2)).removeprefix("\ufeff")
        for separator in ",;\t|":
            # To a spreadsheet, a quote is special only at the start of a cell.
            for row in csv.reader(io.StringIO(written, newline=""), delimiter=separator):
                for cell in row:
                    shown = cell.lstrip(' "\u00a0\u200b\ufeff\x00').strip()
                    harmless = cell == text and NEGATIVE.fullmatch(text)
                    assert harmless or not shown.startswith(tuple(SIGNS)), (separator, cell)

    @given(TEXTS | ATTACKS)
    def test_the_change_can_be_undone(self, text: str) -> None:
        assert undone(safe_text(text)) == text

    @given(TEXTS | ATTACKS, TEXTS | ATTACKS)
    def test_different_texts_stay_different(self, one: str, other: str) -> None:
        assert (safe_text(one) == safe_text(other)) == (one == other)

    def test_a_long_text_of_blanks_is_not_changed(self) -> None:
        assert safe_text("\x1c " * 100_000 + ";") == "\x1c " * 100_000 + ";"

    def test_a_heading_is_never_a_formula_either(self) -> None:
        assert read(encoded(table(group("=1"))))[0] == ["'=1"]


class TestCells:
    def test_numbers_stay_numbers_also_negative_ones(self) -> None:
        row = (-5, Decimal("-5.50"), -0.25)
        columns = (
            measure("n", pa.int64()),
            measure("d", pa.decimal128(38, 2)),
            measure("f", pa.float64()),
        )
        assert lines(*columns, row=row) == "-5,-5.50,-0.25"

    def test_a_day_is_a_date_and_a_month_has_no_day(self) -> None:
        day = date(2026, 10, 5)
        assert lines(DAY, MONTH, row=(day, date(2026, 10, 1))) == "2026-10-05,2026-10"

    def test_a_date_that_rows_are_grouped_by_has_a_day(self) -> None:
        assert lines(group(kind=pa.date32()), row=(date(2026, 10, 1),)) == "2026-10-01"

    def test_a_time_has_the_offset_of_its_zone_on_both_sides_of_a_clock_change(self) -> None:
        kind = pa.timestamp("ms", tz="Europe/Berlin")
        summer, winter = (
            lines(measure("t", kind), row=(datetime(2026, 10, 25, hour, 30, tzinfo=UTC),))
            for hour in (0, 1)
        )
        assert (summer, winter) == (
            "2026-10-25T02:30:00.000+02:00",
            "2026-10-25T02:30:00.000+01:00",
        )

    @pytest.mark.parametrize(
        ("text", "scale"),
        [("0.00000001", 8), ("12345678901234567890123456789012345678", 0), ("1E+3", 0), ("0", 20)],
    )
    def test_a_decimal_is_written_out_without_an_exponent(self, text: str, scale: int) -> None:
        cell = lines(measure("d", pa.decimal256(76, scale)), row=(Decimal(text),))
        assert re.fullmatch(r"-?\d+(\.\d+)?", cell)
        assert Decimal(cell) == Decimal(text)

    def test_nan_and_infinities_are_words(self) -> None:
        column = measure("f", pa.float64())
        cells = [lines(column, row=(float(name),)) for name in ("nan", "inf", "-inf")]
        assert cells == ["NaN", "Infinity", "-Infinity"]

    def test_an_empty_text_differs_from_no_value(self) -> None:
        of = table(group("a"), group("b"))
        written = encoded(of, ("", None)).encode()
        options = ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
        assert read_csv(io.BytesIO(written), convert_options=options).to_pylist() == [
            {"a": "", "b": None}
        ]

    @pytest.mark.parametrize(
        "column", [group("a"), measure("a", pa.int64())], ids=["text", "number"]
    )
    def test_a_row_without_a_value_in_the_only_column_is_not_lost(self, column: Described) -> None:
        of = table(column)
        written = encoded(of, (None,), (None,))
        assert read(written) == [["a"], [""], [""]]
        assert read_csv(io.BytesIO(written.encode())).num_rows == 2

    def test_a_type_that_exports_do_not_have_is_refused(self) -> None:
        with pytest.raises(TypeError, match="list"):
            plain([1])


class TestFile:
    def test_it_begins_with_a_byte_order_mark_and_every_line_ends_with_cr_lf(self) -> None:
        of = table(group("类别"), measure("n", pa.int64()))
        written = b"".join(Csv().encode(of, [batch(of, ("电子", 1), ("b", 2))], WarningCounts()))
        assert written == '\ufeff"类别","n"\r\n"电子",1\r\n"b",2\r\n'.encode()

    def test_each_batch_is_one_piece(self) -> None:
        of = table(measure("n", pa.int64()))
        pieces = list(Csv().encode(of, [batch(of, (1,)), batch(of, (2,), (3,))], WarningCounts()))
        assert pieces[1:] == [b"1\r\n", b"2\r\n3\r\n"]


@given(
    st.lists(
        st.tuples(
            st.none() | TEXTS,
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.decimals(-(10**31), 10**31, places=6),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.dates(),
        ),
        max_size=5,
    )
)
def test_other_programs_read_the_same_values(rows: list[tuple[object, ...]]) -> None:
    of = table(
        group("text"),
        measure("whole", pa.int64()),
        measure("exact", pa.decimal128(38, 6)),
        measure("float", pa.float64()),
        (Column(name="day", title="day", role="period", period="day"), pa.date32()),
    )
    written = encoded(of, *rows)
    heading, *found = read(written)
    assert heading == of.names
    assert [
        (
            undone(text),
            int(whole) if whole else None,
            Decimal(exact) if exact else None,
            float(number) if number else None,
            date.fromisoformat(day) if day else None,
        )
        for text, whole, exact, number, day in found
    ] == [(text or "", *others) for text, *others in rows]
    _assert_arrow_reads_the_same(written, rows)


def _assert_arrow_reads_the_same(written: str, rows: list[tuple[object, ...]]) -> None:
    kinds = {"text": pa.string(), "whole": pa.int64(), "float": pa.float64(), "day": pa.date32()}
    read_back = read_csv(
        io.BytesIO(written.encode()),
        parse_options=ParseOptions(newlines_in_values=True),
        convert_options=ConvertOptions(
            column_types={**kinds, "exact": pa.decimal128(38, 6)},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    assert [
        (
            None if row["text"] is None else undone(row["text"]),
            row["whole"],
            row["exact"],
            row["day"],
        )
        for row in read_back.to_pylist()
    ] == [(text, whole, exact, day) for text, whole, exact, _, day in rows]

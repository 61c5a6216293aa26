import csv
import io
from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from exports.errors import FormatUnknownError
from exports.formats import FORMATS, FileFormat, format_named
from exports.task_warnings import WarningCounts
from tests.rows import DAY, batch, group, measure, table
from tests.workbooks import cells

NAUGHTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\x00=1",
    " =1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "'=1",
    'a";=cmd|x!A1;"',
    "https://example.com/",
    "mailto:a@example.com",
    "<r><t>x</t></r>",
]
UNICODE = [
    "销售",
    "Ünïcödé",
    "🚀 rocket",
    "שלום",
    "e\u0301",
    "\ufeff bom",
    "\u2028",
    "tab\tin",
    "a\nb",
]


class FormatContract:
    """What every format promises. A subclass says how another program reads the file."""

    @property
    @abstractmethod
    def format(self) -> FileFormat: ...

    @abstractmethod
    def read(self, data: bytes) -> list[list[str]]:
        """Heading and rows as the text of each cell; no totals."""

    def rows(self, of: pa.Schema, *batches: pa.RecordBatch) -> list[list[str]]:
        return self.read(b"".join(self.format.encode(of, batches, WarningCounts())))

    def test_it_is_found_by_its_name(self) -> None:
        assert FORMATS[self.format.name] is format_named(self.format.name)
        assert type(format_named(self.format.name)) is type(self.format)

    def test_it_has_an_extension_without_a_dot_and_a_media_type(self) -> None:
        assert self.format.extension.isalnum()
        assert self.format.media_type.count("/") == 1

    def test_every_type_of_cell_comes_back(self) -> None:
        of = table(
            DAY,
            group(),
            measure("Whole", pa.int64()),
            measure("Exact", pa.decimal128(38, 2)),
            measure("Float", pa.float64()),
            measure("Last", pa.timestamp("ms", tz="Asia/Shanghai")),
            measure("Nothing", pa.null()),
        )
        last = datetime(2026, 10, 5, 20, 30, 1, tzinfo=UTC)
        row = (date(2026, 10, 5), "Books", -12, Decimal("-0.10"), 0.1, last, None)
        heading, cells_ = self.rows(of, batch(of, row))
        assert heading == ["Day", "Category", "Whole", "Exact", "Float", "Last", "Nothing"]
        assert cells_[0].startswith("2026-10-05")
        assert cells_[1] == "Books"
        assert [Decimal(text) for text in cells_[2:5]] == [-12, Decimal("-0.1"), Decimal("0.1")]
        assert cells_[5][:19].replace("T", " ") == "2026-10-06 04:30:01"
        assert cells_[6] == ""

    def test_no_value_is_an_empty_cell_in_every_column(self) -> None:
        of = table(DAY, group(), measure("Whole", pa.int64()), measure("Float", pa.float64()))
        first = (date(2026, 10, 5), "Books", 1, 1.0)
        assert self.rows(of, batch(of, (None,) * 4, first))[1] == ["", "", "", ""]

    @pytest.mark.parametrize("text", UNICODE)
    def test_unicode_comes_back_as_it_was(self, text: str) -> None:
        of = table(group(text), measure("Whole", pa.int64()))
        heading, row = self.rows(of, batch(of, (text, 1)))
        assert (heading[0], row[0]) == (text, text)

    @pytest.mark.parametrize("text", NAUGHTY)
    def test_text_that_looks_like_a_formula_or_a_link_is_text(self, text: str) -> None:
        of = table(group(text), measure("Whole", pa.int64()))
        heading, row = self.rows(of, batch(of, (text, 1)))
        for cell in (heading[0], row[0]):
            assert cell.replace("'", "") == text.replace("'", "")

    def test_an_export_without_rows_has_its_heading(self) -> None:
        of = table(DAY, measure("Whole", pa.int64(), "sum"))
        assert self.rows(of) == [["Day", "Whole"]]
        assert self.rows(of, batch(of)) == [["Day", "Whole"]]

    def test_one_row_is_one_row(self) -> None:
        of = table(group(), measure("Whole", pa.int64()))
        assert self.rows(of, batch(of, ("a", 1))) == [["Category", "Whole"], ["a", "1"]]

    def test_two_batches_give_the_rows_of_one(self) -> None:
        of = table(group(), measure("Whole", pa.int64()))
        rows = [("a", 1), ("b", 2), ("c", 3)]
        apart = self.rows(of, batch(of, *rows[:2]), batch(of), batch(of, *rows[2:]))
        assert apart == self.rows(of, batch(of, *rows))
        assert [row[0] for row in apart] == ["Category", "a", "b", "c"]

    def test_a_wide_row_keeps_the_order_of_its_columns(self) -> None:
        of = table(*(measure(f"Column {index}", pa.int64()) for index in range(300)))
        heading, row = self.rows(of, batch(of, range(300)))
        assert heading == [f"Column {index}" for index in range(300)]
        assert row == [str(index) for index in range(300)]

    def test_the_same_rows_give_the_same_bytes(self) -> None:
        of = table(DAY, group(), measure("Whole", pa.int64(), "sum"))
        rows = batch(of, (date(2026, 10, 5), "Books", 1), (date(2026, 10, 6), "Books", 2))
        first, second = (
            b"".join(self.format.encode(of, [rows], WarningCounts())) for _ in range(2)
        )
        assert first == second

    def test_no_piece_is_empty(self) -> None:
        of = table(group(), measure("Whole", pa.int64()))
        pieces = list(
            self.format.encode(of, [batch(of), batch(of, ("a", 1)), batch(of)], WarningCounts())
        )
        assert pieces
        assert all(pieces)

    def test_batches_are_pulled_one_at_a_time(self) -> None:
        of = table(group(), measure("Whole", pa.int64()))
        pulled: list[int] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(3):
                pulled.append(number)
                yield batch(of, ("a", number))

        pieces = self.format.encode(of, batches(), WarningCounts())
        assert pulled == []
        list(pieces)
        assert pulled == [0, 1, 2]

    def test_a_reader_that_fails_in_the_middle_is_heard(self) -> None:
        of = table(group(), measure("Whole", pa.int64()))

        def batches() -> Iterator[pa.RecordBatch]:
            yield batch(of, ("a", 1))
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            list(self.format.encode(of, batches(), WarningCounts()))


class TestCsv(FormatContract):
    @property
    def format(self) -> FileFormat:
        return format_named("csv")

    def read(self, data: bytes) -> list[list[str]]:
        return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


class TestXlsx(FormatContract):
    @property
    def format(self) -> FileFormat:
        return format_named("xlsx")

    def read(self, data: bytes) -> list[list[str]]:
        rows = [["" if cell is None else str(cell) for cell in row] for row in cells(data)]
        return [row for row in rows if row[0] != "Total"]


def test_an_unknown_format_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(FormatUnknownError, match=r"csv, xlsx") as caught:
        format_named("docx")
    assert caught.value.code == "E_FORMAT"

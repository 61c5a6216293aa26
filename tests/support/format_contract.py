"""What every file format promises, as tests to inherit."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Literal, NamedTuple

import pyarrow as pa
import pytest

from exports.formats import FileFormat, format_named
from exports.tables.columns import Column
from exports.tables.warnings import WarningCounts
from tests.support.rows import ABOUT, DAY, Described, batch, group, measure, table

FORMULAS_AND_LINKS = [
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


class File(NamedTuple):
    """What another program reads from a file.

    Attributes:
        heading: The names of the columns; None if the file does not say.
        rows: The text of each cell, empty where there is no value; without totals.
    """

    heading: list[str] | None
    rows: list[list[str]]


class FormatContract(ABC):
    """What every format promises. A subclass says how another program reads the file."""

    name: str
    """The name of the format."""
    headed_by: Literal["title", "name"] = "title"
    layout: Literal["stats", "rows"] = "stats"
    names_columns_without_rows = True
    max_batches_held = 5  # two, each as cells and as lines, and the next one
    """How many batches may be in memory at any time."""

    @abstractmethod
    def read(self, data: bytes) -> File:
        """Read a file with another program."""

    @property
    def format(self) -> FileFormat:
        return format_named(self.name)

    def table(self, *columns: Described) -> pa.Schema:
        return table(*columns, about=ABOUT.model_copy(update={"layout": self.layout}))

    def file(self, of: pa.Schema, *batches: pa.RecordBatch) -> File:
        return self.read(b"".join(self.format.encode(of, batches, WarningCounts())))

    def rows(self, of: pa.Schema, *batches: pa.RecordBatch) -> list[list[str]]:
        return self.file(of, *batches).rows

    def test_a_format_has_the_name_that_people_ask_for(self) -> None:
        assert self.format.name == self.name

    def test_a_format_has_an_extension_without_a_dot_and_a_media_type(self) -> None:
        assert re.fullmatch(r"[a-z]+(\.gz)?", self.format.extension)
        assert self.format.media_type.count("/") == 1

    def test_values_of_every_type_can_be_read_back(self) -> None:
        of = self.table(
            DAY,
            group(),
            measure("Small", pa.int32()),
            measure("Whole", pa.int64()),
            measure("Exact", pa.decimal128(38, 2)),
            measure("Wide", pa.decimal256(76, 30)),
            measure("Float", pa.float64()),
            measure("Flag", pa.bool_()),
            measure("Last", pa.timestamp("ms", tz="Asia/Shanghai")),
            measure("Nothing", pa.null()),
        )
        last = datetime(2026, 10, 5, 20, 30, 1, tzinfo=UTC)
        wide = Decimal("-1234567890123456789012345678901234567890.5")
        row = (
            *(date(2026, 10, 5), "Books", 7, -12, Decimal("-0.10"), wide, 0.1, True, last, None),
        )
        [found] = self.rows(of, batch(of, row))
        assert found[0].startswith("2026-10-05")
        assert found[1] == "Books"
        assert [Decimal(text) for text in found[2:7]] == [
            7,
            -12,
            Decimal("-0.1"),
            wide,
            Decimal("0.1"),
        ]
        assert found[7].lower() == "true"
        assert found[8][:19].replace("T", " ") == "2026-10-06 04:30:01"
        assert found[9] == ""

    def test_no_value_is_an_empty_cell_in_every_column(self) -> None:
        of = self.table(DAY, group(), measure("Whole", pa.int64()), measure("Float", pa.float64()))
        first = (date(2026, 10, 5), "Books", 1, 1.0)
        nothing, something = self.rows(of, batch(of, (None,) * 4, first))
        assert nothing == ["", "", "", ""]
        assert all(something)

    @pytest.mark.parametrize("text", UNICODE)
    def test_unicode_text_is_not_changed(self, text: str) -> None:
        of = self.table(group(text), measure("Whole", pa.int64()))
        heading, [row] = self.file(of, batch(of, (text, 1)))
        assert heading
        assert (heading[0], row[0]) == (text, text)

    @pytest.mark.parametrize("text", FORMULAS_AND_LINKS)
    def test_text_that_looks_like_a_formula_or_a_link_is_text(self, text: str) -> None:
        of = self.table(group(text), measure("Whole", pa.int64()))
        heading, [row] = self.file(of, batch(of, (text, 1)))
        assert heading
        for cell in (heading[0], row[0]):
            assert cell.replace("'", "") == text.replace("'", "")

    def test_columns_have_the_headings_that_the_format_uses(self) -> None:
        about = Column(name="cat", title="Category", role="field")
        of = self.table((about, pa.string()), measure("Whole", pa.int64()))
        heading = ["Category" if self.headed_by == "title" else "cat", "Whole"]
        assert self.file(of, batch(of, ("a", 1))).heading == heading

    def test_an_export_without_rows_is_a_valid_file(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64(), "sum"))
        heading = ["Category", "Whole"] if self.names_columns_without_rows else None
        assert self.file(of) == (heading, [])
        assert self.file(of, batch(of), batch(of)) == (heading, [])

    def test_one_row_is_one_row(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        assert self.file(of, batch(of, ("a", 1))) == (["Category", "Whole"], [["a", "1"]])

    @pytest.mark.parametrize("sizes", [[1000], [1000, 1000], [2, 0, 1, 999]])
    def test_the_rows_of_all_batches_keep_their_order(self, sizes: list[int]) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        rows = [(f"row {number}", number) for number in range(sum(sizes))]
        left = iter(rows)
        batches = [batch(of, *islice(left, size)) for size in sizes]
        assert self.rows(of, *batches) == [[text, str(number)] for text, number in rows]

    def test_a_slice_of_a_batch_writes_only_the_rows_of_the_slice(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()), measure("Flag", pa.bool_()))
        rows = [(None if number % 3 else str(number), number, None) for number in range(20)]
        whole = batch(of, *rows)
        assert self.rows(of, whole.slice(7, 5)) == self.rows(of, batch(of, *rows[7:12]))

    def test_a_wide_row_keeps_the_order_of_its_columns(self) -> None:
        of = self.table(*(measure(f"Column {index}", pa.int64()) for index in range(300)))
        heading, [row] = self.file(of, batch(of, range(300)))
        assert heading == [f"Column {index}" for index in range(300)]
        assert row == [str(index) for index in range(300)]

    def test_the_same_rows_give_the_same_bytes(self) -> None:
        of = self.table(DAY, group(), measure("Whole", pa.int64(), "sum"))
        rows = batch(of, (date(2026, 10, 5), "Books", 1), (date(2026, 10, 6), "Books", 2))
        first, second = (
            b"".join(self.format.encode(of, [rows], WarningCounts())) for _ in range(2)
        )
        assert first == second

    def test_no_piece_is_empty(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        pieces = list(
            self.format.encode(of, [batch(of), batch(of, ("a", 1)), batch(of)], WarningCounts())
        )
        assert pieces
        assert all(pieces)

    def test_batches_are_read_one_at_a_time_and_only_when_needed(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        read: list[int] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(3):
                read.append(number)
                yield batch(of, ("a", number))

        pieces = self.format.encode(of, batches(), WarningCounts())
        assert read == []
        list(pieces)
        assert read == [0, 1, 2]

    def test_batches_are_released_after_they_were_written(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        texts = ["x" * 200] * 5000
        size = batch(of, *zip(texts, range(5000), strict=True)).nbytes
        before = pa.total_allocated_bytes()
        held: list[int] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(12):
                held.append(pa.total_allocated_bytes() - before)
                yield batch(of, *zip(texts, range(number, number + 5000), strict=True))

        for _ in self.format.encode(of, batches(), WarningCounts()):
            pass
        assert max(held) < size * self.max_batches_held

    def test_an_error_while_reading_the_rows_is_raised(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))

        def batches() -> Iterator[pa.RecordBatch]:
            yield batch(of, ("a", 1))
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            list(self.format.encode(of, batches(), WarningCounts()))

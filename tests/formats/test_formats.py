import csv
import io
import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from tempfile import NamedTemporaryFile
from typing import Literal, NamedTuple

import duckdb
import pyarrow as pa
import pytest

from exports.errors import FormatUnknownError
from exports.formats import FORMATS, FileFormat, format_named
from exports.tables.columns import Column
from exports.tables.warnings import WarningCounts
from tests.support.parquet_files import parquet_table
from tests.support.rows import ABOUT, DAY, Described, batch, group, measure, table
from tests.support.workbooks import cells

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


class File(NamedTuple):
    """What another program finds in a file.

    heading: The names that it gives the columns; None if the file doesn't say.
    rows: The text of each cell, no value as an empty one; no totals.
    """

    heading: list[str] | None
    rows: list[list[str]]


class FormatContract:
    """What every format promises. A subclass says how another program reads the file."""

    headed_by: Literal["title", "name"] = "title"
    layout: Literal["stats", "rows"] = "stats"
    names_columns_without_rows = True
    batches_held = 4  # two are encoded side by side, and one is on its way to them
    """How many batches may be in memory at any moment."""

    @property
    @abstractmethod
    def format(self) -> FileFormat: ...

    @abstractmethod
    def read(self, data: bytes) -> File:
        """Read a file with another program."""

    def table(self, *columns: Described) -> pa.Schema:
        return table(*columns, about=ABOUT.model_copy(update={"layout": self.layout}))

    def file(self, of: pa.Schema, *batches: pa.RecordBatch) -> File:
        return self.read(b"".join(self.format.encode(of, batches, WarningCounts())))

    def rows(self, of: pa.Schema, *batches: pa.RecordBatch) -> list[list[str]]:
        return self.file(of, *batches).rows

    def test_it_is_found_by_its_name(self) -> None:
        assert FORMATS[self.format.name] is format_named(self.format.name)
        assert type(format_named(self.format.name)) is type(self.format)

    def test_it_has_an_extension_without_a_dot_and_a_media_type(self) -> None:
        assert re.fullmatch(r"[a-z]+(\.gz)?", self.format.extension)
        assert self.format.media_type.count("/") == 1

    def test_every_type_of_cell_comes_back(self) -> None:
        of = self.table(
            DAY,
            group(),
            measure("Small", pa.int32()),
            measure("Whole", pa.int64()),
            measure("Exact", pa.decimal128(38, 2)),
            measure("Wide", pa.decimal256(76, 30)),
            measure("Float", pa.float64()),
            measure("Sure", pa.bool_()),
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
    def test_unicode_comes_back_as_it_was(self, text: str) -> None:
        of = self.table(group(text), measure("Whole", pa.int64()))
        heading, [row] = self.file(of, batch(of, (text, 1)))
        assert heading
        assert (heading[0], row[0]) == (text, text)

    @pytest.mark.parametrize("text", NAUGHTY)
    def test_text_that_looks_like_a_formula_or_a_link_is_text(self, text: str) -> None:
        of = self.table(group(text), measure("Whole", pa.int64()))
        heading, [row] = self.file(of, batch(of, (text, 1)))
        assert heading
        for cell in (heading[0], row[0]):
            assert cell.replace("'", "") == text.replace("'", "")

    def test_columns_are_called_what_the_format_says(self) -> None:
        about = Column(name="cat", title="Category", role="field")
        of = self.table((about, pa.string()), measure("Whole", pa.int64()))
        heading = ["Category" if self.headed_by == "title" else "cat", "Whole"]
        assert self.file(of, batch(of, ("a", 1))).heading == heading

    def test_an_export_without_rows_has_no_rows_and_is_a_file_all_the_same(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64(), "sum"))
        heading = ["Category", "Whole"] if self.names_columns_without_rows else None
        assert self.file(of) == (heading, [])
        assert self.file(of, batch(of), batch(of)) == (heading, [])

    def test_one_row_is_one_row(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        assert self.file(of, batch(of, ("a", 1))) == (["Category", "Whole"], [["a", "1"]])

    @pytest.mark.parametrize("sizes", [[1000], [1000, 1000], [2, 0, 1, 999]])
    def test_the_rows_of_all_batches_come_in_their_order(self, sizes: list[int]) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        rows = [(f"row {number}", number) for number in range(sum(sizes))]
        left = iter(rows)
        batches = [batch(of, *islice(left, size)) for size in sizes]
        assert self.rows(of, *batches) == [[text, str(number)] for text, number in rows]

    def test_a_part_of_a_batch_is_only_that_part(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()), measure("Sure", pa.bool_()))
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

    def test_batches_are_pulled_one_at_a_time(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))
        pulled: list[int] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(3):
                pulled.append(number)
                yield batch(of, ("a", number))

        pieces = self.format.encode(of, batches(), WarningCounts())
        assert pulled == []
        list(pieces)
        assert pulled == [0, 1, 2]

    def test_batches_are_let_go_of_once_they_are_written(self) -> None:
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
        assert max(held) < size * self.batches_held

    def test_a_reader_that_fails_in_the_middle_is_heard(self) -> None:
        of = self.table(group(), measure("Whole", pa.int64()))

        def batches() -> Iterator[pa.RecordBatch]:
            yield batch(of, ("a", 1))
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            list(self.format.encode(of, batches(), WarningCounts()))


class TestCsv(FormatContract):
    @property
    def format(self) -> FileFormat:
        return format_named("csv")

    def read(self, data: bytes) -> File:
        heading, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        return File(heading, rows)


class TestNdjson(FormatContract):
    headed_by = "name"
    names_columns_without_rows = False

    @property
    def format(self) -> FileFormat:
        return format_named("ndjson")

    def read(self, data: bytes) -> File:
        *lines, after_the_last = data.split(b"\n")
        assert after_the_last == b""
        objects: list[dict[str, object]] = [json.loads(line) for line in lines]
        headings = {tuple(item) for item in objects}
        assert len(headings) <= 1, "every row has the same names in the same order"
        return File(
            list(*headings) or None,
            [["" if cell is None else str(cell) for cell in item.values()] for item in objects],
        )


class TestXlsx(FormatContract):
    @property
    def format(self) -> FileFormat:
        return format_named("xlsx")

    def read(self, data: bytes) -> File:
        heading, *rows = [
            ["" if cell is None else str(cell) for cell in row] for row in cells(data)
        ]
        return File(heading, [row for row in rows if row[0] != "Total"])


class TestXlsxRows(TestXlsx):
    layout = "rows"


class TestParquetInPyarrow(FormatContract):
    headed_by = "name"
    batches_held = 13
    """A row group, which all of them are here, and one to come."""

    @property
    def format(self) -> FileFormat:
        return format_named("parquet")

    def read(self, data: bytes) -> File:
        found = parquet_table(data)
        columns = [column.to_pylist() for column in found.columns]
        return File(
            found.column_names, [list(map(shown, row)) for row in zip(*columns, strict=True)]
        )


class TestParquetInDuckdb(TestParquetInPyarrow):
    def read(self, data: bytes) -> File:
        with NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
            file.write(data)
            file.flush()
            connection.execute("SET TimeZone = 'Asia/Shanghai'")
            table = connection.read_parquet(file.name)
            found = table.project("CAST(COLUMNS(*) AS VARCHAR)")
            return File(table.columns, [list(map(shown, row)) for row in found.fetchall()])


def shown(value: object) -> str:
    return "" if value is None else str(value)


def test_an_unknown_format_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(FormatUnknownError, match=", ".join(sorted(FORMATS))) as caught:
        format_named("docx")
    assert caught.value.code == "E_FORMAT"

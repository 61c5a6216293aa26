import gc
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pytest

from exports.errors import FormatLimitError
from exports.formats.xlsx.book import Xlsx
from exports.formats.xlsx.rows import Limits, encode_rows
from exports.tables.arrow import record_batch
from exports.tables.columns import Column
from exports.tables.warnings import TEXT_CUT, WarningCounts
from tests.support.rows import ROWS, batch, group, measure, numbered, table
from tests.support.workbooks import cell, cells, encoded, encoded_rows, xml_files

LONGEST: Final = 32_767
"""Characters (UTF-16 code units) in a cell."""


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

    @pytest.mark.parametrize(("total", "rows"), [(None, 1_048_576), ("sum", 1_048_574)])
    def test_more_rows_than_a_sheet_can_hold_are_refused(
        self, total: Literal["sum"] | None, rows: int
    ) -> None:
        of = table(measure("m", pa.int64(), total))
        batches = [record_batch([pa.nulls(size, pa.int64())], of) for size in (1, rows - 1)]
        with pytest.raises(FormatLimitError, match="1,048,576 rows"):
            encoded(of, batches)

    def test_a_sheet_can_hold_1048576_rows_with_heading_and_totals(self) -> None:
        of = table(group(), measure("m", pa.int64(), "sum"))
        rows = record_batch([pa.nulls(1_048_573, pa.string()), pa.nulls(1_048_573, pa.int64())], of)
        data = encoded(of, [rows, batch(of, ("last", 7))])
        assert '<row r="1048575"' in (xml := xml_files(data)["xl/worksheets/sheet1.xml"])
        assert '<row r="1048576"' in xml

    def test_more_columns_than_a_sheet_can_hold_are_refused(self) -> None:
        of = table(*(measure(str(index), pa.int64()) for index in range(16_385)))
        with pytest.raises(FormatLimitError, match="16,384 columns"):
            encoded(of, [])

    def test_a_file_of_more_than_4_gib_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1_000)
        of = table(group())
        with pytest.raises(FormatLimitError, match="4 GiB"):
            encoded(of, [batch(of, *((f"{number}",) for number in range(100)))])


class TestLongTextOfRows:
    def about(self, long_text: Literal["fail", "cut"]) -> pa.Schema:
        note = (Column(name="note", title="Remark", role="field"), pa.string())
        return table(note, about=ROWS.model_copy(update={"long_text": long_text}))

    @pytest.mark.parametrize("text", ["x" * LONGEST, "🚀" * 16_383 + "x", "<" * LONGEST])
    def test_a_text_of_32767_characters_fits(self, text: str) -> None:
        of = self.about("fail")
        assert cells(encoded_rows(of, batch(of, (text,)))) == [["Remark"], [text]]

    @pytest.mark.parametrize("text", ["x" * (LONGEST + 1), "🚀" * 16_384])
    def test_a_longer_text_fails_and_the_message_says_where_but_not_the_text(
        self, text: str
    ) -> None:
        of = self.about("fail")
        batches = [batch(of, *[("y",)] * 3), batch(of, ("y",), (None,), (text,))]
        with pytest.raises(
            FormatLimitError, match=r"^Row 3 of sheet 2 .* 32,767 characters .* 'Remark'"
        ) as caught:
            encoded_rows(of, *batches, limits=Limits(rows=5))
        assert text[:10] not in caught.value.msg

    @pytest.mark.parametrize(
        ("text", "cut"),
        [
            ("x" * (LONGEST + 1), "x" * LONGEST),
            ("🚀" * 16_384, "🚀" * 16_383),
            ("x" + "🚀" * 16_384, "x" + "🚀" * 16_383),
            ("销" * 40_000, "销" * LONGEST),
            ("\x00" * 40_000, "\x00" * LONGEST),
        ],
    )
    def test_a_longer_text_is_cut_between_two_characters_and_counted(
        self, text: str, cut: str
    ) -> None:
        of = self.about("cut")
        warn = WarningCounts()
        rows = batch(of, ("a",), (text,), (None,), (text,), ("x" * LONGEST,))
        data = b"".join(encode_rows(of, [rows], warn))
        assert [row[0] for row in cells(data)] == [
            "Remark", "a", cut, None, cut, "x" * LONGEST
        ]  # fmt: skip
        assert [(item.code, item.column, item.count) for item in warn.warnings] == [
            (TEXT_CUT, "note", 2)
        ]

    def test_a_text_that_fits_is_not_counted(self) -> None:
        of = self.about("cut")
        warn = WarningCounts()
        assert b"".join(encode_rows(of, [batch(of, ("🚀" * 16_383,))], warn))
        assert warn.warnings == []


class TestLimitsOfRows:
    def test_more_columns_than_a_sheet_can_hold_are_refused(self) -> None:
        of = table(*(measure(str(index), pa.int64()) for index in range(16_385)), about=ROWS)
        with pytest.raises(FormatLimitError, match="16,384 columns"):
            encoded_rows(of)

    def test_a_file_that_becomes_too_large_fails_before_all_rows_were_read(self) -> None:
        of = table(group(), measure("n", pa.int64()), about=ROWS)
        read: list[int] = []

        def batches() -> Iterable[pa.RecordBatch]:
            for first in range(0, 1_000_000, 10_000):
                read.append(first)
                yield numbered(of, first, first + 10_000)

        with pytest.raises(FormatLimitError, match="2 GiB"):
            list(encode_rows(of, batches(), WarningCounts(), Limits(file_bytes=100_000)))
        assert len(read) < 10


class TestTemporaryFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return tmp_path

    def test_no_file_is_left_after_the_export_was_read(self, folder: Path) -> None:
        of = table(group())
        assert encoded(of, [batch(of, ("a",))])
        assert list(folder.iterdir()) == []

    def test_no_file_is_left_if_the_reader_stops_half_way(self, folder: Path) -> None:
        of = table(group())
        pieces = Xlsx().encode(of, [batch(of, ("a",))], WarningCounts())
        next(pieces)
        assert list(folder.iterdir()) != []
        pieces.close()  # type: ignore[attr-defined]
        assert list(folder.iterdir()) == []

    def test_no_file_is_left_if_reading_the_rows_fails(self, folder: Path) -> None:
        of = table(group())

        def failing() -> Iterator[pa.RecordBatch]:
            yield batch(of, ("a",))
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            encoded(of, failing())
        assert list(folder.iterdir()) == []
        gc.collect()  # a file that is still open warns when it is collected: an error here

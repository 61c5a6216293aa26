import gc
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest

from exports.errors import FormatLimitError
from exports.formats.xlsx.book import Xlsx
from exports.tables.arrow import record_batch
from exports.tables.warnings import WarningCounts
from tests.support.rows import batch, group, measure, table
from tests.support.workbooks import cell, encoded, parts


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

    def test_a_file_too_large_for_its_container_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1_000)
        of = table(group())
        with pytest.raises(FormatLimitError, match="4 GiB"):
            encoded(of, [batch(of, *((f"{number}",) for number in range(100)))])


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
        pieces = Xlsx().encode(of, [batch(of, ("a",))], WarningCounts())
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
        gc.collect()  # a file that was left open warns when it is collected, and that fails

"""Every format keeps the contract, as several other programs read its files."""

import csv
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from pyarrow.csv import ConvertOptions, ParseOptions, read_csv

from exports.errors import FormatUnknownError
from exports.formats import FORMATS, format_named
from tests.support.format_contract import File, FormatContract
from tests.support.parquet_files import parquet_table
from tests.support.workbooks import cells


class TestCsv(FormatContract):
    name = "csv"

    def read(self, data: bytes) -> File:
        heading, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        return File(heading, rows)


class TestGzippedCsv(TestCsv):
    name = "csv.gz"

    def read(self, data: bytes) -> File:
        return super().read(gzip.decompress(data))


class TestCsvInDuckdb(FormatContract):
    name = "csv"

    def read(self, data: bytes) -> File:
        columns = {f"column{index}": "VARCHAR" for index in range(len(_titles(data)))}
        heading, *rows = _in_duckdb(
            """
            FROM read_csv(
                $file, columns = $columns, header = false, auto_detect = false, delim = ',',
                quote = '"', escape = '"', new_line = '\\r\\n'
            )
            """,
            data,
            "export.csv",
            columns=columns,
        ).rows
        return File(heading, rows)


class TestCsvInArrow(FormatContract):
    name = "csv"

    def read(self, data: bytes) -> File:
        as_text = ConvertOptions(column_types=dict.fromkeys(_titles(data), "string"))
        found = read_csv(
            io.BytesIO(data),
            parse_options=ParseOptions(newlines_in_values=True),
            convert_options=as_text,
        )
        return File(found.column_names, [list(row.values()) for row in found.to_pylist()])


class TestNdjson(FormatContract):
    name = "ndjson"
    headed_by = "name"
    names_columns_without_rows = False

    def read(self, data: bytes) -> File:
        *lines, after_the_last = data.split(b"\n")
        assert after_the_last == b""
        objects: list[dict[str, object]] = [json.loads(line) for line in lines]
        headings = {tuple(item) for item in objects}
        assert len(headings) <= 1, "every row has the same names in the same order"
        return File(list(*headings) or None, [_texts(item.values()) for item in objects])


class TestGzippedNdjson(TestNdjson):
    name = "ndjson.gz"

    def read(self, data: bytes) -> File:
        return super().read(gzip.decompress(data))


class TestNdjsonInDuckdb(FormatContract):
    name = "ndjson"
    headed_by = "name"
    names_columns_without_rows = False

    def read(self, data: bytes) -> File:
        return _in_duckdb(
            """
            SELECT CAST(COLUMNS(*) AS VARCHAR)
            FROM read_json($file, format = 'newline_delimited', map_inference_threshold = -1)
            """,
            data,
            f"export.{self.format.extension}",
        )


class TestGzippedNdjsonInDuckdb(TestNdjsonInDuckdb):
    name = "ndjson.gz"


class TestXlsx(FormatContract):
    name = "xlsx"

    def read(self, data: bytes) -> File:
        heading, *rows = map(_texts, cells(data))
        return File(heading, [row for row in rows if row[0] != "Total"])


class TestXlsxRows(TestXlsx):
    layout = "rows"


class TestParquetInPyarrow(FormatContract):
    name = "parquet"
    headed_by = "name"
    max_batches_held = 13  # a row group holds all batches of the test, and one is being read

    def read(self, data: bytes) -> File:
        found = parquet_table(data)
        columns = [column.to_pylist() for column in found.columns]
        return File(found.column_names, [_texts(row) for row in zip(*columns, strict=True)])


class TestParquetInDuckdb(TestParquetInPyarrow):
    def read(self, data: bytes) -> File:
        with TemporaryDirectory() as folder, duckdb.connect() as connection:
            file = Path(folder, "export.parquet")
            file.write_bytes(data)
            connection.execute("SET TimeZone = 'Asia/Shanghai'")
            table = connection.read_parquet(str(file))
            found = table.project("CAST(COLUMNS(*) AS VARCHAR)")
            return File(table.columns, [_texts(row) for row in found.fetchall()])


def _texts(row: Iterable[object]) -> list[str]:
    return ["" if value is None else str(value) for value in row]


def _titles(data: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def _in_duckdb(query: str, data: bytes, name: str, **params: object) -> File:
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        file = Path(folder, name)
        file.write_bytes(data)
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        found = connection.sql(query, params={"file": str(file), **params})
        rows = [_texts(row) for row in found.fetchall()]
        return File(found.columns if rows else None, rows)


def test_an_unknown_format_is_refused_with_the_names_of_all_formats() -> None:
    with pytest.raises(FormatUnknownError, match=", ".join(sorted(FORMATS))) as caught:
        format_named("docx")
    assert caught.value.code == "E_FORMAT"

import csv
import gzip
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from pyarrow.csv import ConvertOptions, ParseOptions, read_csv

from exports.formats import FileFormat, format_named
from tests.formats.test_formats import File, FormatContract, TestCsv, TestNdjson


class TestCsvInDuckdb(FormatContract):
    @property
    def format(self) -> FileFormat:
        return format_named("csv")

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
    @property
    def format(self) -> FileFormat:
        return format_named("csv")

    def read(self, data: bytes) -> File:
        as_text = ConvertOptions(column_types=dict.fromkeys(_titles(data), "string"))
        found = read_csv(
            io.BytesIO(data),
            parse_options=ParseOptions(newlines_in_values=True),
            convert_options=as_text,
        )
        return File(found.column_names, [list(row.values()) for row in found.to_pylist()])


class TestGzippedCsv(TestCsv):
    @property
    def format(self) -> FileFormat:
        return format_named("csv.gz")

    def read(self, data: bytes) -> File:
        return super().read(gzip.decompress(data))


class TestNdjsonInDuckdb(FormatContract):
    headed_by = "name"
    names_columns_without_rows = False

    @property
    def format(self) -> FileFormat:
        return format_named("ndjson")

    def read(self, data: bytes) -> File:
        return _in_duckdb(
            """
            SELECT CAST(COLUMNS(*) AS VARCHAR)
            FROM read_json($file, format = 'newline_delimited', map_inference_threshold = -1)
            """,
            data,
            f"export.{self.format.extension}",
        )


class TestGzippedNdjson(TestNdjson):
    @property
    def format(self) -> FileFormat:
        return format_named("ndjson.gz")

    def read(self, data: bytes) -> File:
        return super().read(gzip.decompress(data))


class TestGzippedNdjsonInDuckdb(TestNdjsonInDuckdb):
    @property
    def format(self) -> FileFormat:
        return format_named("ndjson.gz")


def _titles(data: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def _in_duckdb(query: str, data: bytes, name: str, **params: object) -> File:
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        file = Path(folder, name)
        file.write_bytes(data)
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        found = connection.sql(query, params={"file": str(file), **params})
        rows = [["" if cell is None else str(cell) for cell in row] for row in found.fetchall()]
        return File(found.columns if rows else None, rows)

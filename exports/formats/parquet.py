"""Apache Parquet, for programs: typed and compressed columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from exports.formats.base import FileFormat
from exports.formats.cell_texts import cell_texts
from exports.formats.pieces import Pieces
from exports.tables.arrow import column_of, fields_of, record_batch, schema_of
from exports.tables.columns import Column, columns_of, sheet_of
from exports.tables.warnings import WarningCounts

_GROUP_ROWS: Final = 100_000
"""Rows in a row group, if they are not larger than `_GROUP_BYTES`."""
_GROUP_BYTES: Final = 32 << 20


class Parquet(FileFormat):
    """One table with the columns of the report, under their names in the report.

    Values keep their types: decimals of up to 38 digits, dates, times as instants in UTC. Wider
    decimals are text with all their digits, because programs such as DuckDB would read them as
    floats. A column without any value is a text column, because many programs can't read a column
    without a type. The report's title is in the file's metadata. Titles and number formats of
    columns, and the zone of times, are in Arrow's metadata (`ARROW:schema`), which pyarrow reads
    and other programs ignore.

    Memory holds one row group: 100,000 rows, or 32 MiB if that is less.
    """

    name = "parquet"
    extension = "parquet"
    media_type = "application/vnd.apache.parquet"

    def encode(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        warn: WarningCounts,  # noqa: ARG002 -- parquet changes no value
    ) -> Iterator[bytes]:
        """Encode rows as parquet; see `FileFormat.encode`.

        Yields:
            Pieces of the file, one for each row group and one for the footer.
        """
        file = Pieces()
        columns = columns_of(schema)
        written = _written_schema(schema)
        with ParquetWriter(pa.PythonFile(file, mode="w"), written, compression="zstd") as writer:
            for group in _groups(_retyped(batch, columns, written) for batch in batches):
                writer.write_table(_taken(group, written), _GROUP_ROWS)
                yield file.take()
        yield file.take()


def _written_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with types that every reader knows, and metadata for people."""
    about = sheet_of(schema)
    fields = [
        _written_field(field, column)
        for field, column in zip(fields_of(schema), columns_of(schema), strict=True)
    ]
    return schema_of(fields, {b"title": about.title.encode(), b"summary": about.summary.encode()})


def _written_field(field: "pa.Field[Any]", column: Column) -> "pa.Field[Any]":
    metadata = {"title": column.title}
    if column.number_format is not None:
        metadata["number_format"] = column.number_format
    kind = pa.string() if _is_unreadable(field.type) else field.type
    return pa.field(field.name, kind, metadata=metadata)


def _is_unreadable(kind: pa.DataType) -> bool:
    return pa.types.is_null(kind) or pa.types.is_decimal256(kind)


def _retyped(
    batch: pa.RecordBatch, columns: Sequence[Column], written: pa.Schema
) -> pa.RecordBatch:
    arrays = [column_of(batch, index) for index in range(batch.num_columns)]
    return record_batch(
        [
            cell_texts(column, values) if _is_unreadable(values.type) else values
            for column, values in zip(columns, arrays, strict=True)
        ],
        written,
    )


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the rows of one row group after another."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        average = max(1, batch.nbytes // max(1, batch.num_rows))
        first = 0
        while first < batch.num_rows:
            room = max(1, min(_GROUP_ROWS - rows, (_GROUP_BYTES - size) // average))
            group.append(piece := batch.slice(first, room))
            first += piece.num_rows
            rows += piece.num_rows
            size += piece.num_rows * average
            if rows == _GROUP_ROWS or size + average > _GROUP_BYTES:
                yield group
                group, rows, size = [], 0, 0
    if group:
        yield group


def _taken(group: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Return the rows of a group, and empty the group, so that memory does not hold it twice."""
    table = pa.Table.from_batches(group, schema).combine_chunks()
    group.clear()
    return table

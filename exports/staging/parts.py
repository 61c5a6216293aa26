"""Staged parts as bytes: Arrow IPC streams."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import pyarrow as pa

from exports.errors import StagingError
from exports.tables.columns import sheet_of
from exports.tables.unify import note_digits

PART_DAMAGED: Final = "A staged part is damaged. Start the export again."
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class EncodedPart(NamedTuple):
    """A part as it is stored.

    Attributes:
        data: An Arrow IPC stream.
        schema_id: Equal for parts with equal schemas.
    """

    data: bytes
    schema_id: str


def encode_part(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> EncodedPart:
    """Return rows as an Arrow IPC stream, compressed with Zstandard.

    Zstandard is smaller and faster than LZ4 for rows of statistics: 3.4 instead of 4.7 MB, and 19
    instead of 44 ms, for 200,000 rows of five columns.

    Args:
        schema: Made by `exports.tables.columns.schema`.
        batches: All rows of the part; every batch has exactly this schema. Memory holds all.
    """
    rows = list(batches)
    # Rows of documents have the types that their report declares, so digits are not needed.
    noted = note_digits(schema, rows) if sheet_of(schema).layout == "stats" else schema
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, noted, options=options) as writer:
        for batch in rows:
            writer.write_batch(batch)  # pyright: ignore[reportUnknownMemberType] -- open stubs
    schema_id = hashlib.sha256(noted.serialize().to_pybytes()).hexdigest()[:16]
    return EncodedPart(sink.getvalue().to_pybytes(), schema_id)


def decode_part(data: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema and the rows of a staged part whose sha256 is right.

    Raises:
        StagingError: It is not a whole part. Raised by the iteration if the rows can't be read.
    """
    # Arrow accepts a stream that was cut off between two batches.
    if not data.endswith(_END_OF_STREAM):
        raise StagingError(PART_DAMAGED)
    try:
        reader = pa.ipc.open_stream(pa.BufferReader(data))
    except (pa.ArrowException, OSError):
        raise StagingError(PART_DAMAGED) from None
    return reader.schema, _batches(reader)


def schema_at_head_of(head: bytes) -> pa.Schema:
    """Return the schema of a staged part from its beginning.

    Raises:
        StagingError: It is not the beginning of a part, or it is too short.
    """
    try:
        return pa.ipc.open_stream(pa.BufferReader(head)).schema
    except (pa.ArrowException, OSError):
        raise StagingError(PART_DAMAGED) from None


def _batches(reader: pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError):
            raise StagingError(PART_DAMAGED) from None
        yield batch

"""Staged parts as bytes: Arrow IPC streams."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import pyarrow as pa

from exports.errors import StagingError
from exports.tables.columns import sheet_of
from exports.tables.unify import note_digits

_END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_NOT_A_PART: Final = "A staged part is not what was staged; export again."


class EncodedPart(NamedTuple):
    """A part to be stored.

    Attributes:
        data: An Arrow IPC stream.
        schema_id: The same for parts whose schemas are the same.
    """

    data: bytes
    schema_id: str


def encode_part(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> EncodedPart:
    """Return rows as an Arrow IPC stream, compressed with Zstandard.

    Zstandard, because on statistics rows it is both smaller and faster than LZ4 (3.4 against
    4.7 MB, and 19 against 44 ms, for 200,000 rows of five columns).

    Args:
        schema: Made by `exports.tables.columns.schema`.
        batches: All rows of the part; every batch has exactly this schema. All are held at once.
    """
    rows = list(batches)
    # Millions of rows have the types that their report says, and nobody looks at their digits.
    noted = note_digits(schema, rows) if sheet_of(schema).layout == "stats" else schema
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, noted, options=options) as writer:
        for batch in rows:
            writer.write_batch(batch)  # pyright: ignore[reportUnknownMemberType] -- open stubs
    schema_id = hashlib.sha256(noted.serialize().to_pybytes()).hexdigest()[:16]
    return EncodedPart(sink.getvalue().to_pybytes(), schema_id)


def decode_part(data: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema and the rows of a staged part.

    Raises:
        StagingError: It is not a whole part, also if that shows only in the middle of the rows.
    """
    # Arrow takes a stream that was cut off between two batches for a shorter one.
    if not data.endswith(_END):
        raise StagingError(_NOT_A_PART)
    try:
        reader = pa.ipc.open_stream(pa.BufferReader(data))
    except (pa.ArrowException, OSError):
        raise StagingError(_NOT_A_PART) from None
    return reader.schema, _batches(reader)


def schema_at_head_of(head: bytes) -> pa.Schema:
    """Return the schema of a staged part from its beginning.

    Raises:
        StagingError: It is not the beginning of a part, or too little of it.
    """
    try:
        return pa.ipc.open_stream(pa.BufferReader(head)).schema
    except (pa.ArrowException, OSError):
        raise StagingError(_NOT_A_PART) from None


def _batches(reader: pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = reader.read_next_batch()
            batch.validate(full=True)
        except StopIteration:
            return
        except (pa.ArrowException, OSError):
            raise StagingError(_NOT_A_PART) from None
        yield batch

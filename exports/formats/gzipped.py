"""Another format, compressed with gzip."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import pyarrow as pa
from isal import isal_zlib

from exports.formats.base import FileFormat
from exports.tables.warnings import WarningCounts

_LEVEL: Final = 1
"""ISA-L has the levels 0 to 3. Level 3 takes two to three times as long for 2 to 4 % less."""
_GZIP_HEADER: Final = 16
"""Added to the window bits for a gzip file; see deflateInit2 in zlib.h."""
_WINDOW_BITS: Final = 15
_BLOCK_BYTES: Final = 1 << 18


class Gzipped(FileFormat):
    """One gzip member (RFC 1952) without time and name, so that the same rows give the same bytes.

    This holds for the same release of Intel's ISA-L on the same kind of processor. With another
    release or processor the compressed bytes may differ; the content is the same.

    Args:
        content: The format that is compressed.
    """

    media_type = "application/gzip"

    def __init__(self, content: FileFormat) -> None:
        self.name = f"{content.name}.gz"
        self.extension = f"{content.extension}.gz"
        self._content = content

    def encode(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
    ) -> Iterator[bytes]:
        """Encode rows and compress; see `FileFormat.encode`.

        Yields:
            Compressed pieces, possibly fewer than there are batches.
        """
        compressor = _compressor()
        # Blocks of a fixed size: the output of ISA-L depends on how its input is cut, and how
        # rows are cut into batches differs between attempts.
        waiting = bytearray()
        for piece in self._content.encode(schema, batches, warn):
            waiting += piece
            while len(waiting) >= _BLOCK_BYTES:
                block = waiting[:_BLOCK_BYTES]
                del waiting[:_BLOCK_BYTES]
                if compressed := compressor.compress(block):
                    yield compressed
        yield compressor.compress(waiting) + compressor.flush()


class _Compressor(Protocol):
    def compress(self, data: bytearray, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor() -> _Compressor:
    return isal_zlib.compressobj(  # pyright: ignore[reportUnknownMemberType] -- open stubs
        _LEVEL, wbits=_GZIP_HEADER + _WINDOW_BITS
    )

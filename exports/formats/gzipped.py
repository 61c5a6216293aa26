"""Another format, compressed with gzip."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import pyarrow as pa
from isal import isal_zlib

from exports.formats.base import FileFormat
from exports.tables.warnings import WarningCounts

# Of igzip's levels 0 to 3 the one where files stop getting much smaller: level 3 takes two to
# three times as long for another 2 to 4 percent.
_LEVEL: Final = 1
_GZIP_HEADER: Final = 16  # added to the window's size, as zlib.h says of deflateInit2
_WINDOW: Final = 15
_BLOCK: Final = 1 << 18


class Gzipped(FileFormat):
    """One member of RFC 1952 without a time or a name, so that the same rows give the same bytes.

    It is compressed with Intel's ISA-L. With the same release of it on the same kind of
    processor, that is: another one may find other matches, and the bytes differ although the
    content is the same.

    Args:
        content: The format of what is compressed.
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
            What the compressor has ready, which may be less often than there are batches.
        """
        compressor = _compressor()
        # Always as much at once: ISA-L finds other matches where its input is cut elsewhere, and
        # how rows come in batches is no more than chance.
        waiting = bytearray()
        for piece in self._content.encode(schema, batches, warn):
            waiting += piece
            while len(waiting) >= _BLOCK:
                block = waiting[:_BLOCK]
                del waiting[:_BLOCK]
                if compressed := compressor.compress(block):
                    yield compressed
        yield compressor.compress(waiting) + compressor.flush()


class _Compressor(Protocol):
    def compress(self, data: bytearray, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor() -> _Compressor:
    return isal_zlib.compressobj(  # pyright: ignore[reportUnknownMemberType] -- open stubs
        _LEVEL, wbits=_GZIP_HEADER + _WINDOW
    )

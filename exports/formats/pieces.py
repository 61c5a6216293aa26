"""A file in memory whose content is handed on before the file is complete."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Pieces(io.RawIOBase):
    """A file for libraries to write, from start to end. `take` removes what was written."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """Return True: the file can be written."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written so far, those that were taken included."""
        return self._written

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of `data`; return its length in bytes."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """Return what was written since the last call; empty if nothing was written."""
        piece = b"".join(self._pieces)
        self._pieces.clear()
        return piece

"""What every file format is."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import pyarrow as pa

from exports.tables.warnings import WarningCounts


class FileFormat(Protocol):
    """One kind of file.

    Attributes:
        name: What people ask for: `csv`.
        extension: Ending of the file name, without the dot.
        media_type: Content type of the finished object.
    """

    @property
    def name(self) -> str:
        """What people ask for."""
        ...

    @property
    def extension(self) -> str:
        """Ending of the file name."""
        ...

    @property
    def media_type(self) -> str:
        """Content type of the finished object."""
        ...

    def encode(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
    ) -> Iterator[bytes]:
        """Encode rows as one file, in bounded memory. The same rows give the same bytes.

        Args:
            schema: Made by `exports.tables.columns.schema`; every batch has exactly this schema.
            batches: The rows, in order; possibly none. Pulled one at a time.
            warn: Told of values that had to be changed. Complete when the last piece is out.

        Yields:
            Pieces of the file, none of them empty.

        Raises:
            FormatLimitError: The rows do not fit into this kind of file.
        """
        ...

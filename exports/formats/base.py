"""What every file format is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import pyarrow as pa

from exports.tables.warnings import WarningCounts


class FileFormat(ABC):
    """One kind of file. A format is a subclass that sets the attributes and encodes rows.

    Attributes:
        name: What people ask for: `csv`.
        extension: Extension of the file name, without the dot before it: `csv`, `csv.gz`.
        media_type: Content type of the finished object.
    """

    name: str
    extension: str
    media_type: str

    @abstractmethod
    def encode(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
    ) -> Iterator[bytes]:
        """Encode rows as one file, in bounded memory. The same rows give the same bytes.

        Args:
            schema: Made by `exports.tables.columns.schema`; every batch has exactly this schema,
                but for what `with_about` may have attached for formats that have a place for it.
            batches: The rows, in order; possibly none. Read one batch at a time.
            warn: Counts values that had to be changed. Complete after the last piece.

        Yields:
            Pieces of the file. No piece is empty.

        Raises:
            FormatLimitError: The rows do not fit into this kind of file.
            TypeError: A column has a type that exports do not have.
        """

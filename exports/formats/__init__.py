"""File formats: Arrow record batches in, bytes out.

A new format is one module with one class and one line in `FORMATS`.
"""

from typing import Final

from exports.errors import FormatUnknownError
from exports.formats.base import FileFormat
from exports.formats.csv import Csv
from exports.formats.gzipped import Gzipped
from exports.formats.ndjson import Ndjson
from exports.formats.parquet import Parquet
from exports.formats.xlsx.book import Xlsx

__all__ = ["FORMATS", "FileFormat", "format_named"]

_ALL: Final[tuple[FileFormat, ...]] = (
    *(Csv(), Gzipped(Csv())),
    *(Ndjson(), Gzipped(Ndjson())),
    Parquet(),
    Xlsx(),
)
FORMATS: Final = {item.name: item for item in _ALL}


def format_named(name: str) -> FileFormat:
    """Return the format of that name.

    Raises:
        FormatUnknownError: There is none; the message lists those there are.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise FormatUnknownError(
            f"There is no format of that name; use one of: {', '.join(sorted(FORMATS))}."
        ) from None

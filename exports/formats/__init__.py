"""File formats: Arrow record batches in, bytes out.

A new format is one module with one class and one entry in `FORMATS`.
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

FORMATS: Final[dict[str, FileFormat]] = {
    item.name: item
    for item in (Csv(), Gzipped(Csv()), Ndjson(), Gzipped(Ndjson()), Parquet(), Xlsx())
}
"""All formats by name."""


def format_named(name: str) -> FileFormat:
    """Return the format with this name.

    Raises:
        FormatUnknownError: There is none; the message lists the formats that exist.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise FormatUnknownError(
            f"There is no format with this name. Use one of: {', '.join(sorted(FORMATS))}."
        ) from None

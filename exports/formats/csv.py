"""Comma-separated values, for spreadsheets at a double click and for programs."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Final

import pyarrow as pa

from exports.columns import Column, columns_of
from exports.formats.arrow import values_of
from exports.formats.text import plain, safe_text
from exports.task_warnings import WarningCounts

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END: Final = "\r\n"


class Csv:
    """UTF-8 with a byte-order mark, RFC 4180: lines end with CR LF, the first one holds titles.

    Every text is in quotes and nothing else is, so that programs tell an empty text (`""`) from
    no value (nothing), and `"007"` from a number. A text can't become a formula; see
    `exports.formats.text.safe_text`. Numbers stay as they are, the negative ones too.
    """

    @property
    def name(self) -> str:
        """What people ask for."""
        return "csv"

    @property
    def extension(self) -> str:
        """Ending of the file name."""
        return "csv"

    @property
    def media_type(self) -> str:
        """Content type of the finished object."""
        return "text/csv; charset=utf-8; header=present"

    def encode(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        warn: WarningCounts,  # noqa: ARG002 -- nothing is changed here
    ) -> Iterator[bytes]:
        """Encode rows as csv; see `exports.formats.base.FileFormat.encode`.

        Yields:
            The heading, then a piece for each batch that has rows.

        Raises:
            TypeError: A column has a type that no export has.
        """
        columns = columns_of(schema)
        writers = [_writer_of(column) for column in columns]
        heading = ",".join(_quoted(column.title) for column in columns)
        yield _BYTE_ORDER_MARK + f"{heading}{_LINE_END}".encode()
        for batch in batches:
            if batch.num_rows:
                yield _lines(batch, writers).encode()


def _lines(batch: pa.RecordBatch, writers: list[Callable[[object], str]]) -> str:
    cells = [
        ["" if value is None else write(value) for value in values]
        for write, values in zip(writers, values_of(batch), strict=True)
    ]
    return "".join(f"{','.join(row)}{_LINE_END}" for row in zip(*cells, strict=True))


def _writer_of(column: Column) -> Callable[[object], str]:
    return _month if column.period == "month" else _cell


def _cell(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else plain(value)


def _month(value: object) -> str:
    return f"{value.year:04}-{value.month:02}" if isinstance(value, date) else _cell(value)


def _quoted(text: str) -> str:
    return '"' + safe_text(text).replace('"', '""') + '"'

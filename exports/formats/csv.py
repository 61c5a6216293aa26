"""Comma-separated values, for spreadsheets at a double click and for programs."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from exports.formats.cell_texts import cell_texts
from exports.formats.formulas import safe_text, safe_texts
from exports.formats.side_by_side import encoded
from exports.formats.text_arrays import Cells, lines, replace, slices
from exports.tables.arrow import column_of
from exports.tables.columns import Column, columns_of
from exports.tables.warnings import WarningCounts

_BYTE_ORDER_MARK: Final = "\ufeff"
_LINE_END: Final = "\r\n"


class Csv:
    """UTF-8 with a byte-order mark, RFC 4180: lines end with CR LF, the first one holds titles.

    Every text is in quotes and nothing else is, so that programs tell an empty text (`""`) from
    no value (nothing, but `""` in a file of one column, where a line would be empty), and `"007"`
    from a number. A text can't become a formula; see `exports.formats.formulas.safe_text`. Numbers
    stay as they are, the negative ones too. How values are written is said in
    `exports.formats.cell_texts`.
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
            The heading, then a piece for each batch that has rows; several for a large one.

        Raises:
            TypeError: A column has a type that no export has.
        """
        columns = columns_of(schema)
        heading = ",".join(_quoted(column.title) for column in columns)
        yield f"{_BYTE_ORDER_MARK}{heading}{_LINE_END}".encode()
        between = ["", *[","] * (len(columns) - 1), _LINE_END]
        # Of one column, no value would be an empty line, which readers of csv skip.
        no_value = '""' if len(columns) == 1 else ""

        def encode(rows: pa.RecordBatch) -> bytes:
            cells = [_cells(column, column_of(rows, index)) for index, column in enumerate(columns)]
            return lines(cells, between, no_value=no_value)

        yield from encoded((rows for batch in batches for rows in slices(batch)), encode)


def _cells(column: Column, values: "pa.Array[Any]") -> Cells:
    texts = cell_texts(column, values)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return Cells(texts, in_quotes=False)
    return Cells(replace(safe_texts(texts), '"', '""'), in_quotes=True)


def _quoted(text: str) -> str:
    return '"' + safe_text(text).replace('"', '""') + '"'

"""Comma-separated values, for spreadsheets at a double click and for programs."""

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from exports.formats.base import FileFormat
from exports.formats.cell_texts import cell_texts
from exports.formats.formulas import BYTES_OF_FORMULAS, safe_text, safe_texts
from exports.formats.lines import Cells, encode_lines
from exports.formats.text_arrays import Texts, change_unique, has_any, is_text, replace
from exports.tables.arrow import AnyArray
from exports.tables.columns import Column, columns_of
from exports.tables.warnings import WarningCounts

_BYTE_ORDER_MARK: Final = "\ufeff"
_LINE_END: Final = "\r\n"
_QUOTE: Final = '"'


class Csv(FileFormat):
    """UTF-8 with a byte-order mark, RFC 4180: lines end with CR LF, the first one holds titles.

    Every text is in quotes and nothing else is, so that programs can tell an empty text (`""`)
    from no value (an empty field), and the text `"007"` from a number. In a file of one column, no
    value is `""` too, because readers skip an empty line. A text can't become a formula; see
    `exports.formats.formulas.safe_text`. Numbers are not changed, also negative ones.
    `exports.formats.cell_texts` says how values are written.
    """

    name = "csv"
    extension = "csv"
    media_type = "text/csv; charset=utf-8; header=present"

    def encode(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        warn: WarningCounts,  # noqa: ARG002 -- csv changes no value
    ) -> Iterator[bytes]:
        """Encode rows as csv; see `FileFormat.encode`.

        Yields:
            The heading, then one piece for each batch that has rows; several for a large batch.
        """
        columns = columns_of(schema)
        heading = ",".join(_quoted(column.title) for column in columns)
        yield f"{_BYTE_ORDER_MARK}{heading}{_LINE_END}".encode()
        yield from encode_lines(
            columns,
            batches,
            _cells,
            separators=["", *[","] * (len(columns) - 1), _LINE_END],
            no_value='""' if len(columns) == 1 else "",
        )


def _cells(column: Column, values: AnyArray) -> Cells:
    texts = cell_texts(column, values)
    if not is_text(values.type):
        return Cells(texts, in_quotes=False)
    if has_any(texts, _QUOTE.encode(), *BYTES_OF_FORMULAS):
        texts = change_unique(texts, lambda unique: _doubled(safe_texts(unique)))
    return Cells(texts, in_quotes=True)


def _doubled(texts: Texts) -> Texts:
    return replace(texts, _QUOTE, 2 * _QUOTE)


def _quoted(text: str) -> str:
    return _QUOTE + safe_text(text).replace(_QUOTE, 2 * _QUOTE) + _QUOTE

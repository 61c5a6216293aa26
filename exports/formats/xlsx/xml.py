"""Rows of an xlsx sheet as XML, made from whole Arrow columns.

The rules for a cell are those of `exports.formats.xlsx.cells.write_cell`, applied to columns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from exports.errors import FormatLimitError
from exports.formats.text_arrays import (
    Texts,
    change,
    fill_null,
    has_any,
    has_control,
    is_text,
    join,
    joined_bytes,
    replace,
)
from exports.formats.xlsx.cells import MAX_TEXT
from exports.formats.xlsx.values import as_text, cell_numbers, choose
from exports.tables.arrow import AnyArray, column_of
from exports.tables.columns import Column
from exports.tables.warnings import TEXT_CUT, WarningCounts

# Characters that XML 1.0 does not allow, and the carriage return, which XML parsers turn into a
# line feed. ECMA-376 part 1, 22.9.2.19 (ST_Xstring) writes them as _xHHHH_; in a text that already
# contains such a sequence, the first underscore is written that way.
_ESCAPED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_HAS_ESCAPED: Final = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]|_x[0-9A-Fa-f]{4}_"
# A text without these bytes, and without one below a space, has none of them.
_BYTES_OF_ESCAPED: Final = (b"_x", b"\xef\xbf")
_MARKUP: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))

_TEXT: Final = (' t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>")
_NUMBER: Final = ("><v>", "</v></c>")
_BOOLEAN: Final = (' t="b"><v>', "</v></c>")


@dataclass(frozen=True)
class SheetColumn:
    """A column of a sheet: its place and the look of its cells.

    Attributes:
        letters: The column's name in the sheet: `AB`.
        style: The style attribute of its cells, as XML: ` s="3"`; empty for the default style.
        column: The column.
    """

    letters: str
    style: str
    column: Column


class RowWriter:
    """Turns rows into XML.

    Args:
        columns: One for each column of the rows.
        long_text: What happens to a text that is longer than a cell can hold; see
            `exports.tables.columns.Sheet`.
        warn: Counts texts that were cut.
    """

    def __init__(
        self, columns: Sequence[SheetColumn], long_text: Literal["fail", "cut"], warn: WarningCounts
    ) -> None:
        self._columns = columns
        self._long_text = long_text
        self._warn = warn

    def xml_of(self, batch: pa.RecordBatch, *, sheet: int, first: int) -> bytes:
        """Return the rows of a batch as XML.

        Args:
            batch: One row or more, some megabytes at most.
            sheet: The number of the sheet, from 1.
            first: The number of the first row in its sheet, from 1.

        Raises:
            FormatLimitError: A text is longer than a cell can hold, and may not be cut.
            TypeError: A column has a type that exports do not have.
        """
        numbers = as_text(pa.array(range(first, first + batch.num_rows)))
        pieces: list[Texts | str] = ['<row r="', numbers, '">']
        for index, column in enumerate(self._columns):
            values = column_of(batch, index)
            if is_text(values.type):
                values = self._within_limit(column, as_text(values), sheet, first)
            pieces += _cells(column, values, numbers)
        return joined_bytes(*_merged([*pieces, "</row>"]))

    def _within_limit(self, column: SheetColumn, texts: Texts, sheet: int, first: int) -> Texts:
        # A text never has fewer bytes in UTF-8 than code units in UTF-16.
        if (_longest(texts) or 0) <= MAX_TEXT:
            return texts
        before: list[str | None] = texts.to_pylist()
        after = [None if text is None else _cut(text) for text in before]
        changed = [
            row for row, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]
        ]
        if changed and self._long_text == "fail":
            raise FormatLimitError(
                f"Row {first + changed[0]:,} of sheet {sheet} holds a text of more than"
                f" {MAX_TEXT:,} characters in the column {column.column.title!r}, which is the"
                " limit of a cell in an xlsx file; csv has no such limit."
            )
        self._warn.add(TEXT_CUT, column.column.name, len(changed))
        return pa.array(after, pa.string())


def _cells(column: SheetColumn, values: AnyArray, numbers: Texts) -> list[Texts | str]:
    """Return the pieces that joined make the cells of a column; no cell where there is no value."""
    if pa.types.is_null(values.type):
        return []
    opening: Texts | str
    closing: Texts | str
    if is_text(values.type):
        texts = _escaped(as_text(values))
        opening, closing = _TEXT
    elif pa.types.is_boolean(values.type):
        texts = as_text(values.cast(pa.int8()))
        opening, closing = _BOOLEAN
    else:
        texts, stored_as_text = cell_numbers(column.column, values)
        opening, closing = _NUMBER
        if stored_as_text is not None:
            opening, closing = (
                choose(stored_as_text, *pair) for pair in zip(_TEXT, _NUMBER, strict=True)
            )
    pieces: list[Texts | str] = [
        f'<c r="{column.letters}',
        numbers,
        f'"{column.style}',
        opening,
        texts,
        closing,
    ]
    return [fill_null(join(*_merged(pieces)), "")] if texts.null_count else pieces


def _escaped(texts: Texts) -> Texts:
    if has_control(texts) or has_any(texts, *_BYTES_OF_ESCAPED):
        texts = change(texts, _HAS_ESCAPED, lambda text: _ESCAPED.sub(_escape, text))
    for character, entity in _MARKUP:
        texts = replace(texts, character, entity)
    return texts


def _escape(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def _merged(pieces: Sequence[Texts | str]) -> list[Texts | str]:
    """Return pieces, neighbours joined that are the same in every row."""
    merged: list[Texts | str] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, str) and isinstance(last, str):
            merged[-1] = last + piece
        else:
            merged.append(piece)
    return merged


def _longest(texts: Texts) -> int | None:
    longest: int | None = pc.max(pc.binary_length(texts)).as_py()
    return longest


def _cut(text: str) -> str:
    """Return as much of a text as a cell can hold; no character is cut in half."""
    units = text.encode("utf-16-le")[: MAX_TEXT * 2]
    return units.decode("utf-16-le", "ignore")

"""Rows of an xlsx sheet as XML, made of whole Arrow columns.

The rules for a cell are those of `exports.formats.xlsx.cells.write_cell`, applied to columns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from exports.errors import FormatLimitError
from exports.formats.text_arrays import Texts, all_bytes, change, fill_null, join, replace
from exports.formats.xlsx.cells import MAX_TEXT
from exports.formats.xlsx.values import is_text, shown, text_of, where
from exports.tables.arrow import column_of
from exports.tables.columns import Column
from exports.tables.warnings import TEXT_CUT, WarningCounts

# What XML 1.0 has no way to write, and the carriage return, which its readers turn into a line
# feed. ECMA-376 part 1, 22.9.2.19 (ST_Xstring) writes _xHHHH_ for them; so a text that looks like
# that has its first underscore written that way.
_ESCAPED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_HAS_ESCAPED: Final = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]|_x[0-9A-Fa-f]{4}_"
_MARKUP: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))

_TEXT: Final = (' t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>")
_NUMBER: Final = ("><v>", "</v></c>")
_BOOLEAN: Final = (' t="b"><v>', "</v></c>")


@dataclass(frozen=True)
class Place:
    """Where a column's cells stand, and how they look.

    Attributes:
        letters: The column's name in the sheet: `AB`.
        style: The attribute that gives a cell its look, as XML; empty for none: ` s="3"`.
        column: What is in it.
    """

    letters: str
    style: str
    column: Column


class RowXml:
    """Writes rows.

    Args:
        places: One for each column.
        long_text: What becomes of a text that is longer than a cell can be; see
            `exports.tables.columns.Sheet`.
        warn: Told of texts that were cut.
    """

    def __init__(
        self, places: Sequence[Place], long_text: Literal["fail", "cut"], warn: WarningCounts
    ) -> None:
        self._places = places
        self._long_text = long_text
        self._warn = warn

    def rows(self, batch: pa.RecordBatch, *, sheet: int, first: int) -> bytes:
        """Return the rows of a batch as XML.

        Args:
            batch: One row or more, some megabytes at most.
            sheet: The number of the sheet, from 1.
            first: The number of the first row in its sheet, from 1.

        Raises:
            FormatLimitError: A text is longer than a cell can be, and is not to be cut.
            TypeError: A column has a type that no export has.
        """
        numbers = text_of(pa.array(range(first, first + batch.num_rows)))
        pieces: list[Texts | str] = ['<row r="', numbers, '">']
        for index, place in enumerate(self._places):
            values = column_of(batch, index)
            if is_text(values.type):
                values = self._within_limit(place, text_of(values), sheet, first)
            pieces += _cells(place, values, numbers)
        return all_bytes(join(*_merged([*pieces, "</row>"])))

    def _within_limit(self, place: Place, texts: Texts, sheet: int, first: int) -> Texts:
        # UTF-8 never has fewer bytes than UTF-16 has units.
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
                f" {MAX_TEXT:,} characters in the column {place.column.title!r}, which is all that"
                " a cell of an xlsx file takes; csv has no such limit."
            )
        self._warn.add(TEXT_CUT, place.column.name, len(changed))
        return pa.array(after, pa.string())


def _cells(place: Place, values: "pa.Array[Any]", numbers: Texts) -> list[Texts | str]:
    """Return what makes a column's cells if it is joined, an empty text for no value."""
    if pa.types.is_null(values.type):
        return []
    opening: Texts | str
    closing: Texts | str
    if is_text(values.type):
        texts = _escaped(text_of(values))
        opening, closing = _TEXT
    elif pa.types.is_boolean(values.type):
        texts = text_of(values.cast(pa.int8()))
        opening, closing = _BOOLEAN
    else:
        texts, as_text = shown(place.column, values)
        opening, closing = _NUMBER
        if as_text is not None:
            opening, closing = (where(as_text, *pair) for pair in zip(_TEXT, _NUMBER, strict=True))
    pieces: list[Texts | str] = [
        f'<c r="{place.letters}',
        numbers,
        f'"{place.style}',
        opening,
        texts,
        closing,
    ]
    return [fill_null(join(*_merged(pieces)), "")] if texts.null_count else pieces


def _escaped(texts: Texts) -> Texts:
    texts = change(texts, _HAS_ESCAPED, lambda text: _ESCAPED.sub(_escape, text))
    for sign, entity in _MARKUP:
        texts = replace(texts, sign, entity)
    return texts


def _escape(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def _merged(pieces: Sequence[Texts | str]) -> list[Texts | str]:
    """Return pieces with those put together that are the same in every row."""
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
    """Return as much of a text as a cell takes; no character is cut in half."""
    units = text.encode("utf-16-le")[: MAX_TEXT * 2]
    return units.decode("utf-16-le", "ignore")

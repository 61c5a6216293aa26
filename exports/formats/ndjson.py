"""JSON lines, for programs: one object per row."""

import json
from collections.abc import Iterable, Iterator
from typing import Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from exports.formats.base import FileFormat
from exports.formats.cell_texts import cell_texts
from exports.formats.lines import Cells, encode_lines
from exports.formats.text_arrays import (
    FIRST_PRINTABLE,
    Texts,
    change_unique,
    change_where,
    has_any,
    has_control,
    is_text,
    join,
    matches,
    replace,
)
from exports.tables.arrow import AnyArray, kernel
from exports.tables.columns import Column, columns_of
from exports.tables.warnings import WarningCounts

_MAX_SAFE_INTEGER: Final = 2**53 - 1
_SHORT_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Ndjson(FileFormat):
    r"""UTF-8, a JSON object (RFC 8259) and a line feed for each row; no heading.

    The names of a row are the names of the columns in the report, not their titles, in the order
    of the columns; every row has all of them, with `null` where there is no value. An export
    without rows is an empty file.

    Numbers that a reader with doubles would change are strings, as RFC 7493, 2.2 recommends: every
    decimal (`"12.50"`), and integers above 2^53 - 1 or below -(2^53 - 1) (`"9007199254740993"`).
    Other integers, floats and booleans are JSON numbers and booleans. JSON has no NaN and no
    infinities: they are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`. Dates and times are
    strings as `exports.formats.cell_texts` writes them.

    Texts are not changed: JSON has no formulas.
    """

    name = "ndjson"
    extension = "ndjson"
    media_type = "application/x-ndjson"

    def encode(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        warn: WarningCounts,  # noqa: ARG002 -- ndjson changes no value
    ) -> Iterator[bytes]:
        """Encode rows as JSON lines; see `FileFormat.encode`.

        Yields:
            One piece for each batch that has rows; several for a large batch.
        """
        columns = columns_of(schema)
        names = [json.dumps(column.name, ensure_ascii=False) + ":" for column in columns]
        return encode_lines(
            columns,
            batches,
            _cells,
            separators=["{" + names[0], *("," + name for name in names[1:]), "}\n"],
            no_value="null",
        )


def _cells(column: Column, values: AnyArray) -> Cells:
    texts = cell_texts(column, values)
    kind = values.type
    if is_text(kind):
        return Cells(_escaped(texts), in_quotes=True)
    if pa.types.is_int64(kind) or pa.types.is_uint64(kind):
        return Cells(_in_quotes_where(_is_unsafe(values), texts), in_quotes=False)
    if pa.types.is_floating(kind):
        special = kernel("invert", kernel("is_finite", values))
        return Cells(_in_quotes_where(special, texts), in_quotes=False)
    is_literal = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    return Cells(texts, in_quotes=not is_literal)


def _is_unsafe(integers: AnyArray) -> AnyArray:
    kind: pa.DataType = integers.type
    above = kernel("greater", integers, pa.scalar(_MAX_SAFE_INTEGER, kind))
    if pa.types.is_unsigned_integer(kind):
        return above
    below = kernel("less", integers, pa.scalar(-_MAX_SAFE_INTEGER, kind))
    return kernel("or", above, below)


def _in_quotes_where(mask: AnyArray, texts: Texts) -> Texts:
    if not pc.any(mask).as_py():
        return texts
    return cast("Texts", kernel("if_else", mask, join('"', texts, '"'), texts))


def _escaped(texts: Texts) -> Texts:
    if has_control(texts) or has_any(texts, b'"', b"\\"):
        return change_unique(texts, _escaped_each)
    return texts


def _escaped_each(texts: Texts) -> Texts:
    for character, escape in _SHORT_ESCAPES.items():
        texts = replace(texts, character, escape)
    return change_where(texts, matches(texts, r"[\x00-\x1f]"), _with_controls_escaped)


def _with_controls_escaped(text: str) -> str:
    return "".join(
        f"\\u{ord(character):04x}" if ord(character) < FIRST_PRINTABLE else character
        for character in text
    )

"""Arrow arrays of texts, changed and joined without a Python object for each text."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exports.tables.arrow import AnyArray, dictionary_of, kernel

Texts: TypeAlias = pa.StringArray
"""An array of texts, some of which may be null."""

FIRST_PRINTABLE: Final = 0x20
_SLICE_ROWS: Final = 8_192
_SLICE_BYTES: Final = 8 << 20
_BYTES_OF_CELL: Final = 8


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch in slices of some megabytes.

    The text of a slice is a few times its size: it fits into the processor's cache, and is far
    smaller than 2 GiB, the limit of an Arrow array of texts.
    """
    # Joining cells takes some bytes for each, also if they hold nothing.
    least = max(1, _BYTES_OF_CELL * batch.num_columns)
    average = max(least, batch.nbytes // max(1, batch.num_rows))
    step = max(1, min(_SLICE_ROWS, _SLICE_BYTES // average))
    for first in range(0, batch.num_rows, step):
        yield batch.slice(first, step)


def join(*pieces: Texts | str) -> Texts:
    """Return pieces joined row by row; null where one of them is null.

    Args:
        pieces: Arrays, at least one, and texts that are the same in every row.
    """
    return _texts("binary_join_element_wise", *map(_datum, pieces), pa.scalar(""))


def joined_bytes(*pieces: Texts | str) -> bytes:
    """Return all pieces of the first row in UTF-8, then those of the second one, and so on.

    For many pieces, this takes two thirds of the time of `join`.

    Args:
        pieces: As in `join`, of strings that are not large. Null is as an empty text.
    """
    arrays = [piece for piece in pieces if not isinstance(piece, str)]
    same = [piece for piece in pieces if isinstance(piece, str)]
    rows = np.arange(len(arrays[0]), dtype=np.int32)
    # Where each piece of each row is in all of them, one after the other.
    which = np.empty((len(rows), len(pieces)), np.int32)
    first, at = 0, len(rows) * len(arrays)
    for column, piece in enumerate(pieces):
        if isinstance(piece, str):
            which[:, column] = at
            at += 1
        else:
            which[:, column] = first + rows
            first += len(rows)
    return all_bytes(
        _texts(
            "take",
            pa.concat_arrays([*arrays, pa.array(same, pa.string())]),
            pa.array(which.ravel()),
        )
    )


def replace(texts: Texts, old: str, new: str) -> Texts:
    """Return texts with every `old` replaced by `new`."""
    if not has_any(texts, old.encode()):
        return texts
    return _texts("replace_substring", texts, options=pc.ReplaceSubstringOptions(old, new))


def change(texts: Texts, pattern: str, by: Callable[[str], str]) -> Texts:
    """Return texts, with those changed that match a pattern.

    Args:
        texts: The texts.
        pattern: A regular expression in the syntax of RE2, found anywhere in a text.
        by: Changes a text. Called once for all rows with the same text.
    """
    return change_unique(texts, lambda unique: change_where(unique, matches(unique, pattern), by))


def change_unique(texts: Texts, by: Callable[[Texts], Texts]) -> Texts:
    """Return texts changed by a function that gets each different text once, and no null.

    Many columns, such as notes and categories, have few different texts.
    """
    unique, which = dictionary_of(kernel("dictionary_encode", texts))
    return _texts("take", by(cast("Texts", unique)), which)


def change_where(texts: Texts, marked: AnyArray, by: Callable[[str], str]) -> Texts:
    """Return texts, with those changed that are true in a mask, one after another, in Python."""
    changed = [by(str(text)) for text in kernel("filter", texts, marked).to_pylist()]
    return _texts("replace_with_mask", texts, marked, pa.array(changed, pa.string()))


def matches(texts: Texts, pattern: str) -> AnyArray:
    """Return which texts match a regular expression in the syntax of RE2; null does not match."""
    found = kernel("match_substring_regex", texts, options=pc.MatchSubstringOptions(pattern))
    return kernel("coalesce", found, pa.scalar(value=False))


def has_any(texts: Texts, *marks: bytes) -> bool:
    """Whether one of these is in `all_bytes`: in a text, between two texts, or under a null."""
    data = all_bytes(texts)
    return any(mark in data for mark in marks)


def fill_null(texts: Texts, text: str) -> Texts:
    """Return texts with null replaced by `text`."""
    return _texts("coalesce", texts, pa.scalar(text))


def all_bytes(texts: Texts) -> bytes:
    """Return the texts in UTF-8, one directly after the other.

    If the array has nulls, the result may hold bytes that do not belong to a text.
    """
    _, ends, data = texts.buffers()
    if ends is None or data is None:
        return b""
    offsets = pa.Array.from_buffers(pa.int32(), len(texts) + 1, [None, ends], offset=texts.offset)
    first, last = offsets[0].as_py(), offsets[len(texts)].as_py()
    return data.slice(first, last - first).to_pybytes()


def has_control(texts: Texts) -> bool:
    """Whether a character of the texts is below the space: a control character of ASCII."""
    data = all_bytes(texts)
    if not data:
        return False
    numbers = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    return bool(pc.min(numbers).as_py() < FIRST_PRINTABLE)


def with_bytes(texts: Texts, data: bytes) -> Texts:
    """Return texts with other bytes; each text keeps its length in bytes.

    Args:
        texts: An array that begins at the start of its buffer, as the result of a cast does.
        data: The new bytes of all texts, in UTF-8, as many as in `all_bytes(texts)`.
    """
    valid, ends, _ = texts.buffers()
    return cast(
        "Texts",
        pa.Array.from_buffers(
            pa.string(), len(texts), [valid, ends, pa.py_buffer(data)], texts.null_count
        ),
    )


def _datum(piece: Texts | str) -> "Texts | pa.StringScalar":
    return pa.scalar(piece, pa.string()) if isinstance(piece, str) else piece


def _texts(name: str, *arguments: object, options: pc.FunctionOptions | None = None) -> Texts:
    return cast("Texts", kernel(name, *arguments, options=options))

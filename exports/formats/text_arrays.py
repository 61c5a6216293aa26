"""Arrow arrays of texts, changed and put together without a Python object for each."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from exports.tables.arrow import AnyArray, dictionary_of, kernel

Texts: TypeAlias = pa.StringArray
"""An array of texts, some of which may be null."""

_ROWS: Final = 16_384
_BYTES: Final = 8 << 20


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch, some megabytes at a time.

    What is made of a slice is a few times its size, stays in the processor's cache, and is far
    from the 2 GiB that an Arrow array of texts can hold.
    """
    average = max(1, batch.nbytes // max(1, batch.num_rows))
    step = max(1, min(_ROWS, _BYTES // average))
    for first in range(0, batch.num_rows, step):
        yield batch.slice(first, step)


def join(*pieces: Texts | str) -> Texts:
    """Return pieces put together row by row; null where one of them is null.

    Args:
        pieces: Arrays, at least one, and texts that are the same in every row.
    """
    return _texts("binary_join_element_wise", *map(_datum, pieces), pa.scalar(""))


def replace(texts: Texts, old: str, new: str) -> Texts:
    """Return texts with `new` wherever there was `old`."""
    if old.encode() not in all_bytes(texts):
        return texts
    return _texts("replace_substring", texts, options=pc.ReplaceSubstringOptions(old, new))


def change(texts: Texts, pattern: str, by: Callable[[str], str]) -> Texts:
    """Return texts, those changed that match a pattern.

    Args:
        texts: The texts.
        pattern: A regular expression in the syntax of RE2, found anywhere in a text.
        by: Changes a text. It is called once for all rows whose texts are the same.
    """

    def all_by(different: Texts) -> Texts:
        return one_by_one(different, kernel("is_valid", different), by)

    return change_different(texts, pattern, all_by)


def change_different(texts: Texts, pattern: str, by: Callable[[Texts], Texts]) -> Texts:
    """Return texts, those changed that match a pattern.

    Args:
        texts: The texts.
        pattern: As in `change`.
        by: Changes all texts that match, each different one once. Not called if there are none.
    """
    marked = matches(texts, pattern)
    chosen = kernel("dictionary_encode", kernel("filter", texts, marked))
    if not len(chosen):
        return texts
    before, which = dictionary_of(chosen)
    after = by(cast("Texts", before))
    return _texts("replace_with_mask", texts, marked, kernel("take", after, which))


def one_by_one(texts: Texts, marked: AnyArray, by: Callable[[str], str]) -> Texts:
    """Return texts, those that a mask marks changed one after another, in Python."""
    changed = [by(str(text)) for text in kernel("filter", texts, marked).to_pylist()]
    return _texts("replace_with_mask", texts, marked, pa.array(changed, pa.string()))


def matches(texts: Texts, pattern: str) -> AnyArray:
    """Return which texts a regular expression in the syntax of RE2 is found in; null in none."""
    found = kernel("match_substring_regex", texts, options=pc.MatchSubstringOptions(pattern))
    return kernel("coalesce", found, pa.scalar(value=False))


def fill_null(texts: Texts, text: str) -> Texts:
    """Return texts with `text` where there was null."""
    return _texts("coalesce", texts, pa.scalar(text))


def all_bytes(texts: Texts) -> bytes:
    """Return the texts in UTF-8, one right after the other.

    Where an array has nulls, the result may hold bytes that belong to no text.
    """
    _, ends, data = texts.buffers()
    if ends is None or data is None:
        return b""
    offsets = pa.Array.from_buffers(pa.int32(), len(texts) + 1, [None, ends], offset=texts.offset)
    first, last = offsets[0].as_py(), offsets[len(texts)].as_py()
    return data.slice(first, last - first).to_pybytes()


def has_byte_below(limit: int, texts: Texts) -> bool:
    """Whether any byte of the texts in UTF-8 is below a limit."""
    data = all_bytes(texts)
    if not data:
        return False
    numbers = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    return bool(pc.min(numbers).as_py() < limit)


def with_bytes(texts: Texts, data: bytes) -> Texts:
    """Return texts as long as before, in bytes, that consist of `data`.

    Args:
        texts: An array that begins where its buffer does, as a cast makes it.
        data: As long as `all_bytes(texts)`, in UTF-8.
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

"""Text formats that write one line for each row."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import pyarrow as pa

from exports.formats.text_arrays import Texts, fill_null, join, joined_bytes, slices
from exports.tables.arrow import AnyArray, column_of
from exports.tables.columns import Column

_THREADS: Final = 2
"""Arrow releases Python's global lock, so two threads use two processors."""
_FEW_ROWS: Final = 2_000
"""Starting a thread takes longer than encoding this many rows."""


class Cells(NamedTuple):
    """The cells of one column, as a line shows them.

    Attributes:
        texts: Ready to be written; null where there is no value.
        in_quotes: Whether each cell stands between double quotes.
    """

    texts: Texts
    in_quotes: bool


def encode_lines(
    columns: Sequence[Column],
    batches: Iterable[pa.RecordBatch],
    cells: Callable[[Column, AnyArray], Cells],
    *,
    separators: Sequence[str],
    no_value: str,
) -> Iterator[bytes]:
    """Encode rows as lines of text in UTF-8, two pieces at a time.

    Args:
        columns: The columns, at least one.
        batches: The rows. Read in the caller's thread, at most two pieces ahead of what was
            yielded.
        cells: Returns the cells of one column. Called in several threads.
        separators: What stands before the first cell of a row, between two cells, and after the
            last cell.
        no_value: What a cell without a value shows; never in quotes.

    Yields:
        One piece for each batch that has rows; several for a large batch.

    Raises:
        TypeError: A column has a type that exports do not have.
    """

    def encode(rows: pa.RecordBatch) -> bytes:
        in_order = [cells(column, column_of(rows, index)) for index, column in enumerate(columns)]
        return _lines(in_order, separators, no_value)

    with ThreadPoolExecutor(_THREADS, "encode") as pool:
        ahead: deque[Future[bytes]] = deque()
        for rows in (rows for batch in batches for rows in slices(batch)):
            if rows.num_rows <= _FEW_ROWS and not ahead:
                yield encode(rows)
                continue
            ahead.append(pool.submit(encode, rows))
            if len(ahead) == _THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _lines(columns: Sequence[Cells], separators: Sequence[str], no_value: str) -> bytes:
    before, *others = separators
    pieces: list[Texts | str] = []
    for cells, after in zip(columns, others, strict=True):
        quote = '"' if cells.in_quotes else ""
        if not cells.texts.null_count:
            pieces += [before + quote, cells.texts]
            before = quote + after
            continue
        with_nulls = join(quote, cells.texts, quote) if quote else cells.texts
        pieces += [before, fill_null(with_nulls, no_value)]
        before = after
    return joined_bytes(*pieces, before)

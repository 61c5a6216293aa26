"""Batches encoded on several processors at once, their pieces in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pyarrow as pa

_THREADS: Final = 2
"""Arrow works outside of Python's lock, so two threads keep two processors busy."""
_FEW: Final = 2_000
"""Starting a thread takes longer than encoding so many rows."""


def encoded(
    rows: Iterable[pa.RecordBatch], encode: Callable[[pa.RecordBatch], bytes]
) -> Iterator[bytes]:
    """Yield what becomes of each batch, in the order of the batches.

    Args:
        rows: The batches; pulled by the caller's thread, one or two ahead of what was yielded.
        encode: Encodes a batch. Called in several threads.
    """
    with ThreadPoolExecutor(_THREADS, "encode") as pool:
        ahead: deque[Future[bytes]] = deque()
        for batch in rows:
            if batch.num_rows <= _FEW and not ahead:
                yield encode(batch)
                continue
            ahead.append(pool.submit(encode, batch))
            if len(ahead) == _THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

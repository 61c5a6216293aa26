"""The small staged parts that this worker wrote last, so that it need not fetch them again."""

import threading
from collections import OrderedDict
from typing import Final

SMALL_PART_BYTES: Final = 256 * 1024
"""Parts up to this size are kept in memory, because a request costs more than their bytes."""
KEPT_BYTES: Final = 16 << 20
"""How many bytes of small parts are kept."""


class PartCache:
    """The content of the parts that were written last, by key, up to 16 MiB in total.

    The parts are in the bucket as well, where every other worker finds them, and the reader
    compares the sha256 of each part with what the workflow accepted. Thread-safe.
    """

    def __init__(self) -> None:
        self._parts: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        """Keep a part if it is small; the oldest parts are dropped to make room."""
        if len(data) > SMALL_PART_BYTES:
            return
        with self._lock:
            self._parts[key] = data
            self._bytes += len(data)
            while self._bytes > KEPT_BYTES:
                _, oldest = self._parts.popitem(last=False)
                self._bytes -= len(oldest)

    def get(self, key: str) -> bytes | None:
        """Return a part, or None if it is not kept."""
        with self._lock:
            return self._parts.get(key)

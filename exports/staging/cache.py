"""Small staged parts that this worker wrote moments ago, so that it need not fetch them again."""

import threading
from collections import OrderedDict
from typing import Final

_SMALL: Final = 256 * 1024
_MOST: Final = 16 << 20


class PartCache:
    """The content of the parts that were written last, by key, up to 16 MiB in all.

    Only a shortcut: the parts are in the bucket as well, where every other worker finds them, and
    whoever reads one compares its sha256 with what the workflow accepted. Safe in threads.
    """

    def __init__(self) -> None:
        self._parts: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        """Keep a part, unless it is large; the oldest make room for it."""
        if len(data) > _SMALL:
            return
        with self._lock:
            self._parts[key] = data
            self._bytes += len(data)
            while self._bytes > _MOST:
                _, oldest = self._parts.popitem(last=False)
                self._bytes -= len(oldest)

    def get(self, key: str) -> bytes | None:
        """Return a part, if it is still there."""
        with self._lock:
            return self._parts.get(key)

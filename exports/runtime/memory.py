"""Gives freed memory back to the system, so that a worker holds no more than its work needs."""

import ctypes
import sys
from typing import Final

MANY_ROWS: Final = 20_000
"""After a step of so many rows, it is worth some milliseconds to give memory back."""

# malloc.h of glibc: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX. Parts of a file are as large
# as the second: they are given back at once, and leave no holes between smaller ones.
_OPTIONS: Final = {-1: 8 << 20, -3: 6 << 20, -8: 2}


def set_up_memory() -> None:
    """Set glibc's allocator; to be called before the process starts threads.

    By itself, it keeps freed memory in an arena for nearly each thread; a worker passes rows
    between threads. The other extreme costs time too: memory that is given back at once is filled
    with zeros when it is used again, a tenth of the time of an export of a million rows. Arrow has
    an allocator of its own, which keeps even more: `worker` sets a variable against it.
    """
    if libc := _glibc():
        for option, value in _OPTIONS.items():
            libc.mallopt(option, value)


def give_back_memory() -> None:
    """Give back all memory that is free. Takes up to 20 ms in a worker that has much of it."""
    if libc := _glibc():
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library, unless it is that of macOS or musl, which have no such options."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None

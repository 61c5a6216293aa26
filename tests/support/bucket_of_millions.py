"""A fake client of an object store whose bucket holds millions of objects: it makes up its pages.

No store that can be started here holds so many in a time that a test has.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from exports import names

PAGE: Final = 1000
_RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
_OF_A_TASK: Final = 1000  # objects


class BucketOfMillions:
    """What `ObjectStore` needs of the client of boto3 to list and to remove.

    Half of the objects are files, half are staged parts. Their tasks do not exist. Each hundredth
    object is so old that nobody can need it.

    Args:
        objects: How many it holds, a multiple of two thousand.

    Attributes:
        pages: How many pages were asked for.
        removed: How many objects were removed.
    """

    def __init__(self, objects: int) -> None:
        self.pages = 0
        self.removed = 0
        self._half = objects // 2
        self._new = datetime.now(UTC)
        self._old = self._new - timedelta(days=365)

    def get_paginator(self, operation: str) -> Self:
        """Return itself; open uploads are none."""
        self._lists = operation != "list_multipart_uploads"
        return self

    def paginate(self, *, Prefix: str, Marker: str = "", **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803 -- the names of boto3
        """Yield the pages of the objects under a prefix, after a key."""
        if not self._lists:
            return
        first = bisect_right(range(self._half), Marker, key=lambda at: self._key(Prefix, at))
        for begin in range(first, self._half, PAGE):
            self.pages += 1
            yield {
                "Contents": [
                    {
                        "Key": self._key(Prefix, at),
                        "LastModified": self._new if at % 100 else self._old,
                    }
                    for at in range(begin, min(begin + PAGE, self._half))
                ]
            }

    def delete_object(self, **_: Any) -> None:
        """Count an object as removed."""
        self.removed += 1

    def close(self) -> None:
        """Do nothing."""

    @staticmethod
    def _key(root: str, at: int) -> str:
        of_run = f"{root}{at // _OF_A_TASK:024x}/{_RUN}"
        if root == names.STAGING:
            return f"{of_run}/u/2-1/part-{at:09d}-{at:032x}.arrow"
        return f"{of_run}/3-1-{at:032x}/export.csv"

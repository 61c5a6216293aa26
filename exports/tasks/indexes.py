"""Makes sure that the indexes of the collection are there before a client relies on them."""

import asyncio

from exports.tasks.collection import TaskCollection


class Indexes:
    """The indexes of a collection, without which its unique texts are not unique.

    A worker makes them when it starts. A client may ask before the first worker does.
    """

    def __init__(self, tasks: TaskCollection) -> None:
        self._tasks = tasks
        self._lock = asyncio.Lock()
        self._are_there = False

    async def ensure(self) -> None:
        """Create those that are missing, once for this object."""
        async with self._lock:
            if not self._are_there:
                await self._tasks.ensure_indexes()
                self._are_there = True

"""Liveness of a worker: its event loop touches a file, and a health check reads the file's age.

It says nothing about servers. A worker that waits for a server is alive, and a new process would
have to wait too.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from exports.errors import SettingsError

TOUCH_INTERVAL: Final = 5.0
"""Seconds between two touches."""

_log = logging.getLogger("exports.worker")


class LivenessFile:
    """The file of the workers of one user that have the same task queue and take the same steps.

    It is in the directory for temporary files (`TMPDIR`, by default `/tmp`), which is there also
    where the root file system is read-only. Workers that are checked apart from each other on one
    machine have a `TMPDIR` of their own.

    Args:
        task_queue: Their task queue.
        takes: Which steps they take: `all`, `small` or `bulk`.
    """

    def __init__(self, task_queue: str, takes: str) -> None:
        # A hash, because the name of a queue may have any length and any characters.
        queue = hashlib.sha256(task_queue.encode()).hexdigest()[:16]
        self._name = f"exports-worker-{os.getuid()}-{takes}-{queue}"

    @asynccontextmanager
    async def touched(self) -> AsyncGenerator[None]:
        """Touch the file from the running event loop until the block is left; then remove it.

        Raises:
            SettingsError: It can't be written.
        """
        try:
            self._path.touch()
        except OSError as error:
            raise SettingsError(
                "The worker can't write the temporary file that its health check reads "
                f"({error.strerror}). Set TMPDIR to a directory that it can write to."
            ) from None
        touching = asyncio.create_task(self._keep_touching())
        try:
            yield
        finally:
            touching.cancel()
            self._path.unlink(missing_ok=True)

    def touched_at(self) -> int | None:
        """Return when the file was touched last, in epoch milliseconds; None if there is none."""
        try:
            return self._path.stat().st_mtime_ns // 1_000_000
        except OSError:
            return None

    @property
    def _path(self) -> Path:
        return Path(tempfile.gettempdir()) / self._name

    async def _keep_touching(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_INTERVAL)
            try:
                self._path.touch()
            except OSError as error:
                _log.warning("The file of the health check can't be written: %s", error.strerror)

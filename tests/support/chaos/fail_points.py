"""A database of one test's own, with commands that fail on request."""

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from dev import binaries, ports
from dev.ports import LOOPBACK
from dev.process import Process
from tests.support.processes import wait_until

_PRODUCT: Final = "exports"  # the application name of the product's connections


class FailingDatabase:
    """A MongoDB-wire server with fail points.

    Attributes:
        uri: Where it is.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._admin: MongoClient[dict[str, Any]] = MongoClient(uri, serverSelectionTimeoutMS=500)

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            self._admin.admin.command("ping")
        except Exception:  # noqa: BLE001 -- not yet
            return False
        return True

    def fail(self, command: str, mode: str | dict[str, int], **how: object) -> None:
        """Fail a command of the product; the commands of other clients succeed.

        Args:
            command: Its name.
            mode: `alwaysOn`, `{"times": n}` or `{"skip": n, "times": m}`.
            how: `errorCode`, `closeConnection`, `writeConcernError` and so on.
        """
        self._admin.admin.command(
            "configureFailPoint",
            "failCommand",
            mode=mode,
            data={"failCommands": [command], "appName": _PRODUCT, **how},
        )

    def recover(self) -> None:
        """Let every command succeed again."""
        self._admin.admin.command("configureFailPoint", "failCommand", mode="off")

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


@contextmanager
def failing_database() -> Generator[FailingDatabase]:
    """Run a database for the duration of a block."""
    port = ports.choose({"mongo": 0})["mongo"]
    with tempfile.TemporaryDirectory(prefix="exports-failing-") as name:
        folder = Path(name)
        config = folder / "secantusd.toml"
        config.touch()
        process = Process(
            "The failing database",
            [
                *(sys.executable, "-P", binaries.embedded_mongo(), "--config", str(config)),
                *("--log-level", "ERROR", "--host", LOOPBACK, "--port", str(port)),
                *("--storage-path", str(folder / "mongo"), "--enable-test-commands"),
            ],
            log=folder / "log",
            environment={"HOME": name, "PATH": os.defpath},
            cwd=folder,
        )
        database = FailingDatabase(f"mongodb://{LOOPBACK}:{port}")
        try:
            wait_until(database.is_ready, seconds=150)
            yield database
        finally:
            database.close()
            process.stop()

"""A mistake of the database driver, which would fail tests that have nothing to do with it."""

import socket
from types import SimpleNamespace

from pymongo import pool_shared


class _Closed(socket.socket):
    """Closes itself when it is garbage-collected, without a warning."""

    def __del__(self) -> None:
        self.close()


def close_abandoned_sockets() -> None:
    """Let the driver close the socket of a connection that is cancelled while it is made.

    PyMongo 4.20 does not close it if a client is closed while it still connects. The garbage
    collector finds the socket later, during another test, and its warning fails that test:
    https://jira.mongodb.org/browse/PYTHON-5867
    """
    changed = SimpleNamespace(**{**vars(socket), "socket": _Closed})
    setattr(pool_shared, "socket", changed)  # noqa: B010 -- it is not declared as part of it

"""A mistake of the database driver, which would fail tests that have nothing to do with it."""

import socket
from types import SimpleNamespace

from pymongo import pool_shared


class _Closed(socket.socket):
    """Closed when it is garbage, without a warning."""

    def __del__(self) -> None:
        self.close()


def close_abandoned_sockets() -> None:
    """Let the driver forget no socket of a connection that is cancelled while it is made.

    So it is if a client is closed while it still connects, with PyMongo 4.20. The garbage collector
    finds the socket later, in another test, and its warning fails that one:
    https://jira.mongodb.org/browse/PYTHON-5867
    """
    changed = SimpleNamespace(**{**vars(socket), "socket": _Closed})
    setattr(pool_shared, "socket", changed)  # noqa: B010 -- it is not declared as part of it

"""Free ports on the loopback address."""

import random
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle

LOOPBACK = "127.0.0.1"

# Below the ports that Linux and macOS give to outgoing connections, so that no connection takes a
# port before its server does.
_LOWEST, _HIGHEST = 15_000, 32_000
_BLOCK = 200
"""How many ports a process chooses from."""


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As the servers do: a connection that has just ended does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose(preferred: dict[str, int]) -> dict[str, int]:
    """Return a free port for each name: the preferred one, or any if it is 0 or not free."""
    chosen: dict[str, int] = {}
    for name, port in preferred.items():
        usable = port and port not in chosen.values() and is_free(port)
        chosen[name] = port if usable else _any_port(set(chosen.values()))
    return chosen


def _any_port(taken: set[int]) -> int:
    return next(port for port in _own_ports() if port not in taken and is_free(port))


@cache
def _own_ports() -> Iterator[int]:
    """Return ports that no other process chooses while this one runs.

    A server listens seconds after its port was chosen. Without this, two stacks that start at the
    same time may choose the same port.
    """
    while True:
        first = random.randrange(_LOWEST, _HIGHEST, _BLOCK)
        reserved = socket.socket()
        try:
            reserved.bind((LOOPBACK, first))
        except OSError:
            reserved.close()
        else:
            reserved.detach()  # it stays open until this process ends
            return cycle(range(first + 1, first + _BLOCK))

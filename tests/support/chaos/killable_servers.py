"""Servers of one test's own that keep their data when they are killed and started again."""

from typing import Final

from dev import binaries, readiness
from dev.endpoints import Endpoints
from dev.process import Process
from dev.servers import Servers
from tests.support.chaos.wires import SERVERS

_CHECKS: Final = (readiness.temporal, readiness.mongo, readiness.s3)


class KillableServers(Servers):
    """A set of servers whose data outlives each of their processes."""

    _order: tuple[str, ...] = SERVERS

    def __init__(self) -> None:
        super().__init__()
        self._started: list[tuple[str, list[str]]] = []

    def kill(self, server: str) -> None:
        """End a server as a loss of power would.

        Args:
            server: One of `SERVERS`.
        """
        process = self._processes[self._order.index(server)]
        process.kill()
        process.ask_to_stop()  # closes our end
        if server == "s3":
            for socket in self._sockets:
                socket.unlink(missing_ok=True)

    def start_again(self, server: str) -> None:
        """Start a killed server with the same ports and data, and wait until it is ready."""
        index = self._order.index(server)
        process = self._process(*self._started[index])
        self._processes[index] = process
        readiness.wait_until(_CHECKS[SERVERS.index(server)], self.endpoints, process)

    def _process(self, name: str, command: list[str]) -> Process:
        if (name, command) not in self._started:
            self._started = [item for item in self._started if item[0] != name]
            self._started.append((name, command))
        return super()._process(name, command)

    def _temporal(self, chosen: dict[str, int]) -> list[str]:
        return [
            *super()._temporal(chosen),
            "--db-filename",
            str(self.directory / "temporal.sqlite"),
        ]

    def _mongo(self, chosen: dict[str, int], *, auth: bool) -> list[str]:
        # A replica set has journaled what it acknowledges for a majority. The embedded server would
        # keep the last milliseconds of it in memory.
        command = super()._mongo(chosen, auth=auth)
        return command if binaries.is_mongod(command[0]) else [*command, "--sync-on-commit"]


class KillableDatabase(KillableServers):
    """The database alone."""

    _order = ("mongo",)

    def _start(self, chosen: dict[str, int]) -> Endpoints:
        endpoints = Endpoints.of(chosen, self._keys())
        process = self._process("The database", self._mongo(chosen, auth=False))
        self._processes.append(process)
        readiness.wait_until(readiness.mongo, endpoints, process)
        self._endpoints = endpoints
        return endpoints

"""A server that goes away while a command is at work."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator

import pytest

from exports.settings import Settings
from tests.support.command_line import CommandLine, ended, environment_of


class Wire:
    """A wire to a server, which can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[StreamWriter] = set()

    async def lay(self) -> str:
        """Return an address that leads to the server."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Let the server be away from now on."""
        assert self._server is not None
        self._server.close()
        for end in self._open:
            end.transport.abort()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        back, there = await asyncio.open_connection(*self._to)
        self._open |= {writer, there}
        await asyncio.gather(_copy(reader, there), _copy(back, writer))


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


@pytest.fixture
async def wire(temporal_address: str) -> AsyncIterator[Wire]:
    host, _, port = temporal_address.partition(":")
    wire = Wire(host, int(port))
    yield wire
    wire.cut()


async def test_temporal_going_away_exits_with_3_and_still_prints_one_json_value(
    settings: Settings, wire: Wire
) -> None:
    address = await wire.lay()
    exports = CommandLine(environment_of(settings, address))
    sweeping = await exports.start("sweep", "--json")  # no worker runs, so that it waits
    assert sweeping.stderr is not None
    assert "needs a worker" in (await sweeping.stderr.readline()).decode()
    wire.cut()
    end = await ended(sweeping)
    assert (end.code, end.json["error"]["code"]) == (3, "E_UNREACHABLE")
    assert end.json["error"]["msg"].startswith(f"Temporal at {address} ")

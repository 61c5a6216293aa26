"""A server that becomes unreachable while a command is running."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator

import pytest

from exports.settings import Settings
from tests.support.command_line import CommandLine, ended, environment_of


class Proxy:
    """A TCP proxy to a server, which can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[StreamWriter] = set()

    async def start(self) -> str:
        """Listen, and return the address."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Make the server unreachable."""
        assert self._server is not None
        self._server.close()
        for end in self._open:
            end.transport.abort()

    async def _forward(self, reader: StreamReader, writer: StreamWriter) -> None:
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
async def proxy(temporal_address: str) -> AsyncIterator[Proxy]:
    host, _, port = temporal_address.partition(":")
    proxy = Proxy(host, int(port))
    yield proxy
    proxy.cut()


async def test_losing_temporal_exits_with_3_and_still_prints_one_json_value(
    settings: Settings, proxy: Proxy
) -> None:
    address = await proxy.start()
    exports = CommandLine(environment_of(settings, address))
    sweeping = await exports.start("sweep", "--json")  # it waits, because no worker runs
    assert sweeping.stderr is not None
    assert "needs a running worker" in (await sweeping.stderr.readline()).decode()
    proxy.cut()
    end = await ended(sweeping)
    assert (end.code, end.json["error"]["code"]) == (3, "E_UNREACHABLE")
    assert end.json["error"]["msg"].startswith(f"Temporal at {address} ")

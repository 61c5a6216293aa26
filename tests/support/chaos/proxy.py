"""A proxy to a server, whose connections a test can disturb.

They can be slow, cut, silent, half open, refused or corrupt:

    with proxy_to("127.0.0.1:8333") as wire:
        wire.suffer(Reset(after=1000, toward="client"))

It runs in a thread of its own, so that it can be used by blocking code.
"""

import asyncio
import socket
import ssl
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from dev import ports

Toward = Literal["server", "client"]
_CHUNK: Final = 65_536
_PATIENCE: Final = 60.0
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST


@dataclass(frozen=True)
class Latency:
    """Every piece of data is delayed by so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """All connections are reset after so many bytes, so many times in all."""

    after: int
    toward: Toward
    times: int = 1


@dataclass(frozen=True)
class Flip:
    """One bit of the byte after so many bytes is flipped, so many times in all."""

    after: int
    toward: Toward
    times: int = 1


@dataclass(frozen=True)
class BlackHole:
    """Everything that is sent is lost without an error, on new connections as well.

    A connection that has lost something stays lost when the fault is over.
    """


@dataclass(frozen=True)
class HalfOpen:
    """The server has lost the open connections, and the clients do not hear of it."""


@dataclass(frozen=True)
class Refused:
    """Connections are reset, and new ones are refused."""


Fault = Latency | Reset | Flip | BlackHole | HalfOpen | Refused


@dataclass(eq=False)
class _Connection:
    client: StreamWriter
    server: StreamWriter
    lost: bool = False

    def reset(self) -> None:
        for end in (self.client, self.server):
            _reset(end)


@dataclass
class _Counter:
    """How many bytes have passed since the fault last happened, and how often it has happened."""

    passed: int = 0
    happened: int = 0


class Proxy:
    """A proxy to one server.

    Args:
        address: `host:port` of the server.
        tls: The TLS context for clients; None: they do not use TLS.

    Attributes:
        port: Its port on the loopback address, the same after a time of not listening.
    """

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._tls = tls
        self._fault: Fault | None = None
        self._counter = _Counter()
        self._listening: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.port = ports.choose({"proxy": 0})["proxy"]
        self._run(self._listen())

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def happened(self) -> int:
        """How often the current fault has happened.

        That is how many pieces were delayed, lost or flipped, or how often all connections were
        reset. `Refused` counts the connections that were open; refused ones are not seen.
        """
        return self._counter.happened

    def suffer(self, fault: Fault) -> None:
        """Begin a fault, and end the one before."""
        self._run(self._begin(fault))

    def recover(self) -> None:
        """End the fault."""
        self._run(self._begin(None))

    def close(self) -> None:
        """Close the proxy and its connections."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _listen(self) -> None:
        self._listening = await asyncio.start_server(
            self._connected, ports.LOOPBACK, self.port, ssl=self._tls
        )

    async def _begin(self, fault: Fault | None) -> None:
        self._fault, self._counter = fault, _Counter()
        match fault:
            case Refused():
                self._counter.happened = len(self._open)
                self._stop_listening()
                self._reset_all()
            case HalfOpen():
                for connection in self._open:
                    connection.lost = True
                    _reset(connection.server)
            case _:
                pass
        if self._listening is None and not isinstance(fault, Refused):
            await self._listen()

    async def _end(self) -> None:
        self._stop_listening()
        await asyncio.sleep(0)  # a connection may have been accepted just now
        self._reset_all()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _reset_all(self) -> None:
        for connection in list(self._open):
            connection.reset()

    def _connected(self, from_client: StreamReader, client: StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(from_client, client))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        serving.add_done_callback(lambda _: _abort(client))

    async def _serve(self, from_client: StreamReader, client: StreamWriter) -> None:
        try:
            from_server, server = await asyncio.open_connection(*self._to)
        except OSError:
            _reset(client)
            return
        connection = _Connection(client, server)
        self._open.add(connection)
        pumps = [
            asyncio.create_task(self._pump(connection, from_client, server, "server")),
            asyncio.create_task(self._pump(connection, from_server, client, "client")),
        ]
        try:
            await asyncio.wait(pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._open.discard(connection)
            _abort(server)

    async def _pump(
        self, connection: _Connection, source: StreamReader, target: StreamWriter, toward: Toward
    ) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if isinstance(self._fault, Latency):
                    self._counter.happened += 1
                    await asyncio.sleep(self._fault.seconds)
                connection.lost |= isinstance(self._fault, BlackHole)
                if connection.lost:
                    self._counter.happened += isinstance(self._fault, BlackHole | HalfOpen)
                    continue
                data, reset = self._disturbed(data, toward)
                target.write(data)
                if reset:
                    with suppress(TimeoutError):  # what has passed by now is enough
                        await asyncio.wait_for(target.drain(), 1)
                    self._reset_all()
                    return
                await target.drain()
        if not connection.lost:  # close the other end too; its answer may still be on its way
            with suppress(OSError, RuntimeError):
                target.write_eof() if target.can_write_eof() else target.close()

    def _disturbed(self, data: bytes, toward: Toward) -> tuple[bytes, bool]:
        """Return what is left of a piece, and whether the connections are to be reset after it."""
        fault, counter = self._fault, self._counter
        if not isinstance(fault, Reset | Flip) or fault.toward != toward:
            return data, False
        if counter.happened >= fault.times:
            return data, False
        at = fault.after - counter.passed
        counter.passed += len(data)
        if at >= len(data):
            return data, False
        counter.passed = 0
        counter.happened += 1
        if isinstance(fault, Flip):
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], False
        return data[:at], True


def _reset(end: StreamWriter) -> None:
    # A closed TLS transport has no socket any more.
    sock = None if end.is_closing() else end.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    _abort(end)


def _abort(end: StreamWriter) -> None:
    with suppress(AttributeError):  # a TLS transport that has closed by itself
        end.transport.abort()


@contextmanager
def proxy_to(address: str, tls: ssl.SSLContext | None = None) -> Generator[Proxy]:
    """Start a proxy to a server.

    Args:
        address: `host:port`, or a URL without a path.
        tls: The TLS context of the proxy for its clients; None: they do not use TLS.
    """
    proxy = Proxy(address.rpartition("//")[2].rstrip("/"), tls)
    try:
        yield proxy
    finally:
        proxy.close()

"""A real HTTP server that receives webhooks, checks their signatures, and answers as it is told."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook

from tests.support.service import PATIENCE

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """Return the content, as a receiver does that has checked the signature.

        Raises:
            WebhookVerificationError: The signature is not one of this secret.
        """
        return Webhook(secret).verify(self.body, dict(self.headers))


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """Answer with a status; names of headers are written with `_`."""

    async def write(writer: asyncio.StreamWriter) -> None:
        fields = {"content-length": str(len(body)), "connection": "close"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + body)
        await writer.drain()

    return write


async def never(_: asyncio.StreamWriter) -> None:
    """Take the request, and never answer."""
    await asyncio.Event().wait()


async def closed(_: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""


def trickling(head: bytes, piece: bytes) -> Answer:
    """Begin an answer, and go on with it in small pieces for ever."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    return write


class Receiver:
    """The server.

    Attributes:
        url: Its address.
        requests: What it has received, in this order.
        next_answers: How it answers the next requests; each is used once.
        then: How it answers when those are used up.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Received] = []
        self.next_answers: list[Answer] = []
        self.then: Answer = answer()
        self._came = asyncio.Condition()

    async def received(self, count: int = 1) -> list[Received]:
        """Wait until so many requests have come, and return all that have."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= count)
        return list(self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                request = await _read(reader)
                how = self.next_answers.pop(0) if self.next_answers else self.then
                async with self._came:
                    self.requests.append(request)
                    self._came.notify_all()
                await how(writer)
            finally:
                writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split()
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


@asynccontextmanager
async def open_receiver(
    *, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[Receiver]:
    """Run a receiver on the loopback address.

    Args:
        tls: The TLS context of its server; None for plain HTTP.
        name: The name in its address.
        port: Its port; by default one that is free.
    """
    receiver = Receiver("")
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        connections.add(connection)
        with contextlib.suppress(asyncio.CancelledError):
            await receiver.serve(reader, writer)
        connections.discard(connection)

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    listens_at = server.sockets[0].getsockname()[1]
    receiver.url = f"{'http' if tls is None else 'https'}://{name}:{listens_at}/hook"
    try:
        yield receiver
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections)

"""A channel of worker processes, and its receiver in the test: it can withhold its answers."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

from pydantic import BaseModel

from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.channels import KINDS, ChannelKind
from exports.messages.message import Message
from exports.settings import Settings

RECEIVER: Final = "CHAOS_RECEIVER"
"""Environment variable of workers: the port of the receiver."""
CHANNEL: Final = "remote"


class Told(BaseModel):
    """What a channel asked the receiver for.

    Attributes:
        step: `addresses` or `send`.
        pid: The process that asked.
        about: The export.
        delivery: The delivery, if something was sent.
    """

    step: str
    pid: int
    about: str
    delivery: str = ""


class Receiver:
    """Answers channels, at once or when it is told to.

    Attributes:
        told: All that it was told.
    """

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._held: str | None = None
        self._changed = asyncio.Condition()

    @property
    def sent(self) -> list[Told]:
        """The messages that it got."""
        return [one for one in self.told if one.step == "send"]

    def hold(self, step: str) -> None:
        """Give no answers to this step until `release`."""
        self._held = step

    async def release(self) -> None:
        """Answer everything."""
        self._held = None
        async with self._changed:
            self._changed.notify_all()

    async def gets(self, step: str, count: int = 1) -> list[Told]:
        """Wait until it was told so much of a step."""
        async with self._changed:
            while len(found := [one for one in self.told if one.step == step]) < count:
                await self._changed.wait()
        return found

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        told = Told.model_validate_json(await reader.readline())
        async with self._changed:
            self.told.append(told)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._held != told.step)
        with suppress(ConnectionError):  # the process that asked was killed
            writer.write(b"ok\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncGenerator[tuple[Receiver, dict[str, str]]]:
    """Run a receiver; yields it and the environment of the workers that tell it."""
    receiver = Receiver()
    async with await asyncio.start_server(receiver.answer, "127.0.0.1", 0) as server:
        yield receiver, {RECEIVER: str(server.sockets[0].getsockname()[1])}
        await receiver.release()


class RemoteChannel:
    """Asks the receiver for everything."""

    name = CHANNEL

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        await _ask("addresses", message)
        return [Address(id="first", shown=uid)]

    async def send(self, message: Message, address_id: str, *, delivery_id: str) -> Outcome:
        del address_id
        await _ask("send", message, delivery_id)
        return Outcome(Verdict.DELIVERED, "It took it.", status=200)


async def _ask(step: str, message: Message, delivery: str = "") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ[RECEIVER]))
    about = message.export.id if message.export else ""
    asked = {"step": step, "pid": os.getpid(), "about": about, "delivery": delivery}
    writer.write(json.dumps(asked).encode() + b"\n")
    assert await reader.readline() == b"ok\n"
    writer.close()


def _lacks(_: Settings) -> str:
    return ""


def _opened(*_: object) -> RemoteChannel:
    return RemoteChannel()


REMOTE: Final = ChannelKind(CHANNEL, _lacks, _opened)


def register() -> None:
    """Let this process have the channel."""
    KINDS.append(REMOTE)

"""A channel that keeps what it gets, and fails as it is told: for tests only."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import pytest

from exports.messages import channels
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.channels import ChannelKind
from exports.messages.message import Message

DELIVERED = Outcome(Verdict.DELIVERED, "The receiver took it.", status=200, answer="thank you")


@dataclass
class Told:
    """A channel with one address for each person.

    Attributes:
        name: What `notify` calls it.
        got: Every message that was sent, with the id of its delivery.
        outcomes: What the next attempts give; after them, every attempt is delivered.
    """

    name: str = "told"
    got: list[tuple[str, Message]] = field(default_factory=list)
    outcomes: deque[Outcome] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        del message
        return [Address(id="first", shown=f"the address of {uid}")]

    async def send(self, message: Message, address_id: str, *, delivery_id: str) -> Outcome:
        assert address_id == "first"
        self.got.append((delivery_id, message))
        self._arrived.set()
        return self.outcomes.popleft() if self.outcomes else DELIVERED

    async def next(self, count: int = 1) -> Message:
        """Wait until it has got so many messages, and return the last of them."""
        while len(self.got) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self.got[count - 1][1]


def register(patch: pytest.MonkeyPatch, *told: Told) -> None:
    """Let these be the channels that an installation can have."""
    kinds = [ChannelKind(item.name, lambda _: "", lambda *_, item=item: item) for item in told]
    patch.setattr(channels, "KINDS", kinds)

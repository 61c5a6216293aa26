"""A channel that keeps what it gets, and fails as it is told: for tests only."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field

import pytest

from exports import names
from exports.messages import channels
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.channels import ChannelKind
from exports.messages.deliveries import Delivery, DeliveryStore
from exports.messages.handover import Messenger
from exports.messages.message import Event, Message, Subject
from exports.messages.people import PeopleStore
from exports.messages.starting import DeliveryStarter
from exports.settings import Settings
from tests.support.service import USER, Service, reports_of

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
    got: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])
    outcomes: deque[Outcome] = field(default_factory=deque[Outcome])
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


def register(patch: pytest.MonkeyPatch, *told: Told, missing: str = "") -> None:
    """Let these be the channels that an installation can have, and this what it has not set."""

    def lacks(_: Settings) -> str:
        return missing

    def opened(*_: object) -> Told:
        return told[0]

    kinds = [ChannelKind(item.name, lacks, opened) for item in told]
    patch.setattr(channels, "KINDS", kinds)


def messenger(service: Service, *told: Told) -> Messenger:
    """Return what tells people of the service's exports by these channels."""
    store = DeliveryStore(service.database)
    queue = service.settings.task_queue
    return Messenger(
        database=service.database,
        reports=reports_of(service.settings.reports_file),
        channels={item.name: item for item in told},
        starter=DeliveryStarter(service.temporal, task_queue=queue, store=store),
        people=PeopleStore(service.database),
        public_url="https://exports.example.com",
    )


def message(created_by: str = USER, event: Event = Event.RECURRING_PAUSED) -> Message:
    """Return a new message that is about no export."""
    subject = Subject(id="r1", name="Orders", reason="The report was removed.")
    return Message(
        id=secrets.token_hex(16), event=event, at=1, created_by=created_by, subject=subject
    )


async def settled(service: Service, delivery_id: str, *, attempts: int = 1) -> Delivery:
    """Wait until a delivery has ended, after so many attempts at least."""
    run = service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery_id))
    await run.result()
    found = await service.client.deliveries.get(delivery_id, created_by=None)
    assert len(found.attempts) >= attempts
    return found

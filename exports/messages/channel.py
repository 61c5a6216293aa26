"""A way to tell somebody: what every channel has in common.

A new channel is one package with a class of this form and a `kind.py`, and one line in
`exports.messages.channels`.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from exports.messages.message import Message


class Verdict(StrEnum):
    """How an attempt to deliver a message ended."""

    DELIVERED = "delivered"
    AGAIN = "again"
    """The next attempt may succeed."""
    REFUSED = "refused"
    """No attempt can succeed."""


class Address(NamedTuple):
    """Where a channel can reach a person.

    Attributes:
        id: Stable, and no secret: it is part of the id of a workflow. Not an e-mail address.
        shown: For its owner: `https://example.com/…`, `a…@example.com`.
    """

    id: str
    shown: str


class Outcome(NamedTuple):
    """What one attempt did.

    Attributes:
        verdict: How it ended.
        reason: In one sentence, without anything of the message, for the owner of the address.
        status: The receiver's status, such as an HTTP status; None if there was no answer.
        answer: The first 1,024 characters of the answer, for the owner of the address.
        retry_after: Seconds that the receiver wants to wait.
    """

    verdict: Verdict
    reason: str
    status: int | None = None
    answer: str = ""
    retry_after: float | None = None


class Channel(Protocol):
    """One way to tell somebody."""

    @property
    def name(self) -> str:
        """What `notify` calls it: `email`, `wechat`, `webhook`."""
        ...

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        """Return where a person can be reached; empty if nowhere.

        Raises:
            ExportError: The database did not answer.
        """
        ...

    async def send(self, message: Message, address_id: str, *, delivery_id: str) -> Outcome:
        """Make one attempt, within 15 seconds.

        Args:
            message: What to say.
            address_id: The `id` of one of `addresses`, which may be gone by now.
            delivery_id: The same for every attempt, and another one for every address.

        Raises:
            ExportError: This service could not make an attempt (the database did not answer). It
                does not count as one.
        """
        ...

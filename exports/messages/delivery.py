"""The delivery of a message to one address. Safe to import in the workflow sandbox.

Neither an address nor an answer of a receiver is here: this goes through Temporal's history.
"""

from enum import StrEnum
from typing import Final

from exports.messages.channel import Verdict
from exports.messages.message import Message
from exports.models import WireModel

LONGEST_RETRY_AFTER: Final = 24 * 60 * 60
"""Seconds for which a receiver can put off the next attempt."""


class DeliveryStatus(StrEnum):
    """The statuses of a delivery."""

    PENDING = "pending"
    """The next attempt is still to be made."""
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryOrder(WireModel):
    """What is delivered, and where: the input of `DeliveryWorkflow`.

    Attributes:
        id: Of the delivery; the same for every attempt.
        message: What to say.
        channel: Name of the channel.
        address_id: Which of the person's addresses: see `Address.id`.
    """

    id: str
    message: Message
    channel: str
    address_id: str


class AttemptResult(WireModel):
    """How one attempt ended, without what the receiver answered.

    Attributes:
        at: When it began (epoch milliseconds).
        ms: How long it took (milliseconds).
        verdict: How it ended.
        status: The status of the delivery after it.
        next_in: Seconds until the next attempt; None if there is none.
        answered: The receiver's status, such as an HTTP status; None if there was no answer.
        recorded: Whether the store of deliveries has this attempt.
    """

    at: int
    ms: int
    verdict: Verdict
    status: DeliveryStatus
    next_in: float | None
    answered: int | None = None
    recorded: bool = True

    @property
    def next_at(self) -> int | None:
        """When the next attempt is due (epoch milliseconds), if there is one."""
        if self.next_in is None:
            return None
        return self.at + self.ms + round(self.next_in * 1000)


class DeliveryAttempt(WireModel):
    """Asks for one attempt.

    Attributes:
        order: What to deliver.
        next_in: Seconds until the next attempt, if this one fails; None if it is the last one.
    """

    order: DeliveryOrder
    next_in: float | None

    def result(
        self,
        verdict: Verdict,
        *,
        at: int,
        ms: int,
        answered: int | None = None,
        retry_after: float | None = None,
        recorded: bool = True,
    ) -> AttemptResult:
        """Return how this attempt ended.

        Args:
            verdict: As in `AttemptResult`, as are those not named here.
            at: When it began (epoch milliseconds).
            ms: How long it took (milliseconds).
            answered: The receiver's status.
            retry_after: Seconds that the receiver wants to wait, which is kept up to a day.
            recorded: Whether the store of deliveries has this attempt.
        """
        next_in = self.next_in if verdict is Verdict.AGAIN else None
        if next_in is not None:
            next_in = max(next_in, min(retry_after or 0, LONGEST_RETRY_AFTER))
        if verdict is Verdict.DELIVERED:
            status = DeliveryStatus.DELIVERED
        else:
            status = DeliveryStatus.FAILED if next_in is None else DeliveryStatus.PENDING
        return AttemptResult(
            at=at,
            ms=ms,
            verdict=verdict,
            status=status,
            next_in=next_in,
            answered=answered,
            recorded=recorded,
        )


class DeliveryRecord(WireModel):
    """What is still to be stored of a delivery.

    Attributes:
        delivery_id: Which one.
        status: Its status now.
        attempt: An attempt that could not be stored when it was made.
    """

    delivery_id: str
    status: DeliveryStatus
    attempt: AttemptResult | None = None


class DeliveryResult(WireModel):
    """How a delivery ended: the output of `DeliveryWorkflow`."""

    status: DeliveryStatus
    attempts: int

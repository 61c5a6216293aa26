"""Messages: one attempt to deliver one, and what the sweep does for those not handed over."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from temporalio import activity

from activities.boundary import beating, boundary, check_worker_clock, domain_error
from exports import names
from exports.clock import now_ms
from exports.errors import ExportError
from exports.messages.channel import Channel, Outcome, Verdict
from exports.messages.deliveries import Attempt, DeliveryStore
from exports.messages.delivery import (
    AttemptResult,
    DeliveryAttempt,
    DeliveryOrder,
    DeliveryRecord,
)
from exports.messages.handover import Messenger
from exports.models import SweepCount
from workflows.failures import application_error

ATTEMPT_WITHIN: Final = 60.0
"""Seconds for an attempt with all that a channel stores of it; a receiver has 15 of them."""
_PAUSES: Final = (1, 3, 9)
"""Seconds between two tries to store an attempt that was made."""

_log = logging.getLogger(__name__)


class DeliveryActivities:
    """Makes attempts, and stores how they ended.

    Args:
        channels: The configured channels, by their names.
        store: The deliveries.
    """

    def __init__(self, *, channels: Mapping[str, Channel], store: DeliveryStore) -> None:
        self._channels = channels
        self._store = store

    @activity.defn(name=names.DELIVER)
    async def deliver(self, ask: DeliveryAttempt) -> AttemptResult:
        """Make one attempt. What keeps this service from making it is tried again, uncounted."""
        async with boundary(), beating():
            began = now_ms()
            outcome = await self._send(ask.order)
            result = ask.result(
                outcome.verdict,
                at=began,
                ms=now_ms() - began,
                answered=outcome.status,
                retry_after=outcome.retry_after,
            )
            recorded = await self._is_recorded(ask.order.id, result, outcome)
            return result.model_copy(update={"recorded": recorded})

    async def _send(self, order: DeliveryOrder) -> Outcome:
        channel = self._channels.get(order.channel)
        if channel is None:
            return Outcome(Verdict.AGAIN, "This installation has not configured the channel.")
        try:
            async with asyncio.timeout(ATTEMPT_WITHIN):
                return await channel.send(order.message, order.address_id, delivery_id=order.id)
        except ExportError as error:
            raise application_error(error, final=False) from None
        except TimeoutError:
            return Outcome(Verdict.AGAIN, f"There was no answer within {ATTEMPT_WITHIN:g} s.")
        except Exception as error:  # noqa: BLE001 -- the message may have arrived: this is an attempt
            return Outcome(Verdict.AGAIN, domain_error(error).msg)

    async def _is_recorded(self, delivery_id: str, result: AttemptResult, outcome: Outcome) -> bool:
        """Store an attempt; False if that is not possible: it must not be made again for that."""
        attempt = Attempt.of(result, reason=outcome.reason, answer=outcome.answer)
        for pause in (*_PAUSES, None):
            try:
                await self._store.record(
                    delivery_id, result.status, attempt=attempt, next_attempt_at=result.next_at
                )
            except ExportError as error:
                if pause is None:
                    _log.warning("An attempt is stored without its answer: %s", error.code)
                    return False
                await asyncio.sleep(pause)
            else:
                break
        return True

    @activity.defn(name=names.RECORD_DELIVERY)
    async def record(self, ask: DeliveryRecord) -> None:
        """Store what became of a delivery."""
        async with boundary(), beating():
            made = ask.attempt
            await self._store.record(
                ask.delivery_id,
                ask.status,
                attempt=None if made is None else Attempt.of(made),
                next_attempt_at=None if made is None else made.next_at,
            )


class MessageSweep:
    """Hands over the messages that nobody has handed over.

    Args:
        messenger: Hands them over.
    """

    def __init__(self, messenger: Messenger) -> None:
        self._messenger = messenger

    @activity.defn(name=names.SWEEP_MESSAGES)
    async def messages(self) -> SweepCount:
        """Hand over what is left."""
        async with boundary(), beating():
            check_worker_clock()
            return SweepCount(changed=await self._messenger.sweep())

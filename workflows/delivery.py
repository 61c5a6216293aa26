"""`DeliveryWorkflow`: one message to one address, until it has arrived or nobody tries any more."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.clock import epoch_ms
    from exports.messages.channel import Verdict
    from exports.messages.delivery import (
        AttemptResult,
        DeliveryAttempt,
        DeliveryOrder,
        DeliveryRecord,
        DeliveryResult,
        DeliveryStatus,
    )
    from workflows import policies, steps
    from workflows.uninterrupted import uninterrupted


@workflow.defn(name=names.DELIVERY_WORKFLOW)
class DeliveryWorkflow:
    """Tries to deliver a message: at once, then after seconds, minutes and hours, for three days.

    The signal `cancel` and the server's own cancel request stop it.
    """

    def __init__(self) -> None:
        self._main: asyncio.Task[Any] | None = None
        self._cancelled = False
        self._attempts = 0

    @workflow.run
    async def run(self, order: DeliveryOrder) -> DeliveryResult:
        """Make attempts until one arrives or is refused for good, or all have failed."""
        self._main = asyncio.current_task()
        try:
            status = await self._deliver(order)
        except (asyncio.CancelledError, ActivityError) as error:
            if not is_cancelled_exception(error):
                raise
            status = DeliveryStatus.CANCELLED
            record = DeliveryRecord(delivery_id=order.id, status=status)
            await uninterrupted(steps.record_delivery(record))
        workflow.set_current_details(f"**{status}** · {self._attempts} attempts")
        return DeliveryResult(status=status, attempts=self._attempts)

    @workflow.signal(name=names.CANCEL_SIGNAL, description="Stop trying to deliver the message")
    def cancel(self, *_: object) -> None:
        """Stop trying; do nothing a second time.

        Any input is accepted and ignored: people send the signal by hand.
        """
        if self._main is not None and not self._cancelled:
            self._main.cancel()
        self._cancelled = True

    async def _deliver(self, order: DeliveryOrder) -> DeliveryStatus:
        self._stop_if_cancelled()  # before the first attempt
        delays = [delay.total_seconds() * _jitter() for delay in policies.DELIVERY_DELAYS]
        attempts = [DeliveryAttempt(order=order, next_in=delay) for delay in (*delays, None)]
        while True:
            result = await self._attempt(attempts[self._attempts])
            if result.next_in is None or self._attempts == len(attempts):
                return result.status
            self._stop_if_cancelled()
            answer = "no answer" if result.answered is None else f"answered {result.answered}"
            workflow.set_current_details(f"attempt {self._attempts} failed · {answer}")
            await workflow.sleep(result.next_in, summary=f"until attempt {self._attempts + 1}")

    def _stop_if_cancelled(self) -> None:
        # An attempt that was asked to stop may have ended all the same.
        if self._cancelled or workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError

    async def _attempt(self, ask: DeliveryAttempt) -> AttemptResult:
        self._attempts += 1
        began = epoch_ms(workflow.now())
        try:
            result = await steps.deliver(ask, number=self._attempts)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            # This service could not make the attempt, for a day.
            took = epoch_ms(workflow.now()) - began
            result = ask.result(Verdict.AGAIN, at=began, ms=took, recorded=False)
        if not result.recorded:
            made = DeliveryRecord(delivery_id=ask.order.id, status=result.status, attempt=result)
            await uninterrupted(steps.record_delivery(made))
        return result


def _jitter() -> float:
    return 1 + policies.DELIVERY_JITTER * workflow.random().random()

"""`client.deliveries`: the messages that people were sent, or that are on their way to them."""

import builtins
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.clock import as_seconds, millis, now_ms
from exports.errors import RateError, RequestError, TaskNotFoundError, TaskStateError
from exports.messages.deliveries import Delivery, DeliveryStore
from exports.messages.delivery import DeliveryStatus
from exports.messages.starting import DeliveryStarter
from exports.server_errors.temporal import temporal_error
from exports.tasks.store import TaskStore

_MAX_LISTED: Final = 1000  # deliveries
_MAX_ATTEMPTS: Final = 5
"""How often a message is sent within `_WITHIN`, with what was tried by itself."""
_WITHIN: Final = timedelta(minutes=1)


class Deliveries:
    """Shows deliveries to the people that they are for, sends them again, and stops them.

    `created_by` is the person who asks, as in `ExportClient`.

    Args:
        temporal: The client.
        tasks: The tasks.
        store: The deliveries.
        starter: Starts their workflows.
    """

    def __init__(
        self, temporal: Client, *, tasks: TaskStore, store: DeliveryStore, starter: DeliveryStarter
    ) -> None:
        self._temporal = temporal
        self._tasks = tasks
        self._store = store
        self._starter = starter

    async def list(
        self,
        *,
        created_by: str | None,
        task_id: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Delivery]:
        """Return deliveries with their attempts, newest first.

        Args:
            created_by: Whose; None for everybody's.
            task_id: Only those about this export.
            after: Only those that follow this one, which was the last one of a page.
            limit: How many, from 1 to 1,000.

        Raises:
            TaskNotFoundError: There is no such task, or it belongs to somebody else.
            RequestError: There is no delivery `after`, or it belongs to somebody else.
        """
        names.check_text(created_by or "", "createdBy")
        if task_id is not None:
            await self._tasks.get(task_id, created_by=created_by)
        if after is not None:
            try:
                await self._store.get(after, created_by=created_by)
            except TaskNotFoundError:
                raise RequestError(
                    "There is no delivery `after` which the list could go on."
                ) from None
        return await self._store.newest(
            created_by=created_by,
            task_id=task_id,
            after=after,
            limit=max(1, min(limit, _MAX_LISTED)),
        )

    async def get(self, delivery_id: str, *, created_by: str | None) -> Delivery:
        """Return a delivery with its attempts.

        Raises:
            TaskNotFoundError: There is no such delivery, or it belongs to somebody else.
        """
        return await self._store.get(delivery_id, created_by=created_by)

    async def send_again(self, delivery_id: str, *, created_by: str | None) -> Delivery:
        """Send a message once more that has been delivered, or that nobody tries any more.

        It has the same id as before.

        Raises:
            TaskNotFoundError: There is no such delivery, or it belongs to somebody else.
            TaskStateError: It is on its way.
            RateError: It was sent too often within a minute.
            UnreachableError: Temporal did not answer.
            TemporalRefusedError: Temporal refused the request.
        """
        before = await self._store.get(delivery_id, created_by=created_by)
        _check_rate(before)
        order = await self._store.order(delivery_id)
        try:
            started = await self._starter.again(order)
        except RPCError as error:
            raise temporal_error(error.status) from None
        if not started:
            raise TaskStateError("The message is on its way, and is tried again by itself.")
        return await self._store.moved(before, DeliveryStatus.PENDING)

    async def cancel(self, delivery_id: str, *, created_by: str | None) -> Delivery:
        """Stop trying to deliver a message; do nothing if that was stopped already.

        Raises:
            TaskNotFoundError: There is no such delivery, or it belongs to somebody else.
            TaskStateError: It has ended in another way.
            UnreachableError: Temporal did not answer.
            TemporalRefusedError: Temporal refused the request.
        """
        before = await self._store.get(delivery_id, created_by=created_by)
        if before.status in (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED):
            raise TaskStateError(f"The message is {before.status}; it is not on its way.")
        workflow = names.delivery_workflow_id(delivery_id)
        try:
            await self._temporal.get_workflow_handle(workflow).signal(names.CANCEL_SIGNAL)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise temporal_error(error.status) from None
        # The workflow says so too, as soon as a worker gets to it.
        return await self._store.moved(before, DeliveryStatus.CANCELLED)


def _check_rate(delivery: Delivery) -> None:
    since = now_ms() - millis(_WITHIN)
    recent = [attempt.at for attempt in delivery.attempts if attempt.at > since]
    if len(recent) >= _MAX_ATTEMPTS:
        raise RateError(
            f"A message can be sent {_MAX_ATTEMPTS} times within a minute.",
            retry_after=as_seconds(recent[-_MAX_ATTEMPTS] - since),
        )

"""Starts the workflow of a delivery: one way for all callers."""

import logging
from typing import Final

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from exports import names
from exports.messages.channel import Address
from exports.messages.deliveries import DeliveryStore
from exports.messages.delivery import DeliveryOrder, DeliveryStatus
from exports.messages.message import Message
from exports.temporal.search_attributes import with_known_attributes

_MAX_SUMMARY: Final = 200  # bytes, as in exports.temporal.start

_log = logging.getLogger(__name__)


class DeliveryStarter:
    """Starts deliveries.

    Args:
        temporal: The client.
        task_queue: The task queue of this installation.
        store: Keeps what becomes of them.
    """

    def __init__(self, temporal: Client, *, task_queue: str, store: DeliveryStore) -> None:
        self._temporal = temporal
        self._queue = names.messages_task_queue(task_queue)
        self._store = store

    async def start(self, message: Message, channel: str, address: Address) -> str:
        """Start the delivery of a message to an address, unless it was started, or has ended.

        One that Temporal refuses as invalid is `failed`: it would do so each time.

        Returns:
            The id of the delivery.

        Raises:
            ExportError: The database did not answer.
            RPCError: Temporal did not start it.
        """
        order = DeliveryOrder(
            id=names.delivery_id(message.id, channel, address.id),
            message=message,
            channel=channel,
            address_id=address.id,
        )
        # The document first, so that its owner sees a delivery that waits for a worker. What has
        # ended is not started again, also if Temporal does not know its run, or no more.
        if await self._store.begin(order, address) is not DeliveryStatus.PENDING:
            return order.id
        try:
            await self._start(order, WorkflowIDReusePolicy.REJECT_DUPLICATE)
        except RPCError as error:
            if error.status != RPCStatusCode.INVALID_ARGUMENT:
                raise
            _log.warning("Temporal refuses a message (INVALID_ARGUMENT): delivery %s", order.id)
            await self._store.record(order.id, DeliveryStatus.FAILED)
        return order.id

    async def again(self, order: DeliveryOrder) -> bool:
        """Start a delivery that has ended once more; return False if it has not ended.

        Raises:
            RPCError: Temporal did not start it.
        """
        return await self._start(order, WorkflowIDReusePolicy.ALLOW_DUPLICATE)

    async def _start(self, order: DeliveryOrder, reuse: WorkflowIDReusePolicy) -> bool:
        message = order.message
        attributes = {names.SEARCH_CREATED_BY: message.created_by}
        if message.export is not None:
            attributes[names.SEARCH_TYPE] = message.export.type

        async def start(known: TypedSearchAttributes) -> None:
            await self._temporal.start_workflow(
                names.DELIVERY_WORKFLOW,
                order,
                id=names.delivery_workflow_id(order.id),
                task_queue=self._queue,
                id_reuse_policy=reuse,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=_summary(order),
                priority=Priority(fairness_key=names.person_key(message.created_by)),
                search_attributes=known,
            )

        pairs = [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), text)
            for name, text in attributes.items()
        ]
        try:
            await with_known_attributes(start, TypedSearchAttributes(pairs))
        except WorkflowAlreadyStartedError:
            return False
        return True


def _summary(order: DeliveryOrder) -> str:
    """Return a delivery in a few words: `export.done by webhook for u1: statsMonthly 2026-10`."""
    message = order.message
    about = ""
    if message.export is not None:
        about = f": {message.export.type} {message.export.period or message.export.id}"
    elif message.subject is not None:
        about = f": {message.subject.name}"
    text = f"{message.event} by {order.channel} for {message.created_by}{about}"
    return text.encode()[:_MAX_SUMMARY].decode(errors="ignore")

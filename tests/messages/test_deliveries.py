"""A message to one address: its attempts, and what its owner sees of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from activities import deliver
from exports import names
from exports.clock import now_ms
from exports.errors import (
    DatabaseUnavailableError,
    RateError,
    TaskStateError,
    UnreachableError,
)
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.deliveries import Attempt, Delivery, DeliveryStore
from exports.messages.delivery import DeliveryOrder, DeliveryStatus
from exports.messages.message import Message
from exports.messages.starting import DeliveryStarter
from tests.support.protections import protected_by
from tests.support.recording import Held
from tests.support.service import USER, Service, working
from tests.support.told import Told, message, messenger, register, settled
from workflows import policies

AWAY = Outcome(Verdict.AGAIN, "It answered with 503.", status=503, answer="go away")
NEVER = Outcome(Verdict.REFUSED, "The address is gone.", status=410)
ASKED_TO_STOP = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
)


@pytest.fixture
async def told(idle_service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    """A channel, with a worker at work that tries again at once."""
    told = Told()
    register(monkeypatch, told)
    monkeypatch.setattr(policies, "DELIVERY_DELAYS", [timedelta(milliseconds=1)] * 2)
    async with working(idle_service, channels={"told": told}):
        yield told


async def _begun(service: Service, told: Told, what: Message) -> str:
    """Tell something, several at once, and return the id of the only delivery."""
    await asyncio.gather(*(messenger(service, told).tell(what, ["told"]) for _ in range(5)))
    [delivery] = await service.client.deliveries.list(created_by=what.created_by)
    assert delivery.id == names.delivery_id(what.id, "told", "first")
    return delivery.id


def _verdicts(delivery: Delivery) -> list[str]:
    return [attempt.verdict for attempt in delivery.attempts]


async def test_what_failed_is_tried_again_with_the_same_id_until_it_arrives(
    idle_service: Service, told: Told
) -> None:
    told.outcomes.extend([AWAY, AWAY])
    what = message()
    delivery = await settled(idle_service, await _begun(idle_service, told, what))
    assert told.got == [(delivery.id, what)] * 3
    assert delivery.status is DeliveryStatus.DELIVERED
    assert (delivery.task_id, delivery.type, delivery.name) == (None, None, "Orders")
    assert _verdicts(delivery) == ["again", "again", "delivered"]
    assert [(item.status, item.answer) for item in delivery.attempts] == [
        (503, "go away"),
        (503, "go away"),
        (200, "thank you"),
    ]
    assert all(item.ms >= 0 and item.at for item in delivery.attempts)
    run = idle_service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery.id))
    seen = await run.describe()
    assert await seen.static_summary() == f"recurring.paused by told for {USER}: Orders"
    assert seen.typed_search_attributes[SearchAttributeKey.for_keyword("ExportCreatedBy")] == USER
    history = (await run.fetch_history()).to_json()
    for secret in ("go away", "the address of", "thank you"):
        assert secret not in history, "neither an address nor an answer goes through Temporal"


@pytest.mark.parametrize(
    ("outcomes", "attempts"), [([NEVER], 1), ([AWAY, AWAY, AWAY], 3)], ids=["refused", "given up"]
)
async def test_a_delivery_ends_when_no_attempt_can_help(
    idle_service: Service, told: Told, outcomes: list[Outcome], attempts: int
) -> None:
    told.outcomes.extend(outcomes)
    delivery = await settled(idle_service, await _begun(idle_service, told, message()))
    assert (delivery.status, delivery.next_attempt_at) == (DeliveryStatus.FAILED, None)
    assert len(delivery.attempts) == len(told.got) == attempts


async def test_a_message_is_sent_again_by_hand_with_the_same_id(
    idle_service: Service, told: Told
) -> None:
    told.outcomes.append(NEVER)
    delivery_id = await _begun(idle_service, told, message())
    await settled(idle_service, delivery_id)
    again = await idle_service.client.deliveries.send_again(delivery_id, created_by=USER)
    assert again.status in (DeliveryStatus.PENDING, DeliveryStatus.DELIVERED)
    delivery = await settled(idle_service, delivery_id, attempts=2)
    assert (delivery.status, _verdicts(delivery)) == ("delivered", ["refused", "delivered"])
    assert told.got[0] == told.got[1]


async def test_a_message_is_not_sent_again_and_again_within_a_minute(
    idle_service: Service, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    store, ended = DeliveryStore(mongo_database), DeliveryStatus.DELIVERED
    order = DeliveryOrder(id="d1", message=message(), channel="told", address_id="first")
    await store.begin(order, Address("first", "…"))
    for _ in range(5):
        made = Attempt(at=now_ms(), ms=1, verdict="delivered")
        await store.record("d1", ended, attempt=made)
    with pytest.raises(RateError) as refused:
        await idle_service.client.deliveries.send_again("d1", created_by=USER)
    assert 0 < refused.value.retry_after <= 60
    await mongo_database["ExportDeliveries"].update_one(
        {"_id": "d1"}, {"$inc": {"attempts.0.at": -60_000}}
    )
    again = await idle_service.client.deliveries.send_again("d1", created_by=USER)
    assert again.status is DeliveryStatus.PENDING


async def test_a_delivery_that_waits_is_stopped_by_its_owner(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "DELIVERY_DELAYS", [timedelta(hours=1)])
    told.outcomes.append(AWAY)
    delivery_id = await _begun(idle_service, told, message())
    await told.next()
    deliveries = idle_service.client.deliveries
    while not (waits := await deliveries.get(delivery_id, created_by=USER)).attempts:
        await asyncio.sleep(0.05)
    assert waits.status is DeliveryStatus.PENDING
    assert waits.next_attempt_at
    [attempt] = waits.attempts
    wait = timedelta(milliseconds=waits.next_attempt_at - attempt.at - attempt.ms)
    assert timedelta(hours=1) <= wait <= timedelta(hours=1) * (1 + policies.DELIVERY_JITTER)
    with pytest.raises(TaskStateError, match="on its way"):
        await deliveries.send_again(delivery_id, created_by=USER)
    for _ in range(2):
        stopped = await deliveries.cancel(delivery_id, created_by=USER)
        assert (stopped.status, stopped.next_attempt_at) == (DeliveryStatus.CANCELLED, None)
    delivery = await settled(idle_service, delivery_id)
    assert (delivery.status, len(told.got)) == (DeliveryStatus.CANCELLED, 1)


@protected_by(
    "workflows/delivery.py",
    "            self._stop_if_cancelled()\n            answer",
    instead="            answer",
)
@pytest.mark.parametrize("how", ["signal", "cancel"])
async def test_a_delivery_that_is_stopped_in_an_attempt_makes_no_other(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    begun = asyncio.Event()

    async def ends_all_the_same(*_: object, **__: object) -> Outcome:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return AWAY

    monkeypatch.setattr(policies, "DELIVERY_DELAYS", [timedelta(hours=1)])
    monkeypatch.setattr(Told, "send", ends_all_the_same)
    delivery_id = await _begun(idle_service, told, message())
    await begun.wait()
    run = idle_service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery_id))
    await (run.signal(names.CANCEL_SIGNAL) if how == "signal" else run.cancel())
    delivery = await settled(idle_service, delivery_id)
    assert (delivery.status, _verdicts(delivery)) == (DeliveryStatus.CANCELLED, ["again"])


async def _noticed(run: WorkflowHandle[Any, Any]) -> None:
    """Wait until the workflow has seen all that it was sent."""
    while True:
        kinds = [event.event_type for event in (await run.fetch_history()).events]
        last = max(at for at, kind in enumerate(kinds) if kind in ASKED_TO_STOP)
        if EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in kinds[last:]:
            return
        await asyncio.sleep(0.05)


@protected_by(
    "workflows/delivery.py",
    "await uninterrupted(steps.record_delivery(record))",
    instead="await steps.record_delivery(record)",
)
@pytest.mark.parametrize("how", ["signal", "cancel"])
async def test_whoever_stops_a_delivery_again_does_not_keep_it_from_ending_as_cancelled(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    record, calls, held = DeliveryStore.record, count(), [Held(), Held()]

    async def stored(self: DeliveryStore, *given: Any, **named: Any) -> None:
        call = next(calls) - 4
        if call < 0:  # the attempt is left to the workflow to store
            raise DatabaseUnavailableError("It is away.")
        await held[call].wait()
        await record(self, *given, **named)

    monkeypatch.setattr(DeliveryStore, "record", stored)
    monkeypatch.setattr(deliver, "_PAUSES", (0, 0, 0))
    monkeypatch.setattr(policies, "DELIVERY_DELAYS", [timedelta(hours=1)])
    told.outcomes.append(AWAY)
    delivery_id = await _begun(idle_service, told, message())
    run = idle_service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery_id))
    for step in held:  # the attempt that was made, and that it was stopped
        await step.reached.wait()
        await (run.signal(names.CANCEL_SIGNAL) if how == "signal" else run.cancel())
        await run.signal(names.CANCEL_SIGNAL)
        await _noticed(run)
        step.released.set()
    delivery = await settled(idle_service, delivery_id)
    assert (delivery.status, _verdicts(delivery)) == (DeliveryStatus.CANCELLED, ["again"])
    assert (await run.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert (await run.result())["status"] == "cancelled"


async def test_what_was_stopped_before_temporal_could_start_it_is_not_sent(
    idle_service: Service, told: Told
) -> None:
    what = message()
    away = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    with patch.object(DeliveryStarter, "_start", side_effect=away), pytest.raises(UnreachableError):
        await messenger(idle_service, told).tell(what, ["told"])
    [waits] = await idle_service.client.deliveries.list(created_by=USER)
    await idle_service.client.deliveries.cancel(waits.id, created_by=USER)
    delivery_id = await _begun(idle_service, told, what)
    with pytest.raises(RPCError, match="not found"):
        await settled(idle_service, delivery_id)
    assert not told.got


async def test_what_has_ended_is_not_sent_again_when_temporal_has_forgotten_it(
    idle_service: Service, told: Told
) -> None:
    what = message()
    delivery_id = await _begun(idle_service, told, what)
    await settled(idle_service, delivery_id)
    run = idle_service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery_id))
    await idle_service.temporal.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=idle_service.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.id),
        )
    )
    with suppress(RPCError):
        while (await run.describe()).id:
            await asyncio.sleep(0.05)
    assert await _begun(idle_service, told, what) == delivery_id
    with pytest.raises(RPCError, match="not found"):
        await run.describe()
    assert len(told.got) == 1


async def test_what_temporal_refuses_as_invalid_has_failed_and_fails_no_sweep(
    idle_service: Service, told: Told
) -> None:
    what = message()
    invalid = RPCError("invalid", RPCStatusCode.INVALID_ARGUMENT, b"")
    with patch.object(DeliveryStarter, "_start", side_effect=invalid):
        assert await messenger(idle_service, told).tell(what, ["told"])
    [refused] = await idle_service.client.deliveries.list(created_by=USER)
    assert refused.status is DeliveryStatus.FAILED
    again = await idle_service.client.deliveries.send_again(refused.id, created_by=USER)
    assert (await settled(idle_service, again.id)).status is DeliveryStatus.DELIVERED


async def test_what_keeps_this_service_from_an_attempt_is_no_attempt(
    idle_service: Service, told: Told
) -> None:
    send, failures = Told.send, iter([DatabaseUnavailableError("It is away.")] * 2)

    async def away(self: Told, *given: Any, **named: Any) -> Outcome:
        if (error := next(failures, None)) is not None:
            raise error
        return await send(self, *given, **named)

    with patch.object(Told, "send", away):
        delivery = await settled(idle_service, await _begun(idle_service, told, message()))
    assert (delivery.status, _verdicts(delivery)) == (DeliveryStatus.DELIVERED, ["delivered"])


@protected_by("activities/deliver.py", "return False", instead="raise")
async def test_a_message_that_was_taken_is_not_sent_again_because_it_could_not_be_stored(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, failures = DeliveryStore.record, iter(range(4))

    async def away(self: DeliveryStore, *given: Any, **named: Any) -> None:
        if next(failures, None) is not None:
            raise DatabaseUnavailableError("It is away.")
        await record(self, *given, **named)

    monkeypatch.setattr(DeliveryStore, "record", away)
    monkeypatch.setattr(deliver, "_PAUSES", (0, 0, 0))
    delivery = await settled(idle_service, await _begun(idle_service, told, message()))
    assert len(told.got) == 1
    assert (delivery.status, _verdicts(delivery)) == (DeliveryStatus.DELIVERED, ["delivered"])
    assert delivery.attempts[0].status == 200


async def test_a_receiver_that_does_not_answer_is_left_in_time(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, silent = Told.send, iter([True])

    async def hangs(self: Told, *given: Any, **named: Any) -> Outcome:
        if next(silent, False):
            await asyncio.Event().wait()
        return await send(self, *given, **named)

    monkeypatch.setattr(Told, "send", hangs)
    monkeypatch.setattr(deliver, "ATTEMPT_WITHIN", 0.05)
    delivery = await settled(idle_service, await _begun(idle_service, told, message()))
    assert _verdicts(delivery) == ["again", "delivered"]
    assert "no answer within" in delivery.attempts[0].reason


async def test_a_channel_with_a_mistake_does_not_stop_the_delivery_for_good(
    idle_service: Service, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, mistakes = Told.send, iter([True])

    async def mistaken(self: Told, *given: Any, **named: Any) -> Outcome:
        if next(mistakes, False):
            raise ZeroDivisionError
        return await send(self, *given, **named)

    monkeypatch.setattr(Told, "send", mistaken)
    delivery = await settled(idle_service, await _begun(idle_service, told, message()))
    assert _verdicts(delivery) == ["again", "delivered"]

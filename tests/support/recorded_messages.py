"""Recordings of deliveries, and of a sweep that hands messages over."""

import asyncio
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from temporalio.common import RetryPolicy

from exports import names
from exports.clock import now_ms
from exports.errors import DatabaseUnavailableError, StoreUnavailableError
from exports.messages.channel import Outcome, Verdict
from exports.messages.deliveries import DeliveryStore
from exports.messages.handover import Messenger
from exports.storage.bucket import ObjectStore
from tests.support.recording import Held, Run, closed, recorded
from tests.support.service import USER, Service, working
from tests.support.stored_tasks import insert_task
from tests.support.told import Told, message, messenger
from workflows import policies

_AWAY = Outcome(Verdict.AGAIN, "It answered with 503.", status=503)
_SOON = [timedelta(milliseconds=1)] * len(policies.DELIVERY_DELAYS)


async def _delivery(service: Service, *outcomes: Outcome) -> Run:
    told = Told()
    told.outcomes.extend(outcomes)
    with patch.object(policies, "DELIVERY_DELAYS", _SOON):
        async with working(service, channels={"told": told}):
            return await closed(await _begun(service, told))


async def _begun(service: Service, told: Told) -> Run:
    await messenger(service, told).tell(message(), ["told"])
    [delivery] = await service.client.deliveries.list(created_by=USER)
    return service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery.id))


@recorded("delivery-delivered")
async def _delivered(service: Service) -> Run:
    return await _delivery(service)


@recorded("delivery-retried")
async def _delivered_after_two_attempts(service: Service) -> Run:
    return await _delivery(service, _AWAY, _AWAY)


@recorded("delivery-given-up")
async def _given_up(service: Service) -> Run:
    return await _delivery(service, *[_AWAY] * 10)


@recorded("delivery-refused")
async def _refused(service: Service) -> Run:
    return await _delivery(service, Outcome(Verdict.REFUSED, "It is gone.", status=410))


@recorded("delivery-not-possible")
async def _this_service_could_not_try(service: Service) -> Run:
    told, send = Told(), Told.send
    failures = iter([DatabaseUnavailableError("It is away.")])

    async def away(self: Told, *given: Any, **named: Any) -> Outcome:
        if (error := next(failures, None)) is not None:
            raise error
        return await send(self, *given, **named)

    with (
        patch.object(Told, "send", away),
        patch.object(policies, "DELIVERY_DELAYS", _SOON),
        patch.object(policies, "DELIVER_WITHIN", timedelta(seconds=1)),
    ):
        async with working(service, channels={"told": told}):
            return await closed(await _begun(service, told))


@recorded("delivery-cancelled")
async def _cancelled(service: Service) -> Run:
    told = Told()
    told.outcomes.append(_AWAY)
    async with working(service, channels={"told": told}):
        run = await _begun(service, told)
        await told.next()
        await asyncio.sleep(1)  # until it waits
        await run.signal(names.CANCEL_SIGNAL)
        return await closed(run)


@recorded("swept-messages")
async def _sweep(service: Service) -> Run:
    told = Told()
    task_id = await insert_task(service, nextRunAt=now_ms() + 3_600_000, notify=["told"])
    await service.client.cancel(task_id, created_by=USER)
    async with working(service, channels={"told": told}):
        run = await _begun_sweep(service)
        await run.result()
        await told.next()
    return run


@recorded("swept-messages-while-the-bucket-was-away")
async def _sweep_without_a_bucket(service: Service) -> Run:
    away = StoreUnavailableError("It is away.")
    with (
        patch.object(ObjectStore, "open_uploads", side_effect=away),
        patch.object(policies, "SWEEP", RetryPolicy(maximum_attempts=1)),
    ):
        async with working(service):
            return await closed(await _begun_sweep(service))


@recorded("sweep-cancelled")
async def _cancelled_sweep(service: Service) -> Run:
    held = Held()
    with patch.object(Messenger, "sweep", side_effect=held.wait):
        async with working(service):
            run = await _begun_sweep(service)
            await held.reached.wait()
            await run.cancel()
            return await closed(run)


async def _begun_sweep(service: Service) -> Run:
    queue = service.settings.task_queue
    return await service.temporal.start_workflow(
        names.SWEEP_WORKFLOW, id=f"{queue}-sweep", task_queue=queue
    )


@recorded("delivery-cancelled-twice")
async def _cancelled_again_before_it_was_stored(service: Service) -> Run:
    told, held, record = Told(), Held(), DeliveryStore.record

    async def stored(self: DeliveryStore, *given: Any, **named: Any) -> None:
        await held.wait()
        await record(self, *given, **named)

    run = await _begun(service, told)
    await run.signal(names.CANCEL_SIGNAL)
    with patch.object(DeliveryStore, "record", stored):
        async with working(service, channels={"told": told}):
            await held.reached.wait()
            await run.signal(names.CANCEL_SIGNAL)
            await run.cancel()
            await asyncio.sleep(1)  # until it knows
            held.released.set()
            return await closed(run)


@recorded("delivery-cancelled-in-an-attempt")
async def _cancelled_while_the_receiver_is_silent(service: Service) -> Run:
    told, begun = Told(), asyncio.Event()

    async def silent(*_: object, **__: object) -> Outcome:
        begun.set()
        await asyncio.Event().wait()
        return _AWAY

    with patch.object(Told, "send", silent):
        async with working(service, channels={"told": told}):
            run = await _begun(service, told)
            await begun.wait()
            await run.signal(names.CANCEL_SIGNAL)
            return await closed(run)


@recorded("delivery-cancelled-at-once")
async def _cancelled_before_a_worker_had_it(service: Service) -> Run:
    told = Told()
    run = await _begun(service, told)
    await run.signal(names.CANCEL_SIGNAL)
    async with working(service, channels={"told": told}):
        return await closed(run)

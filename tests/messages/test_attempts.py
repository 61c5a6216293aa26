"""When a message is tried again, on the time-skipping server: three days pass in seconds."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from dev import binaries
from exports import names
from exports.messages.channel import Outcome, Verdict
from exports.messages.delivery import DeliveryResult, DeliveryStatus
from exports.settings import Settings
from exports.temporal.converter import data_converter
from tests.support.service import USER, open_service, working
from tests.support.told import Told, message, messenger
from workflows.delivery import DeliveryWorkflow

MINUTE, HOUR = 60, 3600
DELAYS = [5, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24))]


async def _timers(run: WorkflowHandle[Any, Any]) -> int:
    events = (await run.fetch_history()).events
    return sum(event.HasField("timer_started_event_attributes") for event in events)


async def test_ten_attempts_are_made_over_three_days_and_later_if_the_receiver_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, tried = Told(), list[datetime]()
    told.outcomes.extend(
        Outcome(Verdict.AGAIN, "It answered with 503.", status=503, retry_after=retry_after)
        for retry_after in [1, 900, 1, None, None, None, None, None, 1e9, 1]
    )
    expected = [*DELAYS]
    expected[1] = 900  # instead of five minutes; a shorter wait than ours is not kept
    send = Told.send

    async def noted(self: Told, *given: Any, **named: Any) -> Outcome:
        tried.append(activity.info().scheduled_time)
        return await send(self, *given, **named)

    monkeypatch.setattr(Told, "send", noted)
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=binaries.temporal_test_server(),
            data_converter=data_converter(),
        ) as skipping,
        open_service(settings, "", temporal=skipping.client) as service,
        working(service, channels={"told": told}),
    ):
        await skipping.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=skipping.client.namespace,
                search_attributes=dict.fromkeys(
                    names.SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                ),
            )
        )
        await messenger(service, told).tell(message(), ["told"])
        [begun] = await service.client.deliveries.list(created_by=USER)
        run = skipping.client.get_workflow_handle_for(
            DeliveryWorkflow.run, names.delivery_workflow_id(begun.id)
        )
        for number, delay in enumerate(expected, start=1):
            while await _timers(run) < number:
                await asyncio.sleep(0.02)
            await skipping.sleep(timedelta(seconds=delay * 1.1 + 1))
        result = await run.result()
        delivery = await service.client.deliveries.get(begun.id, created_by=USER)
    assert result == DeliveryResult(status=DeliveryStatus.FAILED, attempts=10)
    assert (delivery.status, len(delivery.attempts)) == (DeliveryStatus.FAILED, 10)
    waits = [later - earlier for earlier, later in pairwise(tried)]
    for wait, least in zip(waits, expected, strict=True):
        # With a jitter of up to a tenth, and the time that an attempt takes.
        most = timedelta(seconds=least * 1.1) + timedelta(minutes=1)
        assert timedelta(seconds=least) <= wait <= most, (wait, least)

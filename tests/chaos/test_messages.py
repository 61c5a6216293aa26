"""No message is lost, and none comes twice but where an answer was lost, whatever is killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dev.endpoints import Endpoints
from exports import names
from exports.clock import now_ms
from exports.errors import ExportError
from exports.messages import channels
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.delivery import DeliveryStatus
from exports.messages.message import Message
from exports.settings import Settings
from tests.support.chaos.herd import Herd, environment_of
from tests.support.chaos.killable_servers import KillableServers
from tests.support.chaos.operations import Record
from tests.support.chaos.receiver import CHANNEL, REMOTE, Receiver, receiving
from tests.support.chaos.temporal_command import temporal
from tests.support.chaos.wires import corner
from tests.support.chaos.worker_entry import HEARTBEAT
from tests.support.service import USER, Service, insert_orders, open_service, working
from tests.support.stored_tasks import insert_task
from tests.support.told import Told, message, messenger, register, settled
from workflows import policies

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def receiver(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Receiver, dict[str, str]]]:
    monkeypatch.setattr(channels, "KINDS", [REMOTE])
    async with receiving() as (receiver, environment):
        yield receiver, environment


@pytest.fixture
async def herd(
    idle_service: Service,
    endpoints: Endpoints,
    receiver: tuple[Receiver, dict[str, str]],
    tmp_path: Path,
) -> AsyncIterator[Herd]:
    """One worker process, which counts as lost after two seconds."""
    await insert_orders(idle_service.database)
    more = {HEARTBEAT: "2", **receiver[1]}
    environment = environment_of(idle_service.settings, endpoints, **more)
    async with Herd(1, environment, tmp_path, Record(tmp_path / "record")) as herd:
        yield herd


async def test_a_worker_that_dies_between_done_and_handed_over_loses_no_message(
    idle_service: Service, herd: Herd, receiver: tuple[Receiver, dict[str, str]]
) -> None:
    at, _ = receiver
    at.hold("addresses")
    task = await idle_service.create(notify=[CHANNEL])
    await at.gets("addresses")
    document = await idle_service.document(task.id)
    assert (document["status"], len(document["outbox"])) == ("done", 1)
    herd.crash()
    await at.release()
    # The step takes a second at most: it may have left the message to the sweep before it died.
    await idle_service.client.sweep()
    [sent] = await at.gets("send")
    assert (sent.about, (await settled(idle_service, sent.delivery)).status) == (
        task.id,
        DeliveryStatus.DELIVERED,
    )
    await idle_service.run_of(task.id).result()
    await idle_service.client.sweep()
    assert len(at.sent) == 1
    assert (await idle_service.document(task.id))["outbox"] == []


async def test_a_worker_that_dies_before_it_has_the_answer_sends_the_same_again(
    idle_service: Service, herd: Herd, receiver: tuple[Receiver, dict[str, str]]
) -> None:
    at, _ = receiver
    at.hold("send")
    task = await idle_service.create(notify=[CHANNEL])
    assert (await idle_service.ended(task.id)).status == "done", "an export waits for no message"
    await idle_service.run_of(task.id).result()
    await idle_service.client.sweep()  # the step may have left the message to it
    [first] = await at.gets("send")
    herd.crash()
    await at.release()
    first, second = await at.gets("send", 2)
    assert first.delivery == second.delivery
    assert first.pid != second.pid
    delivery = await settled(idle_service, second.delivery)
    assert [attempt.verdict for attempt in delivery.attempts] == ["delivered"]


async def test_of_many_messages_none_is_lost_while_workers_die(
    idle_service: Service, herd: Herd, receiver: tuple[Receiver, dict[str, str]]
) -> None:
    at, _ = receiver
    later = {"nextRunAt": now_ms() + 3_600_000, "notify": [CHANNEL]}
    ids = {await insert_task(idle_service, **later) for _ in range(40)}
    for task_id in ids:
        await idle_service.client.cancel(task_id, created_by=USER)
    sweep = asyncio.create_task(idle_service.client.sweep())
    for enough in (5, 15, 25):
        await at.gets("send", enough)
        herd.crash()
    with suppress(ExportError):
        await sweep
    await idle_service.client.sweep()
    for delivery in await idle_service.client.deliveries.list(created_by=USER, limit=100):
        assert (await settled(idle_service, delivery.id)).status is DeliveryStatus.DELIVERED
    assert {sent.about for sent in at.sent} == ids
    times = Counter(sent.delivery for sent in at.sent)
    assert len(times) == len(ids), "each has one id, however often it was sent"
    for delivery_id, number in times.items():
        if number > 1:
            assert await _was_lost(idle_service, delivery_id), "what was answered is sent once"


async def _was_lost(service: Service, delivery_id: str) -> bool:
    """Return whether a worker was taken for lost: it was killed, or the machine is very busy."""
    run = service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery_id))
    return any(
        event.activity_task_started_event_attributes.last_failure.HasField("timeout_failure_info")
        for event in (await run.fetch_history()).events
    )


class _Held(Told):
    """Can be held where it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.at = ""
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def _pass(self, step: str) -> None:
        if self.at == step:
            self.reached.set()
            await self.released.wait()

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        await self._pass("addresses")
        return await super().addresses(uid, message)

    async def send(self, *given: Any, **named: Any) -> Outcome:
        outcome = await super().send(*given, **named)
        await self._pass("send")
        return outcome


@pytest.fixture(scope="module")
def servers() -> Iterator[KillableServers]:
    with KillableServers() as servers:
        yield servers


@pytest.fixture
async def own(servers: KillableServers) -> AsyncIterator[Settings]:
    async with corner(servers.endpoints) as settings:
        yield settings


@pytest.mark.parametrize("step", ["addresses", "send"])
@pytest.mark.parametrize("server", ["temporal", "mongo"])
async def test_a_server_that_dies_loses_no_message_and_repeats_none(
    servers: KillableServers,
    own: Settings,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    step: str,
) -> None:
    told = _Held()
    told.at = step
    register(monkeypatch, told)
    async with open_service(own, servers.endpoints.temporal_address) as service:
        await insert_orders(service.database)
        async with working(service, channels={told.name: told}):
            task = await service.create(notify=[told.name])
            await told.reached.wait()
            servers.kill(server)
            told.released.set()
            await asyncio.sleep(1)  # long enough to meet a server that is away
            await asyncio.to_thread(servers.start_again, server)
            await service.run_of(task.id).result()
            await service.client.sweep()
            await told.next()
            [delivery] = await service.client.deliveries.list(created_by=USER)
            assert (await settled(service, delivery.id)).status is DeliveryStatus.DELIVERED
            run = service.temporal.get_workflow_handle(names.delivery_workflow_id(delivery.id))
            began = [
                event.activity_task_started_event_attributes.attempt
                async for event in run.fetch_history_events()
                if event.HasField("activity_task_started_event_attributes")
            ]
    # More than once only if Temporal took the worker for lost, which is an answer that was lost.
    assert len(told.got) == began[0]
    assert {delivery_id for delivery_id, _ in told.got} == {delivery.id}


async def test_a_delivery_goes_on_with_the_next_version_of_the_workers(
    settings: Settings,
    endpoints: Endpoints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    told.outcomes.append(Outcome(Verdict.AGAIN, "It answered with 503.", status=503))
    register(monkeypatch, told)
    monkeypatch.setattr(policies, "DELIVERY_DELAYS", [timedelta(seconds=1)])
    name = settings.task_queue
    for build in ("1", "2"):
        of_version = settings.model_copy(update={"deployment_name": name, "build_id": build})
        async with (
            open_service(of_version, endpoints.temporal_address) as service,
            working(service, channels={told.name: told}),
        ):
            await _make_current(endpoints, name, build)
            if build == "1":
                await messenger(service, told).tell(message(), [told.name])
                await told.next()
                continue
            [delivery] = await service.client.deliveries.list(created_by=USER)
            assert (await settled(service, delivery.id)).status is DeliveryStatus.DELIVERED


async def _make_current(endpoints: Endpoints, name: str, build: str) -> None:
    which = ("--deployment-name", name, "--build-id", build, "--yes")
    while True:
        try:
            await temporal(endpoints, *("worker", "deployment", "set-current-version", *which))
        except AssertionError:  # the server learns of workers with a delay
            await asyncio.sleep(0.2)
        else:
            return

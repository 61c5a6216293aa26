"""A server that is away is waited for, as long as a step has patience."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from pymongo import ReadPreference
from temporalio.testing import ActivityEnvironment

from activities.patience import Outages, time_limit
from exports.errors import (
    DatabaseUnavailableError,
    ExportError,
    StoreAccessError,
    StoreUnavailableError,
)
from exports.runtime import outages
from exports.runtime.outages import Patience, at_once, waits, waits_in_thread
from exports.settings import Settings
from exports.storage.s3 import s3_client
from tests.support.protections import protected_by

HANGS = 60  # seconds: a wait that takes longer counts as one that never ends


def away(error: type[ExportError] = DatabaseUnavailableError) -> ExportError:
    found = error("It is away.")
    found.away = "database"
    return found


class Server:
    """A server that fails as often as it is told, and counts the requests."""

    def __init__(
        self, *failures: ExportError, then: Callable[[], object] = lambda: "answer"
    ) -> None:
        self.asked = 0
        self._failures = list(failures)
        self._then = then

    def blocking(self) -> object:
        self.asked += 1
        if self._failures:
            raise self._failures.pop(0)
        return self._then()

    async def ask(self) -> object:
        return self.blocking()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "SHORTEST_WAIT", 0.001)
    monkeypatch.setattr(outages, "FIRST_WAIT", 0.001)


async def test_a_request_is_sent_again_until_its_server_is_back() -> None:
    patience, server = Patience(HANGS), Server(away(), away(), away())
    seen: list[object] = []
    server_back = Server(*[away()] * 3, then=lambda: seen.append(patience.waiting_for))
    with patience.in_use():
        assert await waits(server.ask)() == "answer"
        await waits(server_back.ask)()
    assert server.asked == 4
    assert seen == ["database"], "until the answer is there, it waits"
    assert patience.waiting_for is None


async def test_whoever_has_no_patience_gets_the_error_at_once() -> None:
    for patience in (None, Patience(0)):
        server = Server(away())
        with suppress(DatabaseUnavailableError):
            if patience is None:
                await waits(server.ask)()
            else:
                with patience.in_use():
                    await waits(server.ask)()
        assert server.asked == 1


async def test_what_a_server_refuses_is_not_asked_again() -> None:
    server = Server(StoreAccessError("The key is wrong."))
    with Patience(HANGS).in_use(), pytest.raises(StoreAccessError):
        await waits(server.ask)()
    assert server.asked == 1


async def test_when_the_patience_is_over_the_attempt_does_not_wait_again() -> None:
    first, next_one = Server(*[away()] * 1000), Server(*[away(StoreUnavailableError)] * 1000)
    patience = Patience(0.05)
    with patience.in_use():
        with pytest.raises(DatabaseUnavailableError):
            await waits(first.ask)()
        assert first.asked > 1
        # What it still asks for is to clean up.
        with pytest.raises(StoreUnavailableError):
            await waits(next_one.ask)()
    assert next_one.asked == 1
    assert patience.waiting_for is None


async def test_nothing_waits_past_the_time_limit_of_its_step() -> None:
    server = Server(away())
    with Patience(HANGS, ends_at=0).in_use(), pytest.raises(DatabaseUnavailableError):
        await waits(server.ask)()
    assert server.asked == 1


async def test_no_request_is_sent_to_a_server_that_is_known_to_be_away() -> None:
    looks = iter([True, True, True, False])
    server = Server(away())
    with Patience(HANGS, known_away={"database": lambda: next(looks)}).in_use():
        assert await waits(server.ask)() == "answer"
    assert server.asked == 2
    assert next(looks, None) is None


async def test_a_wait_ends_when_the_step_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "SHORTEST_WAIT", HANGS)
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()
        raise away()

    async def step() -> None:
        with Patience(10 * HANGS).in_use():
            await waits(ask)()

    running = asyncio.create_task(step())
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, HANGS / 2)


@protected_by("exports/runtime/outages.py", "if task is not None and task.cancelling():")
async def test_a_cancel_is_heard_even_if_the_driver_swallowed_it() -> None:
    asking = asyncio.Event()

    async def ask() -> None:
        asking.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise away()

    async def step() -> None:
        with Patience(HANGS).in_use():
            await waits(ask)()

    running = asyncio.create_task(step())
    await asking.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, HANGS)


async def test_blocking_work_waits_until_it_is_told_to_stop() -> None:
    stop, asked = threading.Event(), threading.Event()
    server = Server(*[away()] * 100_000, then=lambda: None)

    def work() -> object:
        outages.stopped_by(stop)
        asked.set()
        return waits_in_thread(server.blocking)()

    with Patience(HANGS).in_use():
        running = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.to_thread(asked.wait)
        stop.set()
        with pytest.raises(DatabaseUnavailableError):
            await asyncio.wait_for(running, HANGS)


def test_threads_of_a_pool_wait_as_the_one_that_started_them() -> None:
    found: list[Any] = []

    def look(begin: Callable[[], None]) -> None:
        begin()
        with suppress(ExportError):
            found.append(waits_in_thread(Server(away()).blocking)())

    with Patience(HANGS).in_use():
        patient = outages.as_here()
        with at_once():
            impatient = outages.as_here()
    for begin in (patient, impatient):
        thread = threading.Thread(target=look, args=(begin,))
        thread.start()
        thread.join(HANGS)
    assert found == ["answer"]


def test_threads_of_a_pool_log_for_the_step_that_started_them() -> None:
    step: ContextVar[str] = ContextVar("step", default="none")
    step.set("upload")
    with ThreadPoolExecutor(1, initializer=outages.as_here()) as pool:
        assert pool.submit(step.get).result() == "upload"


@pytest.mark.parametrize("failures", [1, 4])
async def test_a_server_that_is_away_for_more_than_a_moment_is_told_once(
    failures: int, caplog: pytest.LogCaptureFixture
) -> None:
    patience = Patience(HANGS)
    with patience.in_use():
        await asyncio.gather(*[waits(Server(*[away()] * failures).ask)() for _ in range(3)])
    told = [line for line in caplog.messages if "is away" in line]
    assert len(told) == (failures > 1)


def test_when_one_thread_of_a_pool_has_failed_the_others_wait_no_more() -> None:
    def work() -> None:
        outages.stopped_by(threading.Event())
        with ThreadPoolExecutor(1, initializer=outages.as_here()) as pool:
            waiting = pool.submit(waits_in_thread(Server(*[away()] * 100_000).blocking))
            outages.wait_no_more()
            with pytest.raises(DatabaseUnavailableError):
                waiting.result(HANGS / 2)

    with Patience(HANGS).in_use():
        copy_context().run(work)


def test_a_request_that_could_not_be_signed_again_waits_no_more(settings: Settings) -> None:
    client = s3_client(settings, "http://127.0.0.1:1")
    signed = iter(range(2))

    def sign(**_: object) -> None:
        if next(signed, None) is None:
            raise NoCredentialsError

    client.meta.events.register("before-sign.s3", sign)
    patience = Patience(HANGS)
    with patience.in_use(), pytest.raises(NoCredentialsError):
        client.head_object(Bucket="b", Key="k")
    assert patience.waiting_for is None
    client.close()


async def test_a_secondary_alone_holds_no_tasks() -> None:
    def has_readable_server(reads: Any) -> bool:
        return bool(reads != ReadPreference.PRIMARY)

    client: Any = SimpleNamespace(
        read_preference=ReadPreference.SECONDARY_PREFERRED,
        topology_description=SimpleNamespace(has_readable_server=has_readable_server),
    )

    async def known_away(server: Any) -> bool:
        return Outages(timedelta(0), {server: client}).patience().knows_away(server)

    running = ActivityEnvironment()
    assert await running.run(known_away, "database")
    assert not await running.run(known_away, "source")


@pytest.mark.parametrize("minutes", [11, 61])
async def test_an_attempt_has_time_for_all_its_patience(minutes: int) -> None:
    running = ActivityEnvironment()
    limit = timedelta(minutes=minutes)
    running.info = replace(running.info, start_to_close_timeout=limit)

    async def left() -> float:
        return time_limit() or 0

    assert limit.total_seconds() - 60 < await running.run(left) < limit.total_seconds()


@pytest.mark.usefixtures("_real_waits")
@pytest.mark.parametrize("outage", [10, 60, 300])
async def test_after_an_outage_not_all_come_back_in_the_same_second(
    outage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    async def one() -> float:
        clock = Clock()
        monkeypatch.setattr(outages, "time", clock)

        async def sleep(seconds: float) -> None:
            clock.now += seconds

        monkeypatch.setattr("asyncio.sleep", sleep)

        async def ask() -> float:
            if clock.now < outage:
                raise away()
            return clock.now

        with Patience(600).in_use():
            return await waits(ask)()

    back = [await one() for _ in range(50)]
    in_one_second = [sum(second <= moment < second + 1 for moment in back) for second in back]
    assert max(in_one_second) < 30
    assert max(back) <= outage + 15


@pytest.fixture
def _real_waits(_short_waits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "SHORTEST_WAIT", 0.5)
    monkeypatch.setattr(outages, "FIRST_WAIT", 1.0)

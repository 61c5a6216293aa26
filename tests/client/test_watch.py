"""Following exports through the client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from exports import connections
from exports.client import ExportClient
from exports.documents import Stored
from exports.errors import RequestError, TaskNotFoundError, WaitTimeoutError
from exports.models import AttemptBeat, Stage, TaskRef, TaskStatus
from exports.settings import Settings
from exports.tasks.task import ExportTask
from exports.tasks.transitions import RunTransitions
from tests.support.sent_commands import SentCommands
from tests.support.service import PATIENCE, Service, open_service
from tests.support.stored_tasks import insert_task


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> SentCommands:
    """The commands of the service's client."""
    commands = SentCommands()

    def listened(uri: str, **how: Any) -> AsyncMongoClient[Stored]:
        return AsyncMongoClient(uri, event_listeners=[commands], **how)

    monkeypatch.setattr(connections, "AsyncMongoClient", listened)
    return commands


@pytest.fixture
async def idle(
    settings: Settings, temporal_address: str, commands: SentCommands
) -> AsyncIterator[Service]:
    assert commands.sent == []
    async with open_service(settings, temporal_address) as service:
        yield service


async def _claimed(service: Service, **changes: Any) -> TaskRef:
    task_id = await insert_task(service, **changes)
    ref = TaskRef(task_id=task_id, workflow_id=f"export-{task_id}", run_id="r")
    await RunTransitions(service.collection).claim(ref, run_started_at=1)
    return ref


async def _all(client: ExportClient, task_id: str) -> list[ExportTask]:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        return [task async for task in client.watch(task_id, created_by="u1")]


async def test_whoever_watches_sees_every_state_in_order_and_then_the_end(idle: Service) -> None:
    ref, run = await _claimed(idle), RunTransitions(idle.collection)
    seen: list[tuple[TaskStatus, int]] = []
    async with aclosing(idle.client.watch(ref.task_id, created_by="u1")) as watched:
        async for task in watched:
            seen.append((task.status, task.progress.rows))
            if len(seen) < 3:
                beat = AttemptBeat(stage=Stage.AGGREGATE, rows=len(seen))
                await run.progress(ref, beat)
                await run.progress(ref, beat)  # changes nothing but `updatedAt`
            else:
                await run.cancelled(ref, "enough")
    running = TaskStatus.RUNNING
    assert seen == [(running, 0), (running, 1), (running, 2), (TaskStatus.CANCELLED, 2)]


async def test_all_who_watch_through_one_client_share_its_change_stream(
    idle: Service, commands: SentCommands
) -> None:
    refs = [await _claimed(idle) for _ in range(3)]
    other = idle.client.with_origin("another program")
    watching = [
        asyncio.create_task(_all(client, ref.task_id))
        for client in (idle.client, other)
        for ref in refs
    ]
    waiting = asyncio.create_task(other.wait(refs[0].task_id, created_by="u1", timeout=PATIENCE))
    while not any("getMore" in command for command in commands.sent):
        await asyncio.sleep(0.01)
    for ref in refs:
        await RunTransitions(idle.collection).cancelled(ref, "enough")
    for seen in await asyncio.gather(*watching):
        assert seen[-1].status is TaskStatus.CANCELLED
    assert (await waiting).status is TaskStatus.CANCELLED
    assert len([command for command in commands.sent if "aggregate" in command]) == 1
    await idle.client.__aexit__(None, None, None)
    assert any("killCursors" in command for command in commands.sent)


async def test_a_wait_that_is_too_long_ends_and_leaves_nothing_open(idle: Service) -> None:
    ref = await _claimed(idle)
    with pytest.raises(WaitTimeoutError):
        await idle.client.wait(ref.task_id, created_by="u1", timeout=timedelta(milliseconds=20))
    await idle.client.__aexit__(None, None, None)
    assert [task for task in asyncio.all_tasks() if "TaskFeed" in repr(task)] == []


async def test_nobody_is_told_of_somebody_elses_exports(idle: Service) -> None:
    theirs = await _claimed(idle, createdBy="u2")
    async with (
        idle.client.watch_all(created_by="u1") as watched,
        idle.client.watch_all(created_by=None) as operators,
    ):
        assert [task.id for task in operators.take()] == [theirs.task_id]
        assert watched.take() == []
        await RunTransitions(idle.collection).cancelled(theirs, "enough")
        assert (await anext(operators)).status is TaskStatus.CANCELLED
        mine = await _claimed(idle)
        assert (await anext(watched)).id == mine.task_id
    with pytest.raises(TaskNotFoundError):
        await anext(idle.client.watch(theirs.task_id, created_by="u1"))
    with pytest.raises(RequestError):
        async with idle.client.watch_all(created_by="\ud800"):
            raise AssertionError

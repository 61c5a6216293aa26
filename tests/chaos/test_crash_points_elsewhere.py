"""Clients and sweeps may die before and after each of their writes as well, twice in a row."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from bson import ObjectId

from exports import names
from exports.client import ExportClient, cancelling
from exports.clock import now_ms
from exports.models import TaskStatus
from tests.support.chaos import boundaries
from tests.support.chaos.corners import closed, corner, working
from tests.support.chaos.forked import ENDED_THERE, Orders, environment_of, forked, until
from tests.support.chaos.forms import LONG, SEED
from tests.support.service import MONTH, USER, Service, downloaded, insert_orders
from tests.support.stored_tasks import insert_task

Set = Callable[[Service], Awaitable[str]]
Check = Callable[[Service, str], Awaitable[None]]


async def _create(client: ExportClient, task_id: str) -> None:
    del task_id
    await client.create("statsMonthly", MONTH, created_by=USER, idempotency_key="once")


async def _cancel(client: ExportClient, task_id: str) -> None:
    # It would wait for a worker to clean up, and there is none.
    patch.object(cancelling, "_CANCEL_WAIT", timedelta(seconds=1)).start()
    await client.cancel(task_id, created_by=USER, reason="enough")


async def _renew(client: ExportClient, task_id: str) -> None:
    await client.renew(task_id, created_by=USER)


async def _retry(client: ExportClient, task_id: str) -> None:
    task = await client.get(task_id, created_by=USER)
    if task.status is TaskStatus.FAILED:  # a person looks before asking again
        await client.retry(task_id, created_by=USER)


async def _nothing_yet(service: Service) -> str:
    return names.task_id_for(service.settings.task_queue, USER, "once")


async def _begun(service: Service) -> str:
    return (await service.create()).id


async def _stored(service: Service) -> str:
    return await insert_task(service)


async def _done(service: Service) -> str:
    async with working(service):
        task_id = (await service.exported()).id
        await closed(service, task_id)
        return task_id


async def _failed(service: Service) -> str:
    task_id = await insert_task(service, status="failed", error={"code": "E_STORE", "msg": "x"})
    await service.database["ExportTasks"].update_one({}, {"$set": {"retries": 3}})
    return task_id


async def _is_done(service: Service, task_id: str) -> None:
    document = await service.document(task_id)
    assert (document["status"], document["retries"]) == (TaskStatus.DONE, 0)
    assert downloaded(document["downloadUrl"])
    assert service.keys() == [document["objectKey"]]
    assert await service.database["ExportTasks"].count_documents({}) == 1


async def _is_cancelled(service: Service, task_id: str) -> None:
    document = await service.document(task_id)
    assert (document["status"], document["cancelReason"]) == (TaskStatus.CANCELLED, "enough")
    assert service.keys() == []


@dataclass(frozen=True)
class Action:
    """What a client does, what it needs before, and how the result is checked."""

    act: Callable[[ExportClient, str], Awaitable[None]]
    begin: Set
    check: Check


@dataclass(frozen=True)
class _OnTask:
    """An action on one task, in a form that can be passed to another process."""

    action: Action
    task_id: str

    async def __call__(self, client: ExportClient) -> None:
        await self.action.act(client, self.task_id)


ACTIONS = {
    "create": Action(_create, _nothing_yet, _is_done),
    "cancel": Action(_cancel, _begun, _is_cancelled),
    "cancel before the start": Action(_cancel, _stored, _is_cancelled),
    "renew": Action(_renew, _done, _is_done),
    "retry": Action(_retry, _failed, _is_done),
}


async def _swept_to_the_end(service: Service, task_id: str) -> None:
    async with working(service):
        await service.client.sweep()
        await service.ended(task_id)
        await service.client.sweep()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ACTIONS)
async def test_what_a_client_began_is_finished_wherever_the_client_dies_twice(
    idle_service: Service, tmp_path: Path, name: str
) -> None:
    action = ACTIONS[name]
    await insert_orders(idle_service.database)

    async def died(at: str | None, corner_name: str) -> tuple[list[str], list[int]]:
        async with corner(idle_service, corner_name) as service:
            task_id = await action.begin(service)
            act = (name, _OnTask(action, task_id))
            codes: list[int] = []
            met: list[str] = []
            # Without an answer a person asks again, and once more.
            for turn, where in enumerate((at, at, None)):
                log = tmp_path / f"{corner_name}-{turn}"
                async with forked(Orders(environment_of(service), log, where, act=act)) as client:
                    codes.append(await client.ended())
                    assert codes[-1] in (0, ENDED_THERE), client.said()
                    met = met or client.boundaries()
                if at is None or codes[-1] == 0:
                    break
            await _swept_to_the_end(service, task_id)
            await action.check(service, task_id)
            return met, codes

    met, _ = await died(None, "r")
    chosen = met if LONG else boundaries.after_writes(met)
    assert chosen
    ends = await asyncio.gather(*(died(at, f"c{n}") for n, at in enumerate(chosen)))
    assert all(codes[0] == ENDED_THERE for _, codes in ends)


@dataclass
class Swept:
    """One task or object of each kind that a sweep looks after."""

    due: str
    left: str
    expired: str
    orphan: str

    @classmethod
    async def lay_out(cls, service: Service) -> "Swept":
        expired = await _done(service)
        tasks = service.database["ExportTasks"]
        await tasks.update_one({"_id": ObjectId(expired)}, {"$set": {"purgeAt": now_ms() - 1}})
        orphan = names.file_key(expired, "another-run", attempt="1-1", extension="csv")
        service.store.put(orphan, b"left by a zombie")
        due = await insert_task(service)
        left = await insert_task(service, status="running")
        return cls(due, left, expired, orphan)

    async def check(self, service: Service) -> None:
        keys: list[str] = []
        for task_id in (self.due, self.left):
            ended = await service.ended(task_id)
            await closed(service, task_id)
            assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
            keys.append((await service.document(task_id))["objectKey"])
        assert (await service.ended(self.expired)).status is TaskStatus.EXPIRED
        assert service.keys() == sorted(keys)


@pytest.mark.timeout(1800 if LONG else 400)
async def test_a_sweep_is_finished_wherever_its_workers_die_twice(
    idle_service: Service, tmp_path: Path
) -> None:
    await insert_orders(idle_service.database)

    async def died(at: str | None, name: str) -> tuple[list[str], int]:
        async with corner(idle_service, name) as service:
            found = await Swept.lay_out(service)
            sweep = asyncio.create_task(service.client.sweep())
            ends = 0
            met: list[str] = []
            for turn in (1, 2):
                orders = Orders(environment_of(service), tmp_path / f"{name}-{turn}", at)
                async with forked(orders) as process:
                    await until(lambda: process.exit_code is not None or sweep.done())
                    met = met or process.boundaries()
                    if process.exit_code is None:
                        break
                    assert process.exit_code == ENDED_THERE, process.said()
                    ends += 1
            async with working(service):
                await asyncio.wait_for(sweep, 150)
                await found.check(service)
            return met, ends

    met, _ = await died(None, "r")
    # The boundaries of the exports that it starts do not belong to the sweep.
    own = [name for name in met if name.startswith("sweep-")]
    assert len(own) > 10
    if not LONG:
        own = random.Random(SEED).sample(own, 6)  # noqa: S311 -- not for secrets
    ends = await asyncio.gather(*(died(at, f"c{n}") for n, at in enumerate(own)))
    # A process may not get as far as the boundaries after the last step of the sweep.
    assert sum(count > 0 for _, count in ends) > len(ends) // 2

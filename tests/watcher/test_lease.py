"""Of all workers, one watches; who was replaced does no harm."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from exports.watcher import lease as leases
from exports.watcher.lease import Lease
from tests.support.protections import protected_by

Database = AsyncDatabase[dict[str, Any]]
NewLease = Callable[[], Lease]
PLACE = {"_data": "a"}


@pytest.fixture
def new_lease(mongo_database: Database, monkeypatch: pytest.MonkeyPatch) -> NewLease:
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.02)
    return lambda: Lease(mongo_database, "q", "1@host")


async def stored(database: Database) -> dict[str, Any]:
    found = await database["ExportWatch"].find_one({"_id": "q"})
    assert found is not None
    return found


async def test_of_many_workers_that_start_at_once_one_watches(new_lease: NewLease) -> None:
    waiting = [new_lease() for _ in range(10)]
    assert sum(await asyncio.gather(*(one.take() for one in waiting))) == 1


async def test_a_lease_is_kept_as_long_as_it_is_renewed(
    new_lease: NewLease, mongo_database: Database
) -> None:
    holder, other = new_lease(), new_lease()
    assert await holder.take()
    assert not await other.take()
    seen = (await stored(mongo_database))["beat"]
    keeping = asyncio.create_task(holder.keep())
    while (await stored(mongo_database))["beat"] == seen:
        await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.wait({keeping})
    vars(other)["_seen_since"] = -math.inf  # a long time passes
    assert not await other.take(), "it has changed since the last look"
    vars(other)["_seen_since"] = -math.inf
    while not await other.take():  # the database was still at a renewal that was cancelled
        vars(other)["_seen_since"] = -math.inf


@protected_by(
    "exports/watcher/lease.py",
    '"holder": self._me}, {"$set": fields}',
    instead='}, {"$set": fields}',
)
async def test_a_worker_that_crashed_is_replaced_and_writes_nothing_if_it_comes_back(
    new_lease: NewLease, monkeypatch: pytest.MonkeyPatch, mongo_database: Database
) -> None:
    zombie, next_one = new_lease(), new_lease()
    assert await zombie.take()
    zombie.token = PLACE
    assert not await next_one.take()
    monkeypatch.setattr(leases, "FREE_AFTER", 0.0)
    assert await next_one.take()
    now = await stored(mongo_database)
    await asyncio.wait_for(zombie.keep(), 150)
    await zombie.give_back()
    assert await stored(mongo_database) == now


async def test_what_is_given_back_is_taken_at_once_with_its_place(new_lease: NewLease) -> None:
    first, second = new_lease(), new_lease()
    assert await first.take()
    assert not await second.take()
    first.token = PLACE
    await first.give_back()
    assert await second.take()
    assert second.token == PLACE


@pytest.mark.parametrize("rubbish", [{}, {"holder": None, "token": "x"}, {"beat": [1], "token": 7}])
async def test_whatever_is_in_the_document_the_lease_can_be_taken(
    new_lease: NewLease, mongo_database: Database, rubbish: dict[str, Any]
) -> None:
    await mongo_database["ExportWatch"].insert_one({"_id": "q", **rubbish})
    lease = new_lease()
    assert await lease.take()
    assert lease.token is None

"""What a client is told while a server is away, silent, or has dropped its connections."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final

import pytest
from bson import ObjectId

from dev.endpoints import Endpoints
from exports.client import ExportClient
from exports.errors import ExportError
from exports.storage import s3
from tests.support.chaos.forms import LONG
from tests.support.chaos.proxy import BlackHole, Fault, HalfOpen, Refused
from tests.support.chaos.wires import SERVERS, behind_wires
from tests.support.service import MONTH, USER, Service, insert_orders, working

BOUND: Final = 120
"""Seconds within which every call must return; none needs half of it."""
WELL: Final = "well"
AWAY: Final = {"temporal": "E_UNREACHABLE", "mongo": "E_DATABASE", "s3": "E_STORE"}
FAULTS: Final[tuple[Fault, ...]] = (Refused(), BlackHole(), HalfOpen())
NEEDS: Final = {
    "temporal": {"cancel", "sweep"},  # and those that create leaves to the sweep
    "mongo": {"get", "list", "create", "renew", "cancel", "retry", "watch", "preview"},
    "s3": {"renew", "preview"},
}


@pytest.fixture(autouse=True)
def less_patience_with_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    if not LONG:
        monkeypatch.setattr(s3, "READ_TIMEOUT", 6)


def calls(client: ExportClient, ids: Mapping[str, str]) -> dict[str, Awaitable[object]]:
    return {
        "get": client.get(ids["done"], created_by=USER),
        "list": client.list(created_by=USER),
        "create": client.create("statsMonthly", MONTH, created_by=USER),
        "renew": client.renew(ids["done"], created_by=USER),
        "preview": client.preview(ids["done"], created_by=USER),
        "cancel": client.cancel(ids["open"], created_by=USER),
        "retry": client.retry(ids["failed"], created_by=USER),
        "watch": anext(client.watch(ids["done"], created_by=USER)),
    }


async def answer(call: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(BOUND):
            await call
    except ExportError as error:
        return error.code
    return WELL


async def some_tasks(service: Service) -> list[dict[str, str]]:
    """Make for each fault a task that is done, one that has failed and one that is open.

    Afterwards, no worker runs.
    """
    await insert_orders(service.database)
    async with working(service):
        done = [await service.exported() for _ in FAULTS]
        failed = [await service.exported() for _ in FAULTS]
    await service.collection.documents.update_many(
        {"_id": {"$in": [ObjectId(task.id) for task in failed]}}, {"$set": {"status": "failed"}}
    )
    return [
        {"done": well.id, "failed": badly.id, "open": (await service.create()).id}
        for well, badly in zip(done, failed, strict=True)
    ]


async def answers(
    service: Service, endpoints: Endpoints, ids: Mapping[str, str], server: str, fault: Fault
) -> dict[str, str]:
    """Return the outcome of each call; all are made at once during the fault."""
    async with behind_wires(service.settings, endpoints) as (disturbed, wires):
        client = disturbed.client
        for _ in range(2):  # opens connections, so that there are some to drop
            await client.renew(ids["done"], created_by=USER)
            await client.list(created_by=USER)
        wire = wires.suffer(server, fault)
        asked = calls(client, ids)
        if server == "temporal" and not isinstance(fault, HalfOpen):
            asked["sweep"] = client.sweep()
        found = await asyncio.gather(*map(answer, asked.values()))
        assert wire.happened, fault
    return dict(zip(asked, found, strict=True))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("server", SERVERS)
async def test_every_call_returns_in_time_and_names_the_server_that_is_away(
    idle_service: Service, endpoints: Endpoints, server: str
) -> None:
    given = await some_tasks(idle_service)
    results = await asyncio.gather(
        *(
            answers(idle_service, endpoints, ids, server, fault)
            for ids, fault in zip(given, FAULTS, strict=True)
        )
    )
    may_fail = NEEDS[server]
    for fault, found in zip(FAULTS, results, strict=True):
        for call, code in found.items():
            away = code == AWAY[server]
            if isinstance(fault, HalfOpen):  # a new connection works again
                assert code == WELL or (call in may_fail and away), (fault, call, code)
            else:
                assert away if call in may_fail else code == WELL, (fault, call, code)

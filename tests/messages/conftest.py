"""Shared by the tests of messages."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from exports.settings import Settings
from tests.support.service import Service, insert_orders, working
from tests.support.task_steps import Tasks
from tests.support.told import Told, register
from tests.support.webhook_settings import key
from tests.support.webhook_world import WebhookWorld


@pytest.fixture
def tasks(mongo_database: AsyncDatabase[dict[str, Any]]) -> Tasks:
    return Tasks(mongo_database)


@pytest.fixture
def collection(mongo_database: AsyncDatabase[dict[str, Any]]) -> Any:
    return mongo_database["ExportTasks"]


@pytest.fixture
def world(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> WebhookWorld:
    return WebhookWorld(mongo_database, settings).with_keys(webhook_encryption_key=key("k1"))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def other() -> Told:
    return Told("other")


@pytest.fixture
async def at_work(
    idle_service: Service, told: Told, other: Told, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    register(monkeypatch, told, other)
    await insert_orders(idle_service.database)
    async with working(idle_service, channels={"told": told, "other": other}):
        yield idle_service

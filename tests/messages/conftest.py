"""Shared by the tests of tasks."""

from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from exports.settings import Settings
from tests.support.task_steps import Tasks
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

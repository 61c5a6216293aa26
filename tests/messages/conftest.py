"""Shared by the tests of tasks."""

from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.support.task_steps import Tasks


@pytest.fixture
def tasks(mongo_database: AsyncDatabase[dict[str, Any]]) -> Tasks:
    return Tasks(mongo_database)


@pytest.fixture
def collection(mongo_database: AsyncDatabase[dict[str, Any]]) -> Any:
    return mongo_database["ExportTasks"]

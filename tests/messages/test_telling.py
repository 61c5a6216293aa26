"""Whoever asked for an export is told how it ended."""

import pytest

from exports.messages.message import Event
from tests.support.service import USER, Service, insert_orders, working
from tests.support.told import Told, register


async def test_who_asked_is_told_that_the_export_is_done(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    register(monkeypatch, told)
    await insert_orders(idle_service.database)
    async with working(idle_service, channels={"told": told}):
        task = await idle_service.exported(notify=["told"])
        message = await told.next()
    assert (message.event, message.created_by) == (Event.DONE, USER)
    assert message.export is not None
    assert message.export.id == task.id
    assert message.export.period == "2026-10"
    assert (message.export.rows, message.export.bytes) == (task.rows, task.bytes)
    assert (await idle_service.document(task.id))["outbox"] == []

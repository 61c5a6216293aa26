"""A task's workflow is started, also if the server answers wrongly for a moment."""

from typing import Any

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from exports.models import TaskStatus
from exports.temporal import start
from tests.support.service import Service, insert_orders


async def test_an_export_starts_although_the_server_did_not_find_its_namespace_for_a_moment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_workflow = Client.start_workflow
    answers = [RPCError("Namespace default is not found.", RPCStatusCode.NOT_FOUND, b"")]

    # A fake answer, once: an overloaded development server gives it now and then.
    async def forgetful(self: Client, *given: Any, **named: Any) -> Any:
        if answers:
            raise answers.pop()
        return await start_workflow(self, *given, **named)

    monkeypatch.setattr(Client, "start_workflow", forgetful)
    monkeypatch.setattr(start, "_NOT_FOUND_PAUSE", 0)
    await insert_orders(service.database)
    assert (await service.exported()).status is TaskStatus.DONE
    assert not answers

"""A workflow task that is slow, because the machine is busy, is not taken for a deadlock."""

import time
from typing import Any, Final

import pytest

from exports.models import ExportPlan, TaskStatus
from tests.support.protections import protected_by
from tests.support.service import MONTH, USER, Service, insert_orders
from workflows.visibility import Visibility

_LONGER_THAN_THE_SDK_ALLOWS: Final = 2.5  # seconds
_FAILED_TASK: Any = "workflow_task_failed_event_attributes"


@protected_by("worker.py", '["_deadlock_timeout_seconds"] = _DEADLOCK_AFTER', instead='["_"] = 0')
async def test_a_slow_workflow_task_does_not_fail(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_plan = Visibility.show_plan

    def slowly(self: Visibility, plan: ExportPlan) -> None:
        time.sleep(_LONGER_THAN_THE_SDK_ALLOWS)
        show_plan(self, plan)

    monkeypatch.setattr(Visibility, "show_plan", slowly)
    await insert_orders(service.database)
    task = await service.client.create("statsMonthly", MONTH, created_by=USER)
    assert (await service.ended(task.id)).status is TaskStatus.DONE
    history = await service.run_of(task.id).fetch_history()
    assert not [event for event in history.events if event.HasField(_FAILED_TASK)]

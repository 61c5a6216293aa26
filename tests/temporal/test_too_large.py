"""A payload that Temporal does not accept fails an export once, with a message; never hangs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pydantic import JsonValue
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.aggregate import AggregateActivities
from exports.clock import now_ms
from exports.errors import TooLargeError
from exports.models import (
    AggregateInput,
    ExportRequest,
    StagedPart,
    StagedUnit,
    TaskStatus,
)
from exports.reports.stats.report import StatsReport
from exports.settings import Settings
from exports.temporal.payload_size import (
    MOST_BYTES,
    MOST_PARAMS,
    check_fits,
    check_params_fit,
    size_of,
)
from tests.support.service import MONTH, USER, Service, open_service, working

_SENTENCE = "The list of staged parts is larger than the 2 MB that Temporal accepts"


def part(number: int) -> StagedPart:
    key = f"staging/{'t' * 200}/{'r' * 36}/2026-10/5-1/part-{number:05d}.arrow"
    return StagedPart(key=key, rows=1, bytes=4 << 20, sha256="a" * 64, schema_id="s" * 16)


def staged(unit: str, size: int) -> StagedUnit:
    """Return a unit of gigabytes of rows: its list of parts has about so many bytes."""
    parts = [part(number) for number in range(size // size_of(part(0)))]
    return StagedUnit(unit=unit, parts=parts, rows=len(parts))


class _LongLists(AggregateActivities):
    @activity.defn(name="aggregate")
    async def aggregate(self, ask: AggregateInput) -> StagedUnit:
        return staged(ask.unit.key, MOST_BYTES // 8)


@pytest.fixture
def twelve_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each of twelve months have a list of parts that fits, but not all twelve together."""
    monkeypatch.setattr(AggregateActivities, "aggregate", _LongLists.aggregate)


async def _fails_at_once(service: Service, kind: str = "statsMonthly") -> None:
    task = await service.exported(kind)
    assert task.status is TaskStatus.FAILED
    assert task.error is not None
    assert task.error.code == "E_TOO_LARGE"
    assert task.error.msg.startswith(_SENTENCE)
    history = await service.run_of(task.id).fetch_history()
    assert not [event for event in history.events if event.HasField(_FAILED_TASK)]
    assert service.keys() == []


_FAILED_TASK: Any = "workflow_task_failed_event_attributes"


@pytest.mark.usefixtures("twelve_units")
async def test_a_list_of_parts_that_is_too_large_for_upload_fails_the_export_once(
    service: Service,
) -> None:
    await _fails_at_once(service, "statsAnnual")


@pytest.fixture
async def units_of(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> AsyncIterator[Service]:
    """A service with a report of as many units as its parameters say."""
    reports = tmp_path / "reports.toml"
    reports.write_text('[reports.many]\npython = "tests.support.many_units:ManyUnits"\n')
    changed = settings.model_copy(update={"reports_file": reports})
    async with open_service(changed, temporal_address) as service, working(service):
        yield service


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"units": 5000}, "The export has 5,000 units of work or more, and can have 4,000"),
        # The first unit of a report of rows learns how many rows there are.
        ({"more": 5000}, "The export has about 10,002 rows, in 5,001 units of work or more"),
        # Parameters are in the input of each unit.
        ({"more": 900, "note": "x" * 60_000}, "901 units of work or more, and can have 5"),
    ],
    ids=["before it reads", "after the first unit", "long parameters"],
)
async def test_an_export_that_its_history_could_not_hold_fails_at_its_beginning(
    units_of: Service, params: dict[str, JsonValue], said: str
) -> None:
    task = await units_of.ended((await units_of.client.create("many", params, created_by=USER)).id)
    assert task.error is not None
    assert (task.status, task.error.code) == (TaskStatus.FAILED, "E_TOO_LARGE")
    assert said in task.error.msg
    run = units_of.run_of(task.id)
    with pytest.raises(WorkflowFailureError):
        await run.result()
    history = await run.fetch_history()
    steps = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
    ]
    assert "aggregate" not in steps, "the claim reads the first unit"
    assert units_of.keys() == []


async def test_a_workflow_whose_request_is_too_large_fails_at_once(
    service: Service, task_queue: str
) -> None:
    # The server accepts the request, but not the input of the first step, which is larger.
    request = ExportRequest(
        type="statsMonthly", params={"x": "x" * (MOST_BYTES + 15_000)}, created_by=USER
    )
    handle = await service.temporal.start_workflow(
        "ExportWorkflow", request, id=f"large-{task_queue}", task_queue=task_queue
    )
    with pytest.raises(WorkflowFailureError) as closed:
        await handle.result()
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.type == "E_TOO_LARGE"


@pytest.fixture
def anything_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the report take any parameters, as one that a team wrote in Python may."""
    check = StatsReport.check_params

    def lenient(self: StatsReport, params: Any) -> dict[str, JsonValue]:
        return {**check(self, MONTH), "note": params.get("note", "")}

    monkeypatch.setattr(StatsReport, "check_params", lenient)


@pytest.mark.usefixtures("anything_goes")
async def test_parameters_that_are_too_large_are_refused_and_nothing_is_stored(
    idle_service: Service,
) -> None:
    with pytest.raises(TooLargeError, match="64 KiB"):
        await idle_service.create(params={**MONTH, "note": "x" * MOST_PARAMS})
    assert await idle_service.collection.documents.count_documents({}) == 0


@pytest.mark.usefixtures("anything_goes")
async def test_a_stored_task_with_too_large_parameters_fails_once(service: Service) -> None:
    task_id = ObjectId()
    await service.database["ExportTasks"].insert_one(
        {
            "_id": task_id,
            "type": "statsMonthly",
            "params": {**MONTH, "note": "x" * 3_000_000},
            "status": "pending",
            "createdBy": USER,
            "nextRunAt": now_ms(),
        }
    )
    await service.client.sweep()
    task = await service.ended(str(task_id))
    assert task.error is not None
    assert task.error.code == "E_TOO_LARGE"


@pytest.mark.parametrize("more", [0, 1])
def test_the_limits_are_exact(more: int) -> None:
    params: dict[str, JsonValue] = {"x": "x" * (MOST_PARAMS - len('{"x":""}') + more)}
    unit = StagedUnit(unit="", parts=[], rows=0)
    unit = unit.model_copy(update={"unit": "x" * (MOST_BYTES - size_of(unit) + more)})
    if not more:
        check_params_fit(params)
        check_fits(unit, "It")
        return
    with pytest.raises(TooLargeError):
        check_params_fit(params)
    with pytest.raises(TooLargeError):
        check_fits(unit, "It")

"""Runs that began under older code go on under the present code: their histories replay."""

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from exports.models import ExportRequest
from exports.temporal.converter import data_converter
from tests.support.paths import HISTORIES
from tests.support.record_histories import RECORDINGS
from tests.support.sandbox import strict_runner
from workflows.admission import Admission
from workflows.delivery import DeliveryWorkflow
from workflows.export import ExportWorkflow
from workflows.sweep import SweepWorkflow


def _history(name: str) -> WorkflowHistory:
    text = (HISTORIES / f"{name}.json").read_text(encoding="utf-8")
    return WorkflowHistory.from_json(name, text)


def test_every_path_of_a_run_has_been_recorded() -> None:
    there = {path.stem for path in HISTORIES.glob("*.json")}
    assert there >= set(RECORDINGS)
    assert len(there) >= 20


@pytest.mark.parametrize("name", sorted(path.stem for path in HISTORIES.glob("*.json")))
async def test_a_recorded_run_replays(name: str) -> None:
    replayer = Replayer(
        workflows=[ExportWorkflow, SweepWorkflow, DeliveryWorkflow],
        interceptors=[Admission()],
        workflow_runner=strict_runner(),
        data_converter=data_converter(),
    )
    await replayer.replay_workflow(_history(name))


@workflow.defn(name="ExportWorkflow", sandboxed=False)
class _Changed:
    @workflow.run
    async def run(self, request: ExportRequest) -> None:
        del request
        await workflow.sleep(1)


async def test_a_change_that_would_break_open_runs_is_noticed() -> None:
    replayer = Replayer(workflows=[_Changed], data_converter=data_converter())
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(_history("done-statsMonthly"))


def test_no_recorded_history_holds_a_link_a_row_or_a_key() -> None:
    for path in HISTORIES.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "X-Amz" not in text
        assert "图书" not in text

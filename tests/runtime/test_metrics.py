"""What is counted and measured: once, and with few labels."""

import logging

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from exports.errors import SettingsError
from exports.runtime import metrics
from exports.runtime.listening import open_socket, url_of
from exports.runtime.metrics import start_temporal
from exports.temporal.converter import data_converter
from tests.support.logs import logged
from tests.support.metrics import measured_runtime
from tests.support.paths import HISTORIES
from tests.support.protections import protected_by
from workflows.export import ExportWorkflow


@protected_by(
    "exports/runtime/metrics.py", "return workflow.metric_meter()", instead="return _Process.meter"
)
@protected_by("workflows/account.py", "if not workflow.unsafe.is_replaying():", instead="if True:")
async def test_a_replay_counts_and_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, scrape = measured_runtime()
    monkeypatch.setattr(vars(metrics)["_Process"], "meter", runtime.metric_meter)
    replayer = Replayer(
        workflows=[ExportWorkflow], data_converter=data_converter(), runtime=runtime
    )
    with logged("text") as lines:
        for name in ("done-after-a-deploy", "failed-after-lost-workers", "cancelled-by-signal"):
            text = (HISTORIES / f"{name}.json").read_text(encoding="utf-8")
            await replayer.replay_workflow(WorkflowHistory.from_json(name, text))
    assert scrape().labels("exports_") == {}
    assert [line for line in lines() if "Export ended" in line] == []


def test_the_endpoint_can_not_be_where_something_else_listens() -> None:
    with open_socket("127.0.0.1:0", setting="test") as taken:
        address = url_of(taken).removeprefix("http://")
        with pytest.raises(
            SettingsError, match=f"EXPORTS_METRICS_LISTEN: can't listen on {address}"
        ):
            start_temporal(logging.getLogger("test"), metrics_listen=address)


@pytest.mark.parametrize("code", ["E_STORE", "what somebody typed", None])
def test_only_known_codes_are_labels(code: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, scrape = measured_runtime()
    monkeypatch.setattr(vars(metrics)["_Process"], "meter", runtime.metric_meter)
    metrics.count_failed_attempt(code)
    metrics.time_request("GET" if code else "ROW", "/exports/{id}", 200, 0.1)
    shown = {"E_STORE": "E_STORE", None: "none"}.get(code, "other")
    assert scrape().labels("exports_")["code"] == {shown}
    assert scrape().labels("exports_")["method"] == {"GET" if code else "other"}

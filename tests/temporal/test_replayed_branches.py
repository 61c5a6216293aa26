"""The recorded histories take every branch of the workflows, with few exceptions."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from tests.support.paths import REPOSITORY

WORKFLOWS = (
    *(
        "account",
        "admission",
        "delivery",
        "export",
        "failures",
        "history_budget",
        "policies",
        "steps",
        "sweep",
    ),
    *("uninterrupted", "visibility", "worker_loss"),
)
NOT_TAKEN = {
    ("account", "if not workflow.unsafe.is_replaying():"): "a replay neither counts nor logs",
    ("delivery", "if not is_cancelled_exception(error):"): "takes hours",
    ("export", "if claim.ended is None:"): "each claim has a plan or a result",
    (
        "export",
        "if not cut_short and not is_cancelled_exception(error):",
    ): "a claim fails and is cancelled at once",
    ("failures", "if isinstance(cause, ActivityTimeoutError):"): "no step fails in a third way",
    ("failures", "if isinstance(cause, ApplicationError):"): "the same",
    (
        "history_budget",
        "if self._known <= most or not workflow.patched(_UNITS_COUNTED):",
    ): "has thousands of units",
    (
        "worker_loss",
        "if workflow.now() - self._began > policies.WAIT_FOR_KEY_WITHIN:",
    ): "takes a day",
}
"""Branches that no history takes, and why."""


class _Measured(BaseModel):
    missing_branches: list[tuple[int, int]]


class _Report(BaseModel):
    files: dict[str, _Measured]


def test_the_recorded_histories_take_every_branch_of_the_workflows(tmp_path: Path) -> None:
    measured, report = tmp_path / "measured", tmp_path / "report.json"
    coverage = (sys.executable, "-m", "coverage")
    replays = "tests/temporal/test_replay.py::test_a_recorded_run_replays"
    for command in (
        ("run", "--branch", "--source=workflows", "-m", *("pytest", "-n0", "-q", replays)),
        ("json", "-q", "-o", str(report)),
    ):
        subprocess.run(  # noqa: S603 -- our own tests
            (*coverage, *command),
            cwd=REPOSITORY,
            env=os.environ | {"COVERAGE_FILE": str(measured)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    found = _Report.model_validate(json.loads(report.read_text(encoding="utf-8"))).files
    not_taken: set[tuple[str, str]] = set()
    for name in WORKFLOWS:
        path = f"workflows/{name}.py"
        lines = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()
        not_taken |= {(name, lines[at - 1].strip()) for at, _ in found[path].missing_branches}
    assert not_taken == set(NOT_TAKEN)

"""The checker finds every kind of broken promise in evidence that was changed to show it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.chaos.evidence import Content, Download, Evidence, Run
from tests.support.chaos.operations import Operation, Record, asked_for, read_record
from tests.support.chaos.verdict import findings
from tests.support.paths import REPOSITORY

ASKED: Final = ("statsMonthly", {"year": 2026, "month": 10}, "csv")
REFERENCE: Final = Content.of([b"rows"])
DONE, CANCELLED, FAILED, OTHERS = "d0", "c0", "f0", "d1"
FILE: Final = f"files/{DONE}/run/3-1-token/export.csv"


def _task(task_id: str, status: str, **more: Any) -> dict[str, Any]:
    kind, params, form = ASKED
    return {
        "_id": task_id,
        "type": kind,
        "params": params,
        "format": form,
        "status": status,
        "retries": 0,
        "maxRetries": 3,
        "createdBy": "bea" if task_id == OTHERS else "ann",
        **more,
    }


def _done(task_id: str, key: str) -> dict[str, Any]:
    return _task(
        task_id,
        "done",
        objectKey=key,
        bytes=REFERENCE.size,
        sha256=REFERENCE.sha256,
        downloadUrl="http://link",
        expiresAt=100_000,
    )


def _followed(content: Content, *, at: float = 50.0) -> Download:
    return Download(content, at, at + 1.0)


def _told(
    what: str,
    task: str,
    status: str = "",
    *,
    at: float = 1.0,
    asked: str = "",
    sha256: str = "",
    code: str = "",
    who: str = "",
) -> Operation:
    who = who or ("bea" if task == OTHERS else "ann")
    return Operation(
        what=what, task=task, status=status, at=at, asked=asked, sha256=sha256, code=code, who=who
    )


def _preview(file: str) -> str:
    return file.replace("export.csv", "preview.json")


def _good() -> Evidence:
    """Return evidence without any broken promise."""
    others = f"files/{OTHERS}/run/3-1-token/export.csv"
    created = [
        _told("create", task, "pending", at=0.0, asked=asked_for(*ASKED))
        for task in (DONE, CANCELLED, FAILED, OTHERS)
    ]
    return Evidence(
        operations=[
            *created,
            _told("wait", DONE, "done", sha256=REFERENCE.sha256),
            _told("cancel", CANCELLED, "cancelled"),
            _told("cancel", DONE, code="E_STATE"),
            _told("wait", FAILED, "failed"),
            Operation(what="list", who="ann", tasks=[DONE, CANCELLED, FAILED]),
            Operation(what="get", who="ann", task=OTHERS, code="E_NOT_FOUND"),
            Operation(what="kill", pid=7, steps=["aggregate 2026-10 export-d0"]),
        ],
        tasks=[
            _done(DONE, FILE),
            _done(OTHERS, others),
            _task(CANCELLED, "cancelled"),
            _task(FAILED, "failed", retries=1, error={"code": "E_COLLECTION", "msg": "Gone."}),
        ],
        objects={key: REFERENCE for file in (FILE, others) for key in (file, _preview(file))},
        open_uploads=[],
        runs=[
            Run(f"export-{DONE}", 1.0, "COMPLETED"),
            Run(f"export-{OTHERS}", 1.0, "COMPLETED"),
            Run(f"export-{CANCELLED}", 1.0, "CANCELED"),
            Run(f"export-{FAILED}", 1.0, "FAILED"),
        ],
        references={asked_for(*ASKED): REFERENCE},
        downloads={DONE: _followed(REFERENCE), OTHERS: _followed(REFERENCE)},
        may_fail={asked_for(*ASKED): "E_COLLECTION"},
    )


def _with(task_id: str, **changed: Any) -> Evidence:
    good = _good()
    tasks = [task | changed if task["_id"] == task_id else task for task in good.tasks]
    return replace(good, tasks=tasks)


def _also(*operations: Operation) -> Evidence:
    good = _good()
    return replace(good, operations=[*good.operations, *operations])


def _without_task(task_id: str) -> Evidence:
    good = _good()
    return replace(good, tasks=[task for task in good.tasks if task["_id"] != task_id])


def _with_object(key: str, content: Content = REFERENCE) -> Evidence:
    good = _good()
    return replace(good, objects=good.objects | {key: content})


def _without_object(gone: str = FILE) -> Evidence:
    good = _good()
    return replace(good, objects={key: one for key, one in good.objects.items() if key != gone})


def _with_run(task_id: str, status: str) -> Evidence:
    good = _good()
    return replace(good, runs=[*good.runs, Run(f"export-{task_id}", 2.0, status)])


CHANGED: Final = Content.of([b"other"])
DOCTORED: Final = {
    "a task that was lost": (_without_task(CANCELLED), "is lost"),
    "a task that nobody asked for": (
        replace(_good(), tasks=[*_good().tasks, _task("x0", "cancelled")]),
        "nobody asked for it",
    ),
    "a task that became somebody else's": (_with(CANCELLED, createdBy="eve"), "is eve's"),
    "a task that became another request": (_with(CANCELLED, format="xlsx"), "not what ann asked"),
    "a task that never ended": (_with(CANCELLED, status="running"), "has not ended: running"),
    "more retries than allowed": (_with(FAILED, retries=4), "4 retries of 3"),
    "a kill that was charged": (
        replace(_with(DONE, retries=1), may_fail={}),
        "was charged 1 attempts",
    ),
    "a failure without a reason": (_with(FAILED, error=None), "does not say why"),
    "a failure that nobody caused": (
        _with(FAILED, error={"code": "E_WORKER_LOST"}),
        "failed with E_WORKER_LOST",
    ),
    "a file that is not there": (_without_object(), "its file is"),
    "a file without a preview": (_without_object(_preview(FILE)), "its file is"),
    "two files of one task": (
        _with_object(f"files/{DONE}/run/3-2-token/export.csv"),
        "and there are",
    ),
    "changed bytes": (_with_object(FILE, CHANGED), "other bytes than without faults"),
    "a wrong checksum": (_with(DONE, sha256="00"), "another size or sha256"),
    "a wrong size": (_with(DONE, bytes=5), "another size or sha256"),
    "a link that leads elsewhere": (
        replace(_good(), downloads=_good().downloads | {DONE: _followed(CHANGED)}),
        "does not lead to its file",
    ),
    "no link": (replace(_good(), downloads={}), "is done and has no link"),
    "a link that does not expire": (
        replace(_good(), downloads=_good().downloads | {DONE: _followed(REFERENCE, at=200.0)}),
        "good for longer than it says",
    ),
    "a file of a cancelled task": (
        _with_object(f"files/{CANCELLED}/run/3-1-token/export.csv"),
        "is cancelled and has 1 objects",
    ),
    "a link of a cancelled task": (_with(CANCELLED, downloadUrl="http://x"), "and has a link"),
    "a staged part": (
        _with_object(f"staging/{DONE}/run/2026-10/2-1/part-00000.arrow"),
        "a staged part is left",
    ),
    "an object of no task": (_with_object("files/x0/run/a/export.csv"), "belongs to no task"),
    "an open upload": (replace(_good(), open_uploads=[FILE]), "is left open"),
    "an open run": (_with_run(DONE, "RUNNING"), "has a run that is RUNNING"),
    "a run that closed otherwise": (_with_run(DONE, "FAILED"), "its last run closed as FAILED"),
    "a run of no task": (_with_run("x0", "COMPLETED"), "a run belongs to no task"),
    "a task without a run": (replace(_good(), runs=_good().runs[1:]), "never had a run"),
    "done, then not": (_also(_told("get", FAILED, "done")), "is done; it is failed"),
    "cancelled, then not": (_also(_told("cancel", DONE, "cancelled")), "is cancelled; it is done"),
    "failed, then done by itself": (_also(_told("get", DONE, "failed")), "is failed; it is done"),
    "another file than before": (
        _also(_told("get", DONE, "done", sha256="00")),
        "had another file",
    ),
    "a refused cancel that worked": (
        _also(_told("cancel", CANCELLED, code="E_STATE")),
        "can't be cancelled; it was",
    ),
    "an answer about a lost task": (_also(_told("get", "x0", "running")), "which is lost"),
    "somebody else's task in a list": (
        _also(Operation(what="list", who="ann", tasks=[OTHERS])),
        f"ann saw {OTHERS} of bea",
    ),
    "somebody else's task": (
        _also(_told("get", OTHERS, "done", who="ann")),
        f"ann did get on {OTHERS} of bea",
    ),
    "another answer than not found": (
        _also(_told("cancel", OTHERS, code="E_STATE", who="ann")),
        f"ann did cancel on {OTHERS} of bea: E_STATE",
    ),
    "the own task not found": (
        _also(_told("get", DONE, code="E_NOT_FOUND")),
        f"own {DONE} is not there",
    ),
    "a worker that died by itself": (
        _also(Operation(what="died", pid=8, code="exit code 1")),
        "ended by itself: exit code 1",
    ),
    "a kill of an idle worker": (_also(Operation(what="kill", pid=9)), "while it did nothing"),
}


def test_a_record_without_fault_has_no_findings() -> None:
    assert findings(_good()) == []


def test_a_link_whose_time_is_over_leads_nowhere() -> None:
    refused = {DONE: _followed(Content.of([b"HTTP 403"]), at=200.0)}
    assert findings(replace(_good(), downloads=_good().downloads | refused)) == []


def test_what_failed_may_be_done_after_a_retry() -> None:
    again = _also(_told("wait", DONE, "failed"), _told("retry", DONE, "pending", at=2.0))
    assert findings(again) == []


def test_a_create_that_was_not_answered_may_have_left_a_task() -> None:
    unanswered = Operation(what="create", who="ann", asked=asked_for(*ASKED), code="E_DATABASE")
    left = _also(unanswered)
    left = replace(
        left,
        tasks=[*left.tasks, _task("x0", "cancelled")],
        runs=[*left.runs, Run("export-x0", 1.0, "CANCELED")],
    )
    assert findings(left) == []
    twice = replace(left, tasks=[*left.tasks, _task("x1", "cancelled")])
    assert any("x1 of ann is there and nobody asked" in one for one in findings(twice))


@pytest.mark.parametrize(("doctored", "says"), DOCTORED.values(), ids=DOCTORED)
def test_the_checker_finds(doctored: Evidence, says: str) -> None:
    found = findings(doctored)
    assert any(says in finding for finding in found), found


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    for operation in _good().operations:
        record.add(operation)
    assert read_record(tmp_path / "record.jsonl") == record.operations


def test_saved_evidence_names_no_link(tmp_path: Path) -> None:
    _good().save(tmp_path)
    saved = "".join(path.read_text() for path in tmp_path.iterdir())
    assert DONE in saved
    assert "http://link" not in saved


def test_the_checker_shares_no_code_with_the_product() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import tests.support.chaos.verdict, sys; print(*sys.modules)"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "tests.support.chaos.verdict" in said
    ours = {name.split(".")[0] for name in said}
    assert not ours & {"exports", "activities", "workflows", "worker", "dev", "benchmarks"}

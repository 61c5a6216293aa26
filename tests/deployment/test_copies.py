"""`make protections` and `make mutants` count a test that ran and failed, and nothing else."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.copies import Outcome, function_of, outcome, undefined_names

_TEST = '<testcase classname="tests.tasks.test_task" name="test_a[1]">'


def _said(inside: str) -> ET.Element:
    return ET.fromstring(f"<testsuite>{_TEST}{inside}</testcase></testsuite>")  # noqa: S314 -- ours


def test_a_test_that_ran_and_failed_has_noticed() -> None:
    said = _said('<failure message="assert 1 == 2">E assert 1 == 2</failure>')
    assert outcome(said) == Outcome(frozenset({"tests.tasks.test_task.test_a"}))
    assert function_of("tests/tasks/test_task.py::test_a[1]") == "tests.tasks.test_task.test_a"


def test_a_test_that_passes_has_noticed_nothing() -> None:
    assert outcome(_said("")) == Outcome(frozenset())


@pytest.mark.parametrize(
    "said",
    [
        "E   NameError: name 'ExportTask' is not defined",
        "temporalio.exceptions.ApplicationError: E_INTERNAL: NameError in start.py:43",
        "ImportError: cannot import name 'x' from 'exports.names'",
        "SyntaxError: invalid syntax",
    ],
)
def test_code_that_does_not_run_proves_nothing(said: str) -> None:
    found = outcome(_said(f"<failure>{said}\n</failure>"))
    assert found.noticed == frozenset()
    assert found.no_code is not None


def test_nor_does_a_test_that_could_not_begin() -> None:
    found = outcome(_said('<error message="failed on setup with &quot;x&quot;">...</error>'))
    assert found.no_code == 'failed on setup with "x"'


def test_a_name_that_is_not_there_is_seen_before_anything_runs(tmp_path: Path) -> None:
    changed = tmp_path / "changed.py"
    changed.write_text("def f() -> int:\n    return ExportTask(1)\n", encoding="utf-8")
    assert "ExportTask" in (undefined_names(changed) or "")
    changed.write_text("def f( -> int:\n", encoding="utf-8")
    assert undefined_names(changed) is not None
    changed.write_text("def f() -> int:\n    return 1\n", encoding="utf-8")
    assert undefined_names(changed) is None

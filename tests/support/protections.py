"""Tests that name the line which they are there for, and the proof that they would miss it.

    @protected_by("exports/tasks/transitions.py", '"runId": run_id,')
    async def test_a_run_that_was_replaced_writes_nothing(...)

At each collection the named text has to stand in its file, once. `make protections` goes
further: it takes out one protection after the other, in a copy of the project, and runs the tests
that name it. A test that still passes then protects nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.paths import REPOSITORY

_MARK: Final = "protected_by"
_TESTS_FAILED: Final = 1
_LONGEST: Final = 900
_TAKEN_OUT: Final = "PROTECTION_TAKEN_OUT"  # set in a copy, where one protection is missing


@dataclass(frozen=True, order=True)
class Protection:
    """A piece of the product that keeps a promise.

    Attributes:
        file: Path below the root of the project.
        text: A text that the file has once: the protection.
        instead: What stands there when the protection is taken out.
    """

    file: str
    text: str
    instead: str

    def problem(self, root: Path = REPOSITORY) -> str | None:
        """Say what is wrong with the claim, if anything is."""
        try:
            times = (root / self.file).read_text(encoding="utf-8").count(self.text)
        except OSError:
            return f"there is no {self.file}"
        return None if times == 1 else f"{self.file} has it {times} times: {self.text!r}"

    def take_out(self, root: Path) -> None:
        """Take the protection out of a copy of the project.

        Raises:
            SyntaxError: What is left is no Python.
        """
        path = root / self.file
        changed = path.read_text(encoding="utf-8").replace(self.text, self.instead)
        if path.suffix == ".py":
            compile(changed, self.file, "exec")
        path.write_text(changed, encoding="utf-8")


def protected_by(file: str, text: str, *, instead: str = "") -> pytest.MarkDecorator:
    """Mark a test with the protection without which it fails.

    Args:
        file: Path below the root of the project.
        text: The protection, a text that stands once in the file.
        instead: What would stand there without it: nothing, `pass`, `True`.
    """
    return pytest.mark.protected_by(Protection(file, text, instead))


def protections(item: pytest.Item) -> list[Protection]:
    """Return what a test names."""
    return [mark.args[0] for mark in item.iter_markers(_MARK)]


def check(items: list[pytest.Item]) -> None:
    """Refuse to run tests that name what is not there.

    Raises:
        pytest.UsageError: A protection was renamed or has gone, or stands there more than once.
    """
    if _TAKEN_OUT in os.environ:
        return
    problems = {
        f"{item.nodeid}: {problem}"
        for item in items
        for protection in protections(item)
        if (problem := protection.problem())
    }
    if problems:
        raise pytest.UsageError("\n".join(["These tests name no protection:", *sorted(problems)]))


class _Collector:
    def __init__(self) -> None:
        self.tests: dict[Protection, set[str]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for protection in protections(item):
                self.tests[protection].add(item.nodeid)


def _copy(into: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 -- wherever the system has it
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.is_file() and not source.is_symlink():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, into / name)


def _is_missed(protection: Protection, tests: set[str]) -> bool:
    """Return whether the tests fail without the protection."""
    with tempfile.TemporaryDirectory(prefix="without-") as folder:
        root = Path(folder)
        _copy(root)
        protection.take_out(root)
        done = subprocess.run(  # noqa: S603 -- our own tests
            [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", *sorted(tests)],
            cwd=root,
            # The copy, and not the checkout that the virtual environment knows.
            env=os.environ | {"PYTHONPATH": folder, _TAKEN_OUT: "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in {0, _TESTS_FAILED}:
        raise RuntimeError(done.stdout[-_LONGEST:] + done.stderr[-_LONGEST:])
    return done.returncode == _TESTS_FAILED


def main(chosen: list[str]) -> int:
    """Take out each protection that the chosen tests name; return how a program ends."""
    collector = _Collector()
    if pytest.main(["--collect-only", "-qq", "-n0", *chosen], plugins=[collector]):
        return 2
    kept = 0
    for protection, tests in sorted(collector.tests.items()):
        missed = _is_missed(protection, tests)
        kept += not missed
        verdict = "missed" if missed else "NOT MISSED"
        print(f"{verdict:10} {protection.file}: {protection.text!r}", flush=True)
        for test in sorted(tests):
            print(f"{'':13}{test}", flush=True)
    print(f"{len(collector.tests)} protections, {kept} of them not missed by their tests.")
    return 1 if kept else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

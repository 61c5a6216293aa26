"""Tests that name the line of code that they test, and the proof that they fail without it.

    @protected_by("exports/tasks/transitions.py", '"runId": run_id,')
    async def test_a_run_that_was_replaced_writes_nothing(...)

The named text must be in its file exactly once, or the test fails. `make protections` goes
further: it takes out one protection after the other, in a copy of the project, and runs the tests
that name it. Each of them must fail. A test that still passes protects nothing; and a test that
fails because what is left does not run (a name or an import is missing) proves nothing.
"""

import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dev.endpoints import Endpoints
from dev.servers import Servers
from tests.support.copies import BROKEN, copied, function_of, run_tests, undefined_names
from tests.support.paths import REPOSITORY

_MARK: Final = "protected_by"


@dataclass(frozen=True, order=True)
class Protection:
    """A piece of the product that keeps a promise.

    Attributes:
        file: Path in the project.
        text: The protection, a text that is in the file exactly once.
        instead: What replaces it when the protection is taken out.
    """

    file: str
    text: str
    instead: str

    def problem(self, root: Path = REPOSITORY) -> str | None:
        """Return why there is no such protection; None if there is one."""
        try:
            times = (root / self.file).read_text(encoding="utf-8").count(self.text)
        except OSError:
            return f"{self.file} does not exist"
        return None if times == 1 else f"{self.file} contains {self.text!r} {times} times"

    def take_out(self, root: Path) -> str | None:
        """Take the protection out of a copy; return why what is left does not run, if so."""
        path = root / self.file
        changed = path.read_text(encoding="utf-8").replace(self.text, self.instead)
        path.write_text(changed, encoding="utf-8")
        return undefined_names(path) if path.suffix == ".py" else None


def protected_by(file: str, text: str, *, instead: str = "") -> pytest.MarkDecorator:
    """Mark a test with a protection: a piece of code without which the test fails.

    Args:
        file: Path in the project.
        text: The protection, a text that is in the file exactly once.
        instead: What replaces it when it is taken out (nothing, `pass`, `True`): code that runs.
    """
    return pytest.mark.protected_by(Protection(file, text, instead))


def protections(item: pytest.Item) -> list[Protection]:
    """Return the protections that a test names."""
    return [mark.args[0] for mark in item.iter_markers(_MARK)]


def check(item: pytest.Item) -> None:
    """Fail a test if a protection that it names was renamed or removed, or is there twice."""
    if BROKEN in os.environ:
        return
    for protection in protections(item):
        if problem := protection.problem():
            pytest.fail(f"This test names a protection that is not there: {problem}", pytrace=False)


class _Collector:
    def __init__(self) -> None:
        self.tests: dict[Protection, set[str]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for protection in protections(item):
                self.tests[protection].add(item.nodeid)


def _not_proved(protection: Protection, tests: set[str], servers: Endpoints) -> str | None:
    """Return why the tests do not prove a protection; None if they do."""
    with copied() as root:
        if problem := protection.take_out(root):
            return f"what is left does not run: {problem}"
        outcome = run_tests(root, sorted(tests), servers)
    if outcome.no_code:
        return f"what is left does not run: {outcome.no_code}"
    passed = {function_of(test) for test in tests} - outcome.noticed
    return f"passes without it: {', '.join(sorted(passed))}" if passed else None


def main(chosen: list[str]) -> int:
    """Take out each protection that the chosen tests name; return the exit code."""
    collector = _Collector()
    if pytest.main(["--collect-only", "-qq", "-n0", *chosen], plugins=[collector]):
        return 2
    not_proved = 0
    with Servers() as servers:
        for protection, tests in sorted(collector.tests.items()):
            problem = _not_proved(protection, tests, servers.endpoints)
            result = "proved" if problem is None else "NOT PROVED"
            print(f"{result:10} {protection.file}: {protection.text!r}", flush=True)
            for test in sorted({function_of(test) for test in tests}):
                print(f"{'':13}{test}", flush=True)
            if problem is not None:
                not_proved += 1
                print(f"{'':13}{problem}", flush=True)
    print(f"{len(collector.tests)} protections, {not_proved} of them not proved.")
    return 1 if not_proved else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Copies of the project in which something is broken, and tests that should notice it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from dev.endpoints import Endpoints
from tests.support.paths import REPOSITORY

BROKEN: Final = "PROJECT_COPY_IS_BROKEN"
"""The environment variable that is set for tests in a broken copy."""

# As a traceback shows it, or the product's own E_INTERNAL.
_DOES_NOT_RUN: Final = re.compile(
    r"\b(?:NameError|UnboundLocalError|ImportError|ModuleNotFoundError|SyntaxError)(?:: | in \w)"
)
_USAGE: Final = 4  # pytest's exit codes from here on: it could not run


@dataclass(frozen=True)
class Outcome:
    """The result of tests in a copy.

    Attributes:
        noticed: Tests that ran and failed, as `module.function`.
        no_code: Why the run proves nothing: the code does not run, or a test could not start.
    """

    noticed: frozenset[str]
    no_code: str | None = None


def function_of(nodeid: str) -> str:
    """Return the test function of a node id, as `module.function`, without its parameters."""
    path, _, name = nodeid.partition("::")
    module = path.removesuffix(".py").replace("/", ".")
    return f"{module}.{name.partition('[')[0].replace('::', '.')}"


@contextmanager
def copied() -> Generator[Path]:
    """Copy all files that git does not ignore into a temporary folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 -- wherever the system has it
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    with tempfile.TemporaryDirectory(prefix="copy-") as folder:
        root = Path(folder)
        for name in filter(None, listed.split("\0")):
            source = REPOSITORY / name
            if source.is_file() and not source.is_symlink():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, root / name)
        yield root


def undefined_names(path: Path) -> str | None:
    """Return why a changed file is not Python that runs; None if it is."""
    found = subprocess.run(  # noqa: S603 -- a program of our own environment
        [
            *(sys.executable, "-m", "ruff", "check", "--isolated", "--quiet"),
            *("--select", "F821,F823", "--output-format", "concise", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None if found.returncode else None


def run_tests(
    root: Path,
    tests: Iterable[str],
    servers: Endpoints,
    *,
    options: Sequence[str] = (),
    longest: float | None = None,
) -> Outcome:
    """Run tests in a copy of the project.

    Args:
        root: The copy.
        tests: Node ids.
        servers: The servers to use.
        options: More options for pytest.
        longest: Seconds after which the run is killed, which counts as noticed; None: never.

    Raises:
        RuntimeError: pytest could not run, for example because a test does not exist.
    """
    said = root / "outcome.xml"
    said.unlink(missing_ok=True)
    where = root / "servers.json"
    where.touch(mode=0o600)
    where.write_text(servers.to_json(), encoding="utf-8")
    running = subprocess.Popen(  # noqa: S603 -- our own tests
        [
            *(sys.executable, "-m", "pytest", "-n0", "-q", "--tb=short", "-p", "no:cacheprovider"),
            *("--servers", str(where), "--junit-xml", str(said), "-o", "junit_logging=all"),
            *options,
            *tests,
        ],
        cwd=root,
        # The copy, not the checkout that the virtual environment points to.
        env=os.environ | {"PYTHONPATH": str(root), BROKEN: "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with running:
        try:
            out, _ = running.communicate(timeout=longest)
        except subprocess.TimeoutExpired:
            return Outcome(frozenset({"hangs"}))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    if running.returncode >= _USAGE or not said.exists():
        raise RuntimeError(out[-1800:])
    return outcome(ET.parse(said).getroot())  # noqa: S314 -- pytest has just written it


def outcome(said: ET.Element) -> Outcome:
    """Read what pytest has written about a run (JUnit's XML)."""
    noticed: set[str] = set()
    no_code: str | None = None
    for case in said.iter("testcase"):
        error = case.find("error")
        if error is not None and "on teardown" not in (message := error.get("message", "")):
            no_code = no_code or message
        if case.find("failure") is not None:
            text = "\n".join(case.itertext())
            if found := _DOES_NOT_RUN.search(text):
                no_code = no_code or text[found.start() : text.find("\n", found.start())]
            else:
                name = case.get("name", "").partition("[")[0]
                noticed.add(f"{case.get('classname')}.{name}")
    return Outcome(frozenset(noticed), no_code)

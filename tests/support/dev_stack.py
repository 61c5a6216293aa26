"""What the tests of `make dev` share."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dev import ports
from dev.process import CrashError
from tests.support import processes

if TYPE_CHECKING:
    import subprocess


def with_other_ports(directory: Path) -> Path:
    """Prepare a directory for kept data, whose servers prefer ports that no other test wants."""
    directory.mkdir()
    chosen = ports.choose(dict.fromkeys(("temporal", "web_ui", "mongo", "s3", "api"), 0))
    (directory / "ports.json").write_text(json.dumps(chosen))
    return directory


def output_of(process: "subprocess.Popen[str]") -> str:
    """Wait until the process has ended, and return its output."""
    return process.communicate(timeout=150)[0]


def wait_until_ready(stack: "subprocess.Popen[str]", file: Path) -> None:
    """Wait until the stack has written its environment file."""
    processes.wait_until(lambda: file.exists() or stack.poll() is not None, seconds=150)
    assert stack.poll() is None, output_of(stack)


def crash_of(check: Callable[[], None]) -> str:
    """Wait until a process has crashed, and return the message."""
    for _ in range(1500):
        try:
            check()
        except CrashError as crash:
            return str(crash)
        time.sleep(0.1)
    raise AssertionError("no process crashed")

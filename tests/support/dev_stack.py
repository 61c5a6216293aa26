"""What the tests of `make dev` share."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dev import ports
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

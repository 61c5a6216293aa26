"""`make demo` and `make dev` say which of their processes has crashed, and leave nothing behind."""

import signal
from pathlib import Path
from typing import Final

import pytest

from dev import binaries
from tests.support import dev_stack, processes
from tests.support.chaos.forms import LONG
from tests.support.processes import read_until, running_with_few_orders

_PROGRAMS: Final = [
    ("worker.py", "The worker"),
    (Path(binaries.mongo()).name, "The MongoDB-compatible server"),
]


# `test_stopped_dev_stacks.py` kills each of the servers, without the rest of the stack.
@pytest.mark.parametrize(("program", "name"), _PROGRAMS if LONG else _PROGRAMS[:1])
def test_make_dev_stops_everything_and_says_why_if_a_process_crashes(
    tmp_path: Path, program: str, name: str
) -> None:
    data_dir = dev_stack.with_other_ports(tmp_path / "dev")
    with running_with_few_orders("dev.stack", "--data-dir", str(data_dir)) as stack:
        file = data_dir / "env"
        dev_stack.wait_until_ready(stack, file)
        left = processes.descendants(stack.pid)
        processes.kill(stack.pid, program)
        said = dev_stack.output_of(stack)
    assert stack.returncode == 1
    assert f"{name} was killed by SIGKILL" in said
    assert not any(map(processes.is_alive, left))
    assert not file.exists()


def test_a_demo_whose_worker_crashes_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shared = Path("/tmp")  # noqa: S108 -- where a server would leave its logs
    already = set(shared.glob("weed.*"))
    with running_with_few_orders("dev.demo", "--into", str(tmp_path)) as process:
        said = read_until(process, "Ready after")
        # Otherwise its exports may be done before the worker is killed.
        process.send_signal(signal.SIGSTOP)
        left = processes.descendants(process.pid)
        processes.kill(process.pid, "worker.py")
        process.send_signal(signal.SIGCONT)
        said += process.communicate(timeout=150)[0]
    assert process.returncode == 1
    assert "The demo failed. The worker was killed by SIGKILL" in said
    assert "Worker is ready" in said  # the end of its log
    assert "Traceback" not in said
    assert not any(map(processes.is_alive, left))
    # The last part of such a name is the id of the process.
    assert not [
        log for log in set(shared.glob("weed.*")) - already if log.suffix[1:] in map(str, left)
    ]

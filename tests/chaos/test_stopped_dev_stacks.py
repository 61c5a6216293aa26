"""What `make dev` and `make demo` leave behind when they, or a server of theirs, are stopped."""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from dev import binaries
from dev.servers import Servers
from tests.support import dev_stack, processes
from tests.support.processes import running, running_with_few_orders

KEEP_SERVERS: Final = """
import pathlib, sys, time, dev.servers
from tests.support.paths import REPOSITORY
dev.servers.Servers(pathlib.Path(sys.argv[1])).start()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("program", "name", "port"),
    [
        ("temporal", "Temporal", "temporal_address"),
        (Path(binaries.mongo()).name, "The MongoDB-compatible server", "mongo_uri"),
        ("weed", "The S3 server", "s3_endpoint_url"),
    ],
)
def test_a_server_that_is_killed_is_named(program: str, name: str, port: str) -> None:
    with Servers() as servers:
        servers.check()
        _, _, number = servers.endpoints.model_dump()[port].rpartition(":")
        processes.kill(os.getpid(), program, having=number)
        assert dev_stack.crash_of(servers.check).startswith(f"{name} was killed by SIGKILL.")


def test_no_server_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with running("-c", KEEP_SERVERS, str(dev_stack.with_other_ports(tmp_path / "kept"))) as parent:
        processes.wait_until(lambda: len(processes.descendants(parent.pid)) >= 6, seconds=150)
        left = processes.descendants(parent.pid)
        parent.kill()
        parent.wait()
    processes.wait_until(lambda: not any(map(processes.is_alive, left)), seconds=150)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_nothing_behind(
    tmp_path: Path, signum: signal.Signals
) -> None:
    with running_with_few_orders("dev.demo", "--into", str(tmp_path)) as process:
        said = processes.read_until(process, "Starting the servers")
        processes.wait_until(lambda: len(processes.descendants(process.pid)) >= 6, seconds=150)
        left = processes.descendants(process.pid)
        process.send_signal(signum)
        said += process.communicate(timeout=150)[0]
    assert process.returncode == 1
    assert "Stopping after" in said
    assert "Traceback" not in said
    assert not any(map(processes.is_alive, left))

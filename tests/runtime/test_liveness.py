"""A health check asks the worker whether it is alive, and Temporal only whether it is ready."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exports.errors import SettingsError
from exports.names import bulk_task_queue
from exports.runtime.liveness import LivenessFile
from exports.settings import Settings
from tests.support.chaos.proxy import Refused, proxy_to
from tests.support.command_line import CommandLine, environment_of
from tests.support.service import PATIENCE
from tests.support.worker_process import RunningWorker, started

Environment = dict[str, str]

ALIVE, NOT_ALIVE, READY, NOT_READY, TEMPORAL_IS_AWAY = 0, 1, 0, 1, 3


@pytest.fixture
def environment(settings: Settings, temporal_address: str, tmp_path: Path) -> Environment:
    files = {"TMPDIR": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    return environment_of(settings, temporal_address) | files


@asynccontextmanager
async def _ready(environment: Environment, cwd: Path) -> AsyncGenerator[RunningWorker]:
    async with started(environment, cwd) as worker:
        await worker.says("Worker is ready")
        yield worker


async def _check(environment: Environment) -> int:
    return (await CommandLine(environment).run("worker", "--check")).code


async def _is_ready(environment: Environment) -> int:
    return (await CommandLine(environment).run("worker", "--ready")).code


async def _becomes(code: int, environment: Environment) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while await _is_ready(environment) != code:
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("takes", ["all", "small", "bulk"])
async def test_a_worker_is_alive_and_ready_whichever_steps_it_takes(
    environment: Environment, tmp_path: Path, task_queue: str, takes: str
) -> None:
    environment["EXPORTS_WORKER_TAKES"] = takes
    assert await _check(environment) == NOT_ALIVE
    assert await _is_ready(environment) == NOT_READY
    async with _ready(environment, tmp_path):
        found = await CommandLine(environment).run("worker", "--check", "--json")
        assert (found.code, found.json["ok"]) == (ALIVE, True)
        queue = bulk_task_queue(task_queue) if takes == "bulk" else task_queue
        assert found.json["taskQueue"] == queue
        await _becomes(READY, environment)


async def test_a_worker_that_only_waits_for_temporal_is_alive_and_not_ready(
    environment: Environment, tmp_path: Path, temporal_address: str
) -> None:
    with proxy_to(temporal_address) as wire:
        environment["TEMPORAL_ADDRESS"] = wire.address
        async with _ready(environment, tmp_path):
            await _becomes(READY, environment)
            wire.suffer(Refused())
            _make_old(tmp_path)
            async with asyncio.timeout(
                PATIENCE.total_seconds()
            ):  # its event loop goes on touching the file
                while await _check(environment) != ALIVE:
                    await asyncio.sleep(0.2)
            assert await _is_ready(environment) == TEMPORAL_IS_AWAY
            wire.recover()
            await _becomes(READY, environment)


async def test_a_worker_whose_event_loop_does_not_run_is_not_alive(
    environment: Environment, tmp_path: Path
) -> None:
    async with _ready(environment, tmp_path) as worker:
        assert await _check(environment) == ALIVE
        worker.signal(signal.SIGSTOP)
        _make_old(tmp_path)
        assert await _check(environment) == NOT_ALIVE
        # Temporal heard from it a moment ago.
        assert await _is_ready(environment) == NOT_READY
        worker.signal(signal.SIGCONT)


async def test_a_worker_that_was_stopped_leaves_no_file_behind(
    environment: Environment, tmp_path: Path
) -> None:
    async with _ready(environment, tmp_path) as worker:
        assert _files(tmp_path)
        worker.signal(signal.SIGTERM)
        assert (await worker.ended()).code == 0
    assert not _files(tmp_path)


async def test_a_worker_of_another_task_queue_is_not_meant(
    environment: Environment, tmp_path: Path
) -> None:
    async with _ready(environment, tmp_path):
        other = CommandLine(environment | {"EXPORTS_TASK_QUEUE": "nobody-is-here"})
        found = await other.run("worker", "--check")
        assert found.code == NOT_ALIVE
        assert "on task queue nobody-is-here is not alive: never seen." in found.err


async def test_a_worker_that_can_not_write_its_file_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not-there"))
    with pytest.raises(SettingsError, match="Set TMPDIR"):
        async with LivenessFile("exports", "all").touched():
            pass


def _files(folder: Path) -> list[Path]:
    return list(folder.glob("exports-worker-*"))


def _make_old(folder: Path) -> None:
    """Make the file of a worker look as if it had been touched for the last time an hour ago."""
    (file,) = _files(folder)
    an_hour_ago = time.time() - 3600
    os.utime(file, (an_hour_ago, an_hour_ago))

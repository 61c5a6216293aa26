"""`make dev`: the servers, sample orders, the Schedule and a worker, until Ctrl-C.

    python -m dev.stack [--data-dir DIR]

Data, ports and keys are kept in DIR (`.dev/`); `DIR/env` points other shells at what runs. Exit
codes: 0 stopped on request, 1 something crashed, 2 it runs already.
"""

import argparse
import asyncio
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, Self

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from dev import orders
from dev.endpoints import Endpoints
from dev.process import CrashError, Process
from dev.servers import Servers

REPOSITORY: Final = Path(__file__).resolve().parent.parent
_PATIENCE_MS: Final = 5_000
_LOOK: Final = 0.2
_DRAIN: Final = 5


class Stack:
    """Everything that runs on a developer's machine; starts on entry, ends for sure on exit.

    Args:
        data_dir: Where data is kept. None: in a temporary directory, and nothing is kept.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self._servers = Servers(data_dir, mongo_users=True)
        self._worker: Process | None = None

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers listen."""
        return self._servers.endpoints

    @property
    def worker_log(self) -> Path:
        """Where the worker writes what it does."""
        return self._servers.directory / "worker.log"

    def environment(self) -> dict[str, str]:
        """Return the variables that point a client, the CLI or a worker at this stack."""
        return self.endpoints.environment() | {
            "EXPORTS_REPORTS_FILE": str(REPOSITORY / "exports.toml"),
            # Without these, a profile of the person's own may add a cloud's namespace or TLS.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_NAMESPACE": "default",
        }

    def worker_tail(self) -> str:
        """Return the end of the worker's log, with a line that introduces it; or nothing."""
        return self._worker.tail() if self._worker else ""

    def start(self) -> None:
        """Start everything in order, and wait until each is ready.

        Raises:
            CrashError: Something could not be started; says what and why. Nothing runs then.
        """
        try:
            self._start()
        except BaseException:  # also Ctrl-C
            self.stop()
            raise

    def check(self) -> None:
        """Do nothing while everything runs.

        Raises:
            CrashError: A server or the worker has ended; says which and shows its log.
        """
        self._servers.check()
        if self._worker:
            self._worker.check()

    def stop(self) -> None:
        """End the worker, then the servers that it needs to end well."""
        if self._worker:
            self._worker.stop()
        self._worker = None
        self._servers.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._servers.start()
        environment = inherited() | self.environment()
        # First, because it can get ready while the orders are loaded.
        self._worker = Process(
            "The worker",
            [sys.executable, "worker.py"],
            log=self.worker_log,
            environment=environment | {"EXPORTS_SHUTDOWN_GRACE": f"PT{_DRAIN}S"},
            cwd=REPOSITORY,
            grace=_DRAIN * 2,
        )
        try:
            asyncio.run(_load_orders(self.endpoints))
        except PyMongoError as error:
            self.check()
            raise CrashError(f"The sample orders could not be loaded: {error}") from None
        self._apply_schedule(environment)

    def _apply_schedule(self, environment: dict[str, str]) -> None:
        applied = subprocess.run(
            [sys.executable, "-m", "exports.cli.app", "schedule", "apply"],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if applied.returncode:
            self.check()
            raise CrashError(f"The Schedule could not be applied:\n{applied.stdout.strip()}")


def main() -> int:
    """Run the stack until it is asked to stop or something crashes."""
    parser = argparse.ArgumentParser(prog="python -m dev.stack", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / ".dev")
    data_dir: Path = parser.parse_args().data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_on_signal)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"It runs already, with its data in {data_dir}; see {data_dir}/env.")
            return 2
        return _run(data_dir)


def _run(data_dir: Path) -> int:
    stack = Stack(data_dir)
    try:
        print("Starting the servers and loading sample orders …", flush=True)
        stack.start()
        with environment_file(data_dir / "env", stack.environment()) as file:
            print(_welcome(stack, file), flush=True)
            while True:
                stack.check()
                time.sleep(_LOOK)
    except KeyboardInterrupt as stopped:
        print(f"\nStopping, because of {stopped} …", flush=True)
        return 0
    except CrashError as crash:
        print(f"\n{crash}\nStopping everything else …", file=sys.stderr, flush=True)
        return 1
    finally:
        # It takes a few seconds at most; a second Ctrl-C would only leave things behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
        print("Everything has stopped.", flush=True)


def stop_on_signal(number: int, _: FrameType | None) -> NoReturn:
    """Handle SIGINT and SIGTERM alike: raise `KeyboardInterrupt` with a name for people."""
    raise KeyboardInterrupt("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)


@contextmanager
def environment_file(file: Path, environment: dict[str, str]) -> Generator[Path]:
    """Write a file for `set -a; . FILE`, readable by its owner only, for as long as this runs."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment.items()]
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text("".join(lines))
    new.replace(file)  # whoever sees the file sees all of it
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def inherited() -> dict[str, str]:
    """Return our own environment without what would point the worker somewhere else."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EXPORTS_", "TEMPORAL_", "AWS_"))
    }


async def _load_orders(endpoints: Endpoints) -> None:
    async with AsyncMongoClient[dict[str, Any]](
        endpoints.admin_uri, serverSelectionTimeoutMS=_PATIENCE_MS
    ) as client:
        await orders.load(client[endpoints.source_database])


def _welcome(stack: Stack, file: Path) -> str:
    endpoints = stack.endpoints
    return f"""
Ready, until Ctrl-C:
  Temporal Web UI  {endpoints.web_ui_url}
  Temporal         {endpoints.temporal_address}
  MongoDB          {endpoints.mongo_uri}/{endpoints.mongo_database}
  S3               {endpoints.s3_endpoint_url}/{endpoints.s3_bucket}
  Worker's log     {stack.worker_log}
In another shell:
  set -a; . {shlex.quote(str(file))}; set +a
  .venv/bin/exports create statsMonthly -p year=2026 -p month=10 --created-by u1 --wait
"""


if __name__ == "__main__":
    sys.exit(main())

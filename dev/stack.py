"""`make dev`: the servers, sample orders, the Schedule and a worker, until Ctrl-C.

    python -m dev.stack [--reports FILE] [--data-dir DIR]

Data, ports and keys are kept in DIR (`.dev/`). While it runs, `DIR/env` has the settings for
other shells. Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a process crashed, 2 it is already
running or the reports file has a mistake.
"""

import argparse
import asyncio
import base64
import fcntl
import os
import secrets
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

from dev import orders, readiness
from dev.endpoints import Endpoints
from dev.http_api import HttpApi
from dev.private import write_private
from dev.process import CrashError, Process
from dev.servers import Servers
from exports.encryption.keys import KEY_BYTES
from exports.errors import ReportsFileError
from exports.reports.file import load_reports

REPOSITORY: Final = Path(__file__).resolve().parent.parent
REPORTS_FILE: Final = REPOSITORY / "exports.toml"
_SERVER_SELECTION: Final = 5_000
"""Milliseconds."""
_CHECK_EVERY: Final = 0.2
"""Seconds."""
_SHUTDOWN_GRACE: Final = 5
"""Seconds."""

CURL: Final = 'curl -H "Authorization: Bearer $EXPORTS_API_TOKEN" $EXPORTS_API_URL'
OCTOBER: Final = """ --json '{"type": "statsMonthly", "params": {"year": 2026, "month": 10}}'"""
"""The body of a request for an export of the sample orders."""
STARTING: Final = "Starting the servers and a worker, and loading sample orders …"


class Stack:
    """Everything that runs on a developer's machine. A context manager.

    Args:
        data_dir: Where data is kept. None: in a temporary directory, and nothing is kept.
        reports_file: Where the reports are defined.
        with_api: Whether the HTTP API runs, too.

    Attributes:
        reports_file: The same, as an absolute path.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        reports_file: Path = REPORTS_FILE,
        *,
        with_api: bool = True,
    ) -> None:
        self._servers = Servers(data_dir, mongo_users=True)
        self.reports_file: Final = reports_file.absolute()
        self._with_api = with_api
        self._worker: Process | None = None
        self._api: HttpApi | None = None

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers listen."""
        return self._servers.endpoints

    @property
    def worker_log(self) -> Path:
        """The worker's log."""
        return self._servers.directory / "worker.log"

    def environment(self) -> dict[str, str]:
        """Return the environment variables of clients and workers of this stack."""
        variables = self.endpoints.environment() | {
            "EXPORTS_REPORTS_FILE": str(self.reports_file),
            "EXPORTS_WEBHOOK_ENCRYPTION_KEY": self._webhook_key(),
            "EXPORTS_WEBHOOK_LOOPBACK": "on",
            # Otherwise the user's own Temporal profile could add a namespace or TLS.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_NAMESPACE": "default",
        }
        if self._with_api:
            variables["EXPORTS_PUBLIC_URL"] = self.endpoints.api_url
            variables["EXPORTS_API_WEB_UI_URL"] = self.endpoints.web_ui_url
        return variables | (self._api.variables() if self._api else {})

    def _webhook_key(self) -> str:
        """Return the key for the secrets of webhooks, the same at each start."""
        saved = self._servers.directory / "webhook-key"
        if not saved.exists():
            write_private(saved, f"dev:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}")
        return saved.read_text()

    def page(self) -> str:
        """Return where the exports page is, with links that sign in; empty without the API."""
        if self._api is None:
            return ""
        links = self._api.links()
        return f"The exports page is at {self.endpoints.api_url}, for three people:\n{links}"

    def worker_tail(self) -> str:
        """Return the end of the worker's log, below a heading; empty if there is no log."""
        return self._worker.tail() if self._worker else ""

    def start(self) -> None:
        """Start everything in order, and wait until each is ready.

        Raises:
            CrashError: Something could not be started; says what and why. Nothing is left running.
        """
        try:
            self._start()
        except BaseException:  # also Ctrl-C
            self.stop()
            raise

    def check(self) -> None:
        """Do nothing while everything runs.

        Raises:
            CrashError: A server, the worker or the API has ended; says which and shows its log.
        """
        self._servers.check()
        for process in self._programs():
            process.check()

    def stop(self) -> None:
        """Stop the worker and the API, then the servers, which they need to finish their work."""
        for process in self._programs():
            process.ask_to_stop()
        for process in self._programs():
            process.stop()
        self._worker = self._api = None
        self._servers.stop()

    def _programs(self) -> list[Process]:
        found = (self._worker, self._api.process if self._api else None)
        return [process for process in found if process]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._servers.start()
        environment = inherited() | self.environment()
        # Before the orders are loaded, because both take some seconds.
        self._worker = Process(
            "The worker",
            [sys.executable, "worker.py"],
            log=self.worker_log,
            environment=environment | {"EXPORTS_SHUTDOWN_GRACE": f"PT{_SHUTDOWN_GRACE}S"},
            cwd=REPOSITORY,
            grace=_SHUTDOWN_GRACE * 2,
        )
        if self._with_api:
            self._api = HttpApi(
                self.endpoints,
                self._servers.directory,
                environment | {"EXPORTS_SHUTDOWN_GRACE": f"PT{_SHUTDOWN_GRACE}S"},
                REPOSITORY,
            )
        try:
            asyncio.run(_load_orders(self.endpoints))
        except PyMongoError as error:
            self.check()
            raise CrashError(f"The sample orders could not be loaded: {error}") from None
        self._apply_schedule(environment)
        if self._api:
            self._api.wait()
        readiness.wait_until(self._worker_is_ready, self.endpoints, self._worker)

    def _worker_is_ready(self, _: Endpoints) -> bool:
        return b"Worker is ready" in self.worker_log.read_bytes()

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
    """Run the stack until Ctrl-C, SIGTERM or a crash; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.stack", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / ".dev")
    parser.add_argument("--reports", type=Path, default=REPORTS_FILE, metavar="FILE")
    options = parser.parse_args()
    data_dir: Path = options.data_dir.resolve()
    try:
        load_reports(options.reports)
    except ReportsFileError as error:
        print(f"{error.code}: {error.msg}", file=sys.stderr)
        return error.exit_code
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_on_signal)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"It is already running, with its data in {data_dir}.")
            return 2
        return _run(Stack(data_dir, options.reports))


def _run(stack: Stack) -> int:
    try:
        print(STARTING, flush=True)
        stack.start()
        with environment_file(stack) as file:
            print(_welcome(stack, file), flush=True)
            while True:
                stack.check()
                time.sleep(_CHECK_EVERY)
    except KeyboardInterrupt as stopped:
        print(f"\nStopping after {stopped} …", flush=True)
        return 0
    except CrashError as crash:
        print(f"\n{crash}\nStopping everything else …", file=sys.stderr, flush=True)
        return 1
    finally:
        # This takes a few seconds. A second Ctrl-C would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
        print("Stopped.", flush=True)


def stop_on_signal(number: int, _: FrameType | None) -> NoReturn:
    """Handle SIGINT and SIGTERM: raise `KeyboardInterrupt` with the name of the signal."""
    raise KeyboardInterrupt("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)


@contextmanager
def environment_file(stack: Stack) -> Generator[Path]:
    """Write the stack's environment to a file for other shells; remove it on exit.

    Only its owner can read it: see `source_command`.
    """
    file = stack.worker_log.with_name("env")
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in stack.environment().items()]
    write_private(file, "".join(lines))
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def source_command(file: Path) -> str:
    """Return the shell command that sets the variables of an environment file."""
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    # Without a slash, the shell would look for the file in the PATH.
    return f"set -a; . {shlex.quote(str(shown))}; set +a"


def inherited() -> dict[str, str]:
    """Return our own environment without the settings of another installation."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EXPORTS_", "TEMPORAL_", "AWS_"))
    }


async def _load_orders(endpoints: Endpoints) -> None:
    async with AsyncMongoClient[dict[str, Any]](
        endpoints.admin_uri, serverSelectionTimeoutMS=_SERVER_SELECTION
    ) as client:
        await orders.load(client[endpoints.source_database])


def _welcome(stack: Stack, file: Path) -> str:
    endpoints = stack.endpoints
    example, asked = "types", "/types"
    if stack.reports_file == REPORTS_FILE:
        example = "create statsMonthly -p year=2026 -p month=10 --format xlsx --output ."
        asked = f"/exports{OCTOBER}"
    return f"""
Ready. Stop with Ctrl-C.
  Temporal Web UI  {endpoints.web_ui_url}
  Temporal         {endpoints.temporal_address}
  MongoDB          {endpoints.mongo_uri}/{endpoints.source_database} (sample orders)
  S3               {endpoints.s3_endpoint_url}/{endpoints.s3_bucket}
  HTTP API         {endpoints.api_url}, described at {endpoints.api_url}/docs
  Log of worker    {stack.worker_log}
{stack.page()}
In another shell:
  {source_command(file)}
  .venv/bin/exports {example}
  {CURL}{asked}
To load a file of your own:
  make load FILE=orders.csv COLLECTION=orders
"""


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: two finished exports in `demo-exports/`, made on real servers.

    python -m dev.demo [--keep] [--into DIR]

Starts the servers and a worker, loads sample orders, exports a month and a year at the same time,
downloads both files and verifies their checksums. With --keep, everything keeps running until
Ctrl-C. Exit codes: 0 success, 1 failure; the output says why.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from rich.table import Table

from dev.orders import UNTIL
from dev.process import CrashError
from dev.stack import (
    CURL,
    OCTOBER,
    REPOSITORY,
    STARTING,
    Stack,
    environment_file,
    inherited,
    source_command,
    stop_on_signal,
)
from exports.cli.output import show
from exports.cli.progress import ProgressView
from exports.client import ExportClient
from exports.download import download
from exports.errors import ExportError
from exports.models import TaskStatus
from exports.runtime.process import end
from exports.tasks.task import ExportTask

_USER: Final = "u1"
_LAST_DAY: Final = UNTIL - timedelta(days=1)
_CHECK_EVERY: Final = 0.2
"""Seconds."""


class _Request(NamedTuple):
    type: str
    params: dict[str, int]
    format: str


_REQUESTS: Final = (
    _Request("statsMonthly", {"year": _LAST_DAY.year, "month": _LAST_DAY.month}, "xlsx"),
    _Request("statsAnnual", {"year": _LAST_DAY.year}, "csv"),
)


class DemoError(Exception):
    """An export of the demo was not finished; the message says why."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")
    parser.add_argument("--into", type=Path, default=REPOSITORY / "demo-exports", metavar="DIR")
    options = parser.parse_args()
    keep, target = bool(options.keep), Path(options.into)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_on_signal)
    stack, code = Stack(with_api=keep), 1
    try:
        _run(stack, target)
        code = 0
        if keep:
            _serve(stack)
        print("Stopping the servers. To keep them running: make demo KEEP=1", flush=True)
    except KeyboardInterrupt as stopped:
        print(f"\nStopping after {stopped} …", file=sys.stderr, flush=True)
    except CrashError as crash:  # its message has the end of the log
        code = _failed(str(crash))
    except (DemoError, ExportError, OSError) as error:
        code = _failed(f"{error}{stack.worker_tail()}")
    finally:
        # This takes a few seconds. A second Ctrl-C would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
    return code


def _run(stack: Stack, target: Path) -> None:
    print(STARTING, flush=True)
    began = time.monotonic()
    stack.start()
    took = time.monotonic() - began
    web_ui = f"{stack.endpoints.web_ui_url}/namespaces/default/workflows"
    print(f"Ready after {took:.1f} s. Watch the exports at {web_ui}", flush=True)
    for name in os.environ.keys() - inherited().keys():
        del os.environ[name]
    os.environ.update(stack.environment())
    tasks = asyncio.run(_exported(stack))
    target.mkdir(parents=True, exist_ok=True)
    files = [download(task, target) for task in tasks]
    show(_table(tasks, files))


async def _exported(stack: Stack) -> list[ExportTask]:
    async with await ExportClient.connect() as client:
        with ProgressView() as view:
            exports = asyncio.gather(*(_export(client, request, view) for request in _REQUESTS))
            checks = asyncio.create_task(_check(stack))
            try:
                await asyncio.wait((exports, checks), return_when=asyncio.FIRST_COMPLETED)
                if checks.done():
                    checks.result()
                return exports.result()
            finally:
                exports.cancel()
                checks.cancel()


async def _export(client: ExportClient, request: _Request, view: ProgressView) -> ExportTask:
    task = await client.create(
        request.type, request.params, created_by=_USER, format=request.format
    )
    async for seen in client.watch(task.id, created_by=_USER):
        task = seen
        view.update(task)
    if task.status is not TaskStatus.DONE:
        reason = f": {task.error.code}: {task.error.msg}" if task.error else ""
        raise DemoError(f"{task.type} is {task.status}{reason}")
    return task


async def _check(stack: Stack) -> NoReturn:
    """Raise `CrashError` when a server or the worker has ended; the export would wait for it."""
    while True:
        stack.check()
        await asyncio.sleep(_CHECK_EVERY)


def _serve(stack: Stack) -> None:
    with environment_file(stack) as file:
        print(
            f"\n{stack.page()}\n"
            "The servers keep running until Ctrl-C. In another shell:\n"
            f"  {source_command(file)}\n"
            "  .venv/bin/exports create statsMonthly -p year=2026 -p month=9 --output .\n"
            "  .venv/bin/exports list\n"
            f"  {CURL}/exports{OCTOBER}",
            flush=True,
        )
        while True:
            stack.check()
            time.sleep(_CHECK_EVERY)


def _table(tasks: list[ExportTask], files: list[Path]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("type", "rows", "bytes", "seconds", "path"):
        table.add_column(heading, justify="left" if heading in ("type", "path") else "right")
    table.columns[-1].overflow = "fold"
    for task, file in zip(tasks, files, strict=True):
        seconds = ((task.finished_at or 0) - (task.created_at or 0)) / 1000
        path = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
        table.add_row(task.type, f"{task.rows:,}", f"{task.bytes:,}", f"{seconds:.1f}", str(path))
    return table


def _failed(reason: str) -> int:
    print(f"\nThe demo failed. {reason}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    end(main())

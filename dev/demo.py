"""`make demo`: from nothing to two finished files in `demo-exports/`, on real servers.

    python -m dev.demo [--keep] [--into DIR]

Starts the servers and a worker, loads sample orders, exports a month and a year side by side,
downloads both through their links and checks them. With --keep it goes on serving until Ctrl-C.
Exit codes: 0 both files are there, 1 they are not; says why.
"""

import argparse
import asyncio
import os
import shlex
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from rich.table import Table
from rich.text import Text

from dev.orders import UNTIL
from dev.process import CrashError
from dev.stack import REPOSITORY, Stack, environment_file, inherited, stop_on_signal
from exports.cli.output import show
from exports.cli.progress import ProgressView
from exports.client import ExportClient
from exports.download import download
from exports.errors import ExportError
from exports.models import TaskStatus
from exports.runtime.process import end
from exports.tasks.task import ExportTask

_USER: Final = "demo"
_LAST_DAY: Final = UNTIL - timedelta(days=1)
_LOOK: Final = 0.2


class _Wish(NamedTuple):
    type: str
    params: dict[str, int]
    format: str


_WISHES: Final = (
    _Wish("statsMonthly", {"year": _LAST_DAY.year, "month": _LAST_DAY.month}, "xlsx"),
    _Wish("statsAnnual", {"year": _LAST_DAY.year}, "csv"),
)


class DemoError(Exception):
    """The demo did not come to its end; the message says why."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="go on serving until Ctrl-C")
    parser.add_argument("--into", type=Path, default=REPOSITORY / "demo-exports", metavar="DIR")
    options = parser.parse_args()
    keep, target = bool(options.keep), Path(options.into)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_on_signal)
    stack, code = Stack(), 1
    try:
        _show(stack, target)
        code = 0
        if keep:
            _serve(stack)
        print("Stopping everything; `make demo KEEP=1` goes on serving.", flush=True)
    except KeyboardInterrupt as stopped:
        print(f"\nStopping, because of {stopped} …", file=sys.stderr, flush=True)
    except CrashError as crash:  # it says where, with the end of the log
        code = _failed(str(crash))
    except (DemoError, ExportError, OSError) as error:
        code = _failed(f"{error}{stack.worker_tail()}")
    finally:
        # It takes a few seconds at most; a second Ctrl-C would only leave things behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
    return code


def _show(stack: Stack, target: Path) -> None:
    print("Starting the servers and a worker, and loading sample orders …", flush=True)
    began = time.monotonic()
    stack.start()
    took = time.monotonic() - began
    print(f"Ready after {took:.1f} s. Watch the exports at {_web_ui(stack)}", flush=True)
    for name in os.environ.keys() - inherited().keys():
        del os.environ[name]
    os.environ.update(stack.environment())
    tasks = asyncio.run(_exported(stack))
    target.mkdir(parents=True, exist_ok=True)
    files = [download(task, target) for task in tasks]
    show(_table(tasks, files), Text(f"Temporal Web UI: {_web_ui(stack)}"))


async def _exported(stack: Stack) -> list[ExportTask]:
    async with await ExportClient.connect() as client:
        with ProgressView() as view:
            exports = asyncio.gather(*(_export(client, wish, view) for wish in _WISHES))
            watchman = asyncio.create_task(_watch_over(stack))
            try:
                await asyncio.wait((exports, watchman), return_when=asyncio.FIRST_COMPLETED)
                if watchman.done():
                    watchman.result()
                return exports.result()
            finally:
                exports.cancel()
                watchman.cancel()


async def _export(client: ExportClient, wish: _Wish, view: ProgressView) -> ExportTask:
    task = await client.create(wish.type, wish.params, created_by=_USER, format=wish.format)
    async for seen in client.watch(task.id, created_by=_USER):
        task = seen
        view.update(task)
    if task.status is not TaskStatus.DONE:
        reason = f": {task.error.code}: {task.error.msg}" if task.error else ""
        raise DemoError(f"{task.type} is {task.status}{reason}")
    return task


async def _watch_over(stack: Stack) -> NoReturn:
    """Raise `CrashError` when a server or the worker ends; without them nothing would."""
    while True:
        stack.check()
        await asyncio.sleep(_LOOK)


def _serve(stack: Stack) -> None:
    with environment_file(stack.worker_log.with_name("env"), stack.environment()) as file:
        print(
            "\nServing until Ctrl-C. In another shell:\n"
            f"  set -a; . {shlex.quote(str(file))}; set +a\n"
            "  .venv/bin/exports create statsMonthly -p year=2026 -p month=9 --wait --output .\n"
            "  .venv/bin/exports list",
            flush=True,
        )
        while True:
            stack.check()
            time.sleep(_LOOK)


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


def _web_ui(stack: Stack) -> str:
    return f"{stack.endpoints.web_ui_url}/namespaces/default/workflows"


def _failed(reason: str) -> int:
    print(f"\nThe demo failed. {reason}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    end(main())

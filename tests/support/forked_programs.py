"""Our programs as processes that end by themselves, forked from one that has imported them.

The imports take a second of processor time, and tests run these programs a hundred times.
Everything else is as in a process of its own: environment, working directory, output, exit code.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from typer import rich_utils

import worker
from exports.cli import app, boundary, health
from exports.runtime.process import end

_PATIENCE: Final = 150.0  # seconds
_PRELOADED: Final = (app, boundary, health, rich_utils)


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str


async def ended(
    program: Literal["exports", "worker"],
    arguments: tuple[str, ...],
    environment: dict[str, str],
    cwd: Path,
) -> Ended:
    """Run a program and wait for its end.

    Raises:
        TimeoutError: It did not end in time, and was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = context.Process(
            target=_be, args=(program, arguments, environment, cwd, out, err), daemon=True
        )
        process.start()
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(process.sentinel, gone.set)
        try:
            await asyncio.wait_for(gone.wait(), _PATIENCE)
        finally:
            loop.remove_reader(process.sentinel)
            process.kill()
            process.join()
            code = process.exitcode
            process.close()
        assert code is not None
        return Ended(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def _be(
    program: str,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    cwd: Path,
    out: Path,
    err: Path,
) -> None:
    """Become the program."""
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    # As Python opens them without a locale.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [program, *arguments]
    if program == "worker":
        end(worker.main())
    app.main()

"""`make bench`: run benchmarks and write `benchmarks/RESULTS.md`.

    python -m benchmarks [NAME ...] [--quick]

Without a NAME, all of them run. Only the results of a full run are stored. A quick run takes a few
minutes and only prints its results. Exit codes: 0 all have run, even if a goal was missed
(RESULTS.md says which); 1 at least one could not be run, and its message says why.
"""

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Final, cast

from rich.console import Console
from rich.markdown import Markdown

from benchmarks import (
    endurance,
    fairness,
    http_api,
    listeners,
    machine,
    memory,
    messages,
    read_limit,
    scale,
    script,
    small,
    waiting,
    watching,
)
from benchmarks.bench import forget_the_shell
from benchmarks.peers import benchmark as peers
from benchmarks.plan import Extent, Plan
from benchmarks.report import PAGE, page, table
from benchmarks.results import Outcome, Record, Results, now
from dev.process import CrashError
from exports.errors import ExportError
from exports.runtime.process import end

BENCHMARKS: Final[dict[str, ModuleType]] = {
    "read": read_limit,
    "script": script,
    "memory": memory,
    "endurance": endurance,
    "small": small,
    "waiting": waiting,
    "watcher": watching,
    "messages": messages,
    "fairness": fairness,
    "peers": peers,
    "scale": scale,
    "listeners": listeners,
    "api": http_api,
}


def main() -> int:
    """Run the benchmarks that are named; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="a few minutes; only prints")
    parser.add_argument("--smoke", action="store_true", help="only check that it runs; only prints")
    parser.add_argument("--runs", type=int, metavar="N", help="measurements (default: 3)")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; use some of: {', '.join(BENCHMARKS)}")
    extent: Extent = "smoke" if options.smoke else "quick" if options.quick else "full"
    forget_the_shell()
    console = Console(width=max(120, Console().width))
    code = 0
    for name in options.names or BENCHMARKS:
        console.print(f"{name} …")
        try:
            record = _measured(name, Plan(extent, options.runs))
        except (CrashError, ExportError, OSError, RuntimeError) as error:
            console.print(f"{name} could not be run: {error}", markup=False)
            code = 1
        else:
            _show(record, console)
            if extent == "full":
                _keep(record)
    return code


def _show(record: Record, console: Console) -> None:
    console.print(table(record))
    for note in record.outcome.notes:
        console.print(Markdown(note))


def _keep(record: Record) -> None:
    results = Results.load().with_record(record)
    results.save()
    PAGE.write_text(page(results, list(BENCHMARKS)), "utf-8")


def _measured(name: str, plan: Plan) -> Record:
    module = BENCHMARKS[name]
    run = cast("Callable[[Plan], Awaitable[Outcome]]", module.run)
    began = time.monotonic()
    outcome = asyncio.run(_awaited(run(plan)))
    return Record(
        name=name,
        about=module.__doc__ or "",
        command=shlex.join(("python", "-m", "benchmarks", *sys.argv[1:])),
        at=now(),
        seconds=time.monotonic() - began,
        machine=machine.describe(),
        versions=machine.versions(),
        outcome=outcome,
    )


async def _awaited(outcome: Awaitable[Outcome]) -> Outcome:
    return await outcome


if __name__ == "__main__":
    end(main())

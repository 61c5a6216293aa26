"""Our service compared with its peers, as a table.

python -m benchmarks.peers [--exports N] [--in-flight N] [--rounds N] [--bound S]
        [--json FILE]
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.peers import report
from benchmarks.peers.figures import Amounts
from benchmarks.peers.measure import run
from dev.process import CrashError

_BEGAN = time.monotonic()


def main() -> int:
    """Measure, and print what came out."""
    usual = Amounts()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--exports", type=int, default=usual.exports)
    parser.add_argument("--alone", type=int)
    parser.add_argument("--in-flight", type=int, default=usual.in_flight)
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--bound", type=float, default=usual.bound, help="seconds to recover in")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    amounts = Amounts(
        exports=options.exports,
        alone=options.alone or min(usual.alone, options.exports),
        in_flight=options.in_flight,
        rounds=options.rounds,
        bound=options.bound,
    )
    try:
        figures = asyncio.run(run(amounts, _say))
    except (CrashError, RuntimeError, TimeoutError) as error:
        print(f"It was not measured: {error!r}", file=sys.stderr)
        return 1
    console = Console(width=max(Console().width, 160))
    console.print(_table(report.SPEED, report.speed(figures)), "")
    console.print(_table(report.CRASH, report.crash(figures)))
    if options.json:
        file: Path = options.json
        file.write_text(json.dumps([asdict(one) for one in figures], default=sorted), "utf-8")
    return 0


def _say(what: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {what}", file=sys.stderr, flush=True)


def _table(headings: tuple[str, ...], lines: list[tuple[str, ...]]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        shown.add_column(heading, justify="right" if heading else "left")
    for line in lines:
        shown.add_row(*line)
    return shown


if __name__ == "__main__":
    sys.exit(main())

"""Our service beside its peers, as a table.

python -m benchmarks.peers [--exports N] [--in-flight N] [--rounds N] [--json FILE]
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from benchmarks.peers.measure import Amounts, Figures, run
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
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    amounts = Amounts(
        exports=options.exports,
        alone=options.alone or min(usual.alone, options.exports),
        in_flight=options.in_flight,
        rounds=options.rounds,
    )
    try:
        figures = asyncio.run(run(amounts, _say))
    except (CrashError, RuntimeError, TimeoutError) as error:
        print(f"It was not measured: {error!r}", file=sys.stderr)
        return 1
    Console(width=max(Console().width, 150)).print(table(figures))
    if options.json:
        file: Path = options.json
        file.write_text(json.dumps([asdict(one) for one in figures], default=sorted), "utf-8")
    return 0


def _say(what: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {what}", file=sys.stderr, flush=True)


def table(figures: list[Figures]) -> Table:
    """Return the figures for people; the ratio of each to ours, which is the first."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    headings = (
        *("", "exports/s", "ratio", "p50 ms", "ratio", "p95 ms", "done", "lost", "stuck"),
        *("doubled", "aggregate/upload/done", "files", "recovered s"),
    )
    for heading in headings:
        shown.add_column(heading, justify="left" if not heading else "right")
    ours = figures[0]
    for one in figures:
        p50s = [median(alone) for alone in one.latencies]
        left = one.aftermath
        shown.add_row(
            one.tool,
            f"{median(one.per_second):.1f}",
            f"{_ratio(one.per_second, ours.per_second):.2f}",
            f"{median(p50s) * 1000:.0f}",
            f"{_ratio(p50s, [median(alone) for alone in ours.latencies]):.2f}",
            f"{quantiles([s for alone in one.latencies for s in alone], n=20)[-1] * 1000:.0f}",
            *(
                (
                    *(str(left.done), str(left.lost), str(left.stuck), str(left.doubled)),
                    "/".join(str(number) for number in left.repeated.values()),
                    str(left.files),
                    "-" if left.seconds is None else f"{left.seconds:.0f}",
                )
                if left
                else ()
            ),
        )
    return shown


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return median(their / our for their, our in zip(theirs, ours, strict=True))


if __name__ == "__main__":
    sys.exit(main())

"""The figures as people read them, on the terminal and in `RESULTS.md`."""

from statistics import median
from typing import Final

from benchmarks.peers.figures import Figures

SPEED: Final = ("", "exports/s", "ratio", "p50 ms", "ratio", "p95 ms")
CRASH: Final = (
    *("", "done", "lost", "stuck", "doubled", "aggregate/upload/done twice", "files"),
    *("all done after", "it notices by"),
)


def speed(figures: list[Figures]) -> list[tuple[str, ...]]:
    """Return a line for each tool: how fast it is, and the ratio to ours, which is the first."""
    ours = figures[0]
    return [
        (
            one.tool,
            f"{median(one.per_second):.1f}",
            f"{_ratio(one.per_second, ours.per_second):.2f}",
            f"{median(one.p50s):.0f}",
            f"{_ratio(one.p50s, ours.p50s):.2f}",
            f"{median(one.p95s):.0f}",
        )
        for one in figures
    ]


def crash(figures: list[Figures]) -> list[tuple[str, ...]]:
    """Return a line for each tool: the state after its worker was killed."""
    return [
        (
            one.tool,
            *(str(number) for number in (left.done, left.lost, left.stuck, left.doubled)),
            "/".join(str(number) for number in left.repeated.values()),
            str(left.files),
            "never" if left.seconds is None else f"{left.seconds:.0f} s",
            one.recovery,
        )
        for one in figures
        if (left := one.aftermath) is not None
    ]


def markdown(headings: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown; all columns but the first and the last hold numbers."""
    marks = ["---", *(["---:"] * (len(headings) - 2)), "---"]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, tuple(marks), *lines))


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return median(their / our for their, our in zip(theirs, ours, strict=True))

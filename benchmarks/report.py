"""Results as people read them: a table on the terminal, and `RESULTS.md`."""

from typing import Final

from rich.table import Table

from benchmarks.findings import FINDINGS
from benchmarks.results import DIRECTORY, Goal, Record, Results, Row

PAGE: Final = DIRECTORY / "RESULTS.md"
_HEAD: Final = """\
# Results

The latest results of `make bench`. Each figure is the median of the runs. A ratio is the median \
of the ratios of each run, because a reference is measured alternately with what it is compared \
with. `results.json` has every run. A benchmark that is run alone leaves the results of the \
others as they were.
"""
_COLUMNS: Final = ("what", "ours", "reference", "ratio", "goal", "")


def table(record: Record) -> Table:
    """Return the figures of a benchmark for the terminal."""
    shown = Table(title=record.name, box=None, title_justify="left", title_style="bold")
    for column in _COLUMNS:
        shown.add_column(column, justify="left" if column in ("what", "goal", "") else "right")
    for row in record.outcome.rows:
        shown.add_row(*_cells(row))
    return shown


def page(results: Results, order: list[str]) -> str:
    """Return `RESULTS.md`.

    Args:
        results: All results.
        order: Names of the benchmarks, in their order on the page.
    """
    records = [results.records[name] for name in order if name in results.records]
    lines = [
        _HEAD,
        f"| benchmark | {' | '.join(_COLUMNS)} |",
        "| --- | --- |" + " ---: |" * 3 + " --- | --- |",
    ]
    lines += [
        f"| {item.name} | {' | '.join(_cells(row))} |"
        for item in records
        for row in item.outcome.rows
    ]
    lines += [line for record in records for line in _section(record)]
    return "\n".join(lines) + "\n"


def _section(record: Record) -> list[str]:
    lines = ["", f"## {record.name}", "", record.about.strip(), ""]
    lines += [f"`{record.command}`, {record.at:%Y-%m-%d %H:%M} UTC, {record.seconds:,.0f} s."]
    runs = {len(row.ours) for row in record.outcome.rows}
    lines += [f"Runs of each figure: {', '.join(map(str, sorted(runs)))}.", ""]
    lines += [f"{record.machine}. {_versions(record)}.", ""]
    for note in record.outcome.notes:
        lines += [note, ""]
    missed: dict[str, list[str]] = {}
    for row in record.outcome.rows:
        if row.met is False:
            why = FINDINGS.get((record.name, row.what), "Not examined yet.")
            missed.setdefault(why, []).append(row.what)
    for why, whats in missed.items():
        lines += [f"**Missed: {'; '.join(whats)}.** {why}", ""]
    return lines[:-1]


def _versions(record: Record) -> str:
    return ", ".join(f"{name} {version}" for name, version in record.versions.items())


def _cells(row: Row) -> tuple[str, ...]:
    reference = row.reference_figure
    compared = (
        f"{_number(reference)} {row.unit} ({row.reference_name})" if reference is not None else ""
    )
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    met = {None: "", True: "met", False: "**missed**"}[row.met]
    return (
        row.what,
        f"{_number(row.figure)} {row.unit}",
        compared,
        ratio,
        _goal(row.goal, row.unit),
        met,
    )


def _goal(goal: Goal | None, unit: str) -> str:
    if goal is None:
        return ""
    return f"{goal.side} {goal.bound:g}{'' if goal.of == 'ratio' else ' ' + unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

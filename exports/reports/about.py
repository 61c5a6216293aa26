"""What a file says of its export: who asked for what, and when."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from exports.clock import from_epoch_ms
from exports.reports.described import shown
from exports.reports.report import Report

_LONGEST_VALUE: Final = 1000
"""Characters of the value of a parameter."""


def about_lines(
    report: Report,
    params: dict[str, JsonValue],
    *,
    created_by: str,
    asked_at: int | None,
    made_at: int,
    data_until: int | None,
) -> list[tuple[str, str]]:
    """Return labels with their values.

    Args:
        report: The report.
        params: The parameters, as `check_params` returned them.
        created_by: Who asked.
        asked_at: When (epoch milliseconds); None if that is not known.
        made_at: When a run took the task (epoch milliseconds).
        data_until: The same, if the period was not over then; else None.
    """
    lines = [("Report", report.title)]
    lines += [
        (described.title or described.name, _short(shown(params[described.name])))
        for described in report.describe_params()
        if described.name in params
    ]
    lines += [
        ("Period", report.period(params)),
        ("Time zone", report.timezone),
        ("Asked by", created_by),
    ]
    times = (("Asked at", asked_at), ("Made at", made_at), ("Data until", data_until))
    return [*lines, *_times(times, ZoneInfo(report.timezone))]


def until_suffix(data_until: int | None, timezone: str) -> str:
    """Return the end of the name of a file whose period is not over: `-until-2026-11-27-1430`.

    Args:
        data_until: When a run took the task (epoch milliseconds); None if the period was over.
        timezone: In which time zone people are told times.
    """
    if data_until is None:
        return ""
    return f"{_local(data_until, ZoneInfo(timezone)):-until-%Y-%m-%d-%H%M}"


def _times(times: tuple[tuple[str, int | None], ...], zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    for label, moment in times:
        # Another system may have stored a time that no calendar has.
        with suppress(OverflowError, ValueError):
            if moment is not None:
                yield label, _local(moment, zone).isoformat(" ", "seconds")


def _local(moment: int, zone: ZoneInfo) -> datetime:
    return from_epoch_ms(moment).astimezone(zone)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"

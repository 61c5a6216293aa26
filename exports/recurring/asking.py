"""Checks what somebody asks to have again and again."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from exports.characters import can_mislead, is_blank
from exports.clock import now_ms
from exports.errors import RequestError
from exports.formats import format_named
from exports.recurring.record import Asked
from exports.recurring.when import When
from exports.reports.report import Report
from exports.temporal.payload_size import check_params_fit

_LONGEST_NAME: Final = 100  # characters


def asked_for(
    report: Report,
    params: Mapping[str, JsonValue],
    *,
    period: str | None,
    when: Mapping[str, str | None],
    file_format: str,
    name: str | None,
    notify: list[str] | None,
) -> Asked:
    """Return what somebody asks for in normal form; see `RecurringExports.create`.

    Args:
        report: The report.
        params: Its parameters, but for those that the period says.
        period: The relative period.
        when: When it is due: the arguments of `When.checked`; no time zone is the report's.
        file_format: Name of a file format.
        name: Its name; None for one that is made from the report and the period.
        notify: The channels.

    Raises:
        RequestError: A text is not valid, or when it is due is not.
        ParamsError: The report can't take the period, or the parameters do not fit.
        TooLargeError: The parameters are larger than 64 KiB.
        FormatUnknownError: There is no such format.
    """
    every, filled = report.params_at(params, period, now_ms())
    check_params_fit(every)
    if name is None:
        name = ", ".join(filter(None, (report.title, period)))[:_LONGEST_NAME]
    if is_blank(name) or len(name) > _LONGEST_NAME or any(map(can_mislead, name)):
        raise RequestError(
            f"The name must have 1 to {_LONGEST_NAME} visible characters.",
            fields={"name": "is not valid"},
        )
    return Asked(
        name=name,
        type=report.type,
        params={key: value for key, value in every.items() if key not in filled},
        format=format_named(file_format).name,
        period=period,
        notify=notify,
        when=When.checked(
            on=when.get("on"),
            at=when.get("at"),
            cron=when.get("cron"),
            timezone=when.get("timezone") or report.timezone,
        ),
    )
